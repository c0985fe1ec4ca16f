// SPDX-License-Identifier: MIT
// Other words for what identifies machines and people. The same secret gets the same mask wherever it stands, one of the same form, so that
// parsers still read it; secrets of a kind that sort before others have masks that do, too.
#pragma once

#include "common/base/json.hpp"

#include <map>
#include <set>
#include <string>
#include <string_view>

namespace pvegpu::record {

/// In the order in which one that is two of them counts.
enum class Secret {
  node,      ///< name of a host or of a cluster: one label
  guest,     ///< name of a guest
  user,      ///< login name
  internet,  ///< name of another machine, with its domain
  domain,    ///< what follows a host's name
  uuid,
  id,      ///< 32 hex digits: a machine-id, an IPv6 address in /proc/net
  volume,  ///< ABCD-1234: a FAT file system
  mac,
  ipv4,
  ipv6,
  mail,
  disk,    ///< a name below /dev/disk/by-id
  number,  ///< a serial number
  word,    ///< a password, token, comment
};

class Masks {
 public:
  /// Notes `value` as a secret, unless it is too short or too common a word to be one ("pve", "node1", "root").
  void add(Secret kind, std::string_view value);
  /// Notes what looks like a secret wherever it stands: addresses, UUIDs, URLs, mail, "password=…", "serial: …".
  void scan(std::string_view text);
  /// A word that the system itself uses; no name is taken for a secret that is one, because what is read would change its meaning.
  void is_technical(std::string_view word) { technical_.emplace(word); }
  /// `value` becomes `mask`: a checksum of what is masked.
  void replace(const std::string& value, const std::string& mask) { masks_[value] = mask; }
  /// Gives each secret its mask. Before it, text() changes nothing.
  void settle();

  std::string text(std::string_view text) const;
  /// All strings in it, keys too.
  json value(const json& value) const;

 private:
  void scan_urls(std::string_view text);
  void scan_mail(std::string_view text);
  void scan_settings(std::string_view text);
  bool common(std::string_view word) const;

  std::map<std::string, Secret, std::less<>> secrets_;
  std::set<std::string, std::less<>> technical_;
  std::map<std::string, std::string, std::less<>> masks_;
};

}  // namespace pvegpu::record
