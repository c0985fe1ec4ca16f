// SPDX-License-Identifier: MIT
// EFI variables.
#include "common/text/efi_variable.hpp"

namespace pvegpu::text {
namespace {

constexpr std::size_t attributes = 4;

unsigned byte(std::string_view s, std::size_t at) { return static_cast<unsigned char>(s[at]); }
unsigned u16(std::string_view s, std::size_t at) { return byte(s, at) | byte(s, at + 1) << 8; }

/// Up to its NUL.
std::string utf16_text(std::string_view s) {
  std::string out;
  for (std::size_t at = 0; at + 1 < s.size(); at += 2) {
    const unsigned unit = u16(s, at);
    if (unit == 0) break;
    out += unit < 0x80 ? static_cast<char>(unit) : '?';
  }
  return out;
}

}  // namespace

std::optional<unsigned> efi_byte(std::string_view variable) {
  if (variable.size() <= attributes) return std::nullopt;
  return byte(variable, attributes);
}

std::optional<unsigned> efi_u16(std::string_view variable) {
  if (variable.size() < attributes + 2) return std::nullopt;
  return u16(variable, attributes);
}

std::string efi_text(std::string_view variable) {
  return variable.size() > attributes ? utf16_text(variable.substr(attributes)) : std::string();
}

std::string efi_boot_file(std::string_view variable) {
  // u32 attributes, u16 length of the device path, a UTF-16 description with its NUL, the device path
  constexpr std::size_t fixed = 6;
  if (variable.size() < attributes + fixed) return {};
  std::string_view rest = variable.substr(attributes + fixed);
  while (rest.size() >= 2 && u16(rest, 0) != 0) rest.remove_prefix(2);
  if (rest.size() < 2) return {};
  rest.remove_prefix(2);
  // nodes: type, subtype, u16 length with these four bytes; a file path is 4/4, the end 7f/ff
  while (rest.size() >= 4) {
    const std::size_t length = u16(rest, 2);
    if (length < 4 || length > rest.size() || byte(rest, 0) == 0x7f) break;
    if (byte(rest, 0) == 4 && byte(rest, 1) == 4) return utf16_text(rest.substr(4, length - 4));
    rest.remove_prefix(length);
  }
  return {};
}

}  // namespace pvegpu::text
