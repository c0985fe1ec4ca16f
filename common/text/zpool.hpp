// SPDX-License-Identifier: MIT
// ZFS pools: which of them a host boots from, their features, and since which OpenZFS there are these features.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pvegpu::text {

/// A version of OpenZFS, as far as features go.
struct ZfsVersion {
  unsigned major = 0, minor = 0;

  bool operator<(const ZfsVersion& other) const { return major != other.major ? major < other.major : minor < other.minor; }
  std::string str() const;
};
/// Of "2.2.10-pve1", the `version` of zfs.ko.
std::optional<ZfsVersion> parse_zfs_version(std::string_view text);

struct PoolFeature {
  enum class State { disabled, enabled, active };
  std::string name;
  State state = State::disabled;
};
/// The lines `POOL feature@NAME STATE SOURCE` of `zpool get all POOL`.
std::vector<PoolFeature> parse_pool_features(std::string_view zpool_get);

/// The first OpenZFS that has a feature; 0.8 for all that were there before. nullopt: not known here.
std::optional<ZfsVersion> feature_since(std::string_view name);

/// The pools that hold / and /boot, by /proc/mounts and the kernel's command line.
std::vector<std::string> boot_pools(std::string_view proc_mounts, std::string_view cmdline);

}  // namespace pvegpu::text
