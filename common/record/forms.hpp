// SPDX-License-Identifier: MIT
// What identifies a machine by its form alone: addresses and ids, and which of them everybody has.
#pragma once

#include <string_view>

namespace pvegpu::record {

inline bool is_digit(char c) { return c >= '0' && c <= '9'; }
inline bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
inline bool is_alnum(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
inline bool is_one_of(char c, std::string_view set) { return set.find(c) != set.npos; }
inline bool is_blank(char c) { return is_one_of(c, " \t\r\n"); }

inline char at(std::string_view text, std::size_t i) { return i < text.size() ? text[i] : '\0'; }

template <class Test>
std::size_t run_of(std::string_view text, std::size_t i, Test test) {
  const std::size_t begin = i;
  while (i < text.size() && test(text[i])) ++i;
  return i - begin;
}

// How long the one is that begins at text[i], 0 for none. What stands before it is no letter and no digit.
std::size_t uuid_at(std::string_view text, std::size_t i);
/// 32 hex digits.
std::size_t id_at(std::string_view text, std::size_t i);
/// Six pairs or more, as InfiniBand has them.
std::size_t mac_at(std::string_view text, std::size_t i);
/// No leading zeros: those are in versions.
std::size_t ipv4_at(std::string_view text, std::size_t i);
std::size_t ipv6_at(std::string_view text, std::size_t i);
/// ABCD-1234, of a FAT file system.
std::size_t volume_at(std::string_view text, std::size_t i);

/// Of mediated devices Proxmox VE makes the UUID out of the number of the guest; of EFI these are names of variables' owners.
bool is_public_uuid(std::string_view uuid);
/// An IPv4 address that means no machine.
bool is_public_address(std::string_view address);
/// Machines that everybody knows, and names that documents use for examples.
bool is_public_machine(std::string_view name);

}  // namespace pvegpu::record
