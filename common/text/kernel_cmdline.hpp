// SPDX-License-Identifier: MIT
// A kernel command line, token by token, as the kernel takes it apart (lib/cmdline.c: next_arg; kernel/params.c: parameq).
// How parameters compare: kernel_parameters.hpp.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pvegpu::text {

/// One parameter. `key`, `key=value`, `key="value with blanks"`, `"key=value with blanks"`.
struct KernelParameter {
  std::string key;
  std::optional<std::string> value;  ///< without quotes; nullopt: no "="
  std::string size = {};             ///< of `hugepages`: the value of the hugepagesz= before it, empty: the default size

  /// As it stands on a command line: quoted where the value has blanks.
  std::string print() const;
};

/// Keys are equal to the kernel when they differ in '-' and '_' only.
bool same_key(std::string_view a, std::string_view b);
/// Sizes as the kernel reads them (lib/cmdline.c: memparse): 1G is 1024M.
bool same_size(std::string_view a, std::string_view b);
/// Same key, same value, and for `hugepages` the same page size.
bool operator==(const KernelParameter& a, const KernelParameter& b);

/// Gives each `hugepages` the size that the kernel takes it for: mm/hugetlb.c counts pages of the last hugepagesz= before it.
void pair_hugepages(std::vector<KernelParameter>& parameters);

/// All parameters in order, those after a lone "--" (init's arguments) left out.
std::vector<KernelParameter> parse_kernel_cmdline(std::string_view line);
/// nullopt: empty, more than one parameter, an unbalanced quote, a control character, or quotes that print() can't give again.
std::optional<KernelParameter> parse_kernel_parameter(std::string_view token);

/// What becomes of one parameter: itself, another one, or nothing.
using ParameterEdit = std::function<std::optional<KernelParameter>(const KernelParameter&)>;
/// `line` with each of the kernel's parameters edited; all other bytes stay, the blanks before a dropped token go with it.
std::string edit_parameters(std::string_view line, const ParameterEdit& edit);
/// `line` without the parameters that `drop` names (each removes every equal one).
std::string without_parameters(std::string_view line, const std::vector<KernelParameter>& drop);
/// `line` with `add` at its end (before a lone "--"), separated by one blank.
std::string with_parameters(std::string_view line, const std::vector<KernelParameter>& add);

}  // namespace pvegpu::text
