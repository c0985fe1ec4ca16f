// SPDX-License-Identifier: MIT
// dash's echo, then systemd-boot.
#include "common/text/boot_entry.hpp"

#include "common/base/strings.hpp"

namespace pvegpu::text {

std::string boot_entry_options(std::string_view line) {
  constexpr std::string_view letters = "abfnrtv\\", meant = "\a\b\f\n\r\t\v\\";
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char next = line[i] == '\\' && i + 1 < line.size() ? line[i + 1] : '\0';
    if (next == 'c') break;  // nothing more is written
    if (const auto at = letters.find(next); next != '\0' && at != letters.npos) {
      out += meant[at];
      ++i;
    } else if (next >= '0' && next <= '7') {  // up to three digits, with or without a 0 before them
      unsigned value = 0;
      std::size_t digits = 0;
      for (i += next == '0' ? 1 : 0; digits < 3 && i + 1 < line.size() && line[i + 1] >= '0' && line[i + 1] <= '7'; ++digits, ++i)
        value = value * 8 + static_cast<unsigned>(line[i + 1] - '0');
      if (const char c = static_cast<char>(value); c != '\0') out += c;  // a shell's variable has no NUL
    } else {
      out += line[i];
    }
  }
  out = trim(out.substr(0, out.find_first_of("\n\r")));
  return out.size() > 1 && out.starts_with('"') && out.ends_with('"') ? out.substr(1, out.size() - 2) : out;
}

std::string not_for_boot_entry(const KernelParameter& parameter) {
  return (parameter.key + parameter.value.value_or("")).find('\\') == std::string::npos
             ? std::string()
             : "the character \\, which proxmox-boot-tool's echo takes as the beginning of another one";
}

}  // namespace pvegpu::text
