// SPDX-License-Identifier: MIT
// A kernel command line, token by token, as the kernel takes it apart (lib/cmdline.c: next_arg; kernel/params.c: parameq).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pvegpu::text {

/// One parameter. `key`, `key=value`, `key="value with blanks"`, `"key=value with blanks"`.
struct KernelParameter {
  std::string key;
  std::optional<std::string> value;  ///< without quotes; nullopt: no "="

  /// As it stands on a command line: quoted where the value has blanks.
  std::string print() const;
};

/// Keys are equal to the kernel when they differ in '-' and '_' only.
bool same_key(std::string_view a, std::string_view b);
/// Same key, same value.
bool operator==(const KernelParameter& a, const KernelParameter& b);

/// All parameters in order, those after a lone "--" (init's arguments) left out.
std::vector<KernelParameter> parse_kernel_cmdline(std::string_view line);
/// nullopt: empty, more than one parameter, an unbalanced quote, a control character, or quotes that print() can't give again.
std::optional<KernelParameter> parse_kernel_parameter(std::string_view token);

/// `line` without the parameters that `drop` names (each removes every equal one); all other bytes stay, the blanks before a dropped
/// token go with it.
std::string without_parameters(std::string_view line, const std::vector<KernelParameter>& drop);
/// `line` with `add` at its end (before a lone "--"), separated by one blank.
std::string with_parameters(std::string_view line, const std::vector<KernelParameter>& add);

}  // namespace pvegpu::text
