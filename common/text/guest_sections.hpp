// SPDX-License-Identifier: MIT
// The parts of a guest's configuration, VM or container: what is current, what is pending, and its snapshots.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pvegpu::text {

struct GuestSection {
  enum class Kind { current, pending, snapshot, other };
  Kind kind = Kind::current;
  std::string name;                                         ///< of a snapshot
  std::vector<std::pair<std::string, std::string>> values;  ///< key and value, in order
  std::vector<std::string> ignored;                         ///< hostpci lines that Proxmox VE goes on without, with the reason

  /// nullptr when there is none.
  const std::string* find(std::string_view key) const;
};

/// The first is the current one, be it empty. Comments (the description) are left out, and lines that Proxmox VE warns of and goes on
/// without.
std::vector<GuestSection> parse_guest_sections(std::string_view text);

/// What an option is now and what it will be at the guest's next start: a running guest's changes wait below [PENDING], where `delete`
/// lists options that go ("hostpci0,!ide2"); a stopped guest's are taken over when it starts.
struct GuestOption {
  std::optional<std::string> now, next;
};
GuestOption guest_option(const std::vector<GuestSection>& sections, std::string_view key);

/// "scsi" and "hostpci" of "scsi0" and "hostpci12"; empty when the key is no name with a number.
std::string_view numbered_key(std::string_view key);

}  // namespace pvegpu::text
