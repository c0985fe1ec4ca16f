// SPDX-License-Identifier: MIT
// Our drop-in, and plain assignments of others.
#include "common/text/grub_defaults.hpp"

#include "common/text/strings.hpp"

#include <algorithm>

namespace pvegpu::text {
namespace {

constexpr std::string_view head =
    "# Made by pve.gpu; `state: absent` takes it back.\nGRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT ";
constexpr std::string_view shell_special = "\"$`\\";

std::string escaped(std::string_view word) {
  std::string out;
  for (const char c : word) {
    if (shell_special.find(c) != shell_special.npos) out += '\\';
    out += c;
  }
  return out;
}

std::string unescaped(std::string_view word) {
  std::string out;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word[i] == '\\' && i + 1 < word.size() && shell_special.find(word[i + 1]) != shell_special.npos) ++i;
    out += word[i];
  }
  return out;
}

/// The text between the quotes of `[export ]GRUB_CMDLINE_LINUX[_DEFAULT]="…"`; empty range when the line is something else.
struct Range {
  std::size_t begin = 0, end = 0;
};
Range assigned(std::string_view line) {
  std::size_t at = line.find_first_not_of(" \t");
  if (at == line.npos) return {};
  if (line.substr(at).starts_with("export ")) at += 7;
  constexpr std::string_view name = "GRUB_CMDLINE_LINUX";
  if (!line.substr(at).starts_with(name)) return {};
  at += name.size();
  if (line.substr(at).starts_with("_DEFAULT")) at += 8;
  if (at + 1 >= line.size() || line[at] != '=' || (line[at + 1] != '"' && line[at + 1] != '\'')) return {};
  const std::size_t end = line.find(line[at + 1], at + 2);
  if (end == line.npos) return {};
  return {at + 2, end};
}

}  // namespace

std::string print_grub_dropin(const std::vector<KernelParameter>& parameters) {
  std::string words;
  for (const KernelParameter& p : parameters) words += (words.empty() ? "" : " ") + escaped(p.print());
  return std::string(head) + words + "\"\n";
}

std::vector<KernelParameter> parse_grub_dropin(std::string_view file) {
  if (!file.starts_with(head) || !file.ends_with("\"\n")) return {};
  file.remove_prefix(head.size());
  file.remove_suffix(2);
  return parse_kernel_cmdline(unescaped(file));
}

unsigned grub_line_with(std::string_view file, const KernelParameter& parameter) {
  unsigned number = 0;
  for (const std::string& line : lines(file)) {
    ++number;
    const Range range = assigned(line);
    const auto all = parse_kernel_cmdline(std::string_view(line).substr(range.begin, range.end - range.begin));
    if (std::find(all.begin(), all.end(), parameter) != all.end()) return number;
  }
  return 0;
}

std::string without_grub_parameters(std::string_view file, const std::vector<KernelParameter>& drop) {
  std::string out;
  while (!file.empty()) {
    const std::size_t newline = std::min(file.find('\n'), file.size() - 1);
    const std::string_view line = file.substr(0, newline + 1);
    const Range range = assigned(line);
    out += line.substr(0, range.begin);
    out += without_parameters(line.substr(range.begin, range.end - range.begin), drop);
    out += line.substr(range.end);
    file.remove_prefix(newline + 1);
  }
  return out;
}

}  // namespace pvegpu::text
