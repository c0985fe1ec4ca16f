// SPDX-License-Identifier: MIT
// Sources: OpenZFS, module/zcommon/zfeature_common.c of the releases 0.8.6, 2.0.7, 2.1.0, 2.2.0, 2.3.0, 2.4.0 and the last of each, which
// have no other features; zpool-features(7) for the states; initramfs/scripts/zfs for root=.
#include "common/text/zpool.hpp"

#include "common/text/kernel_cmdline.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::text {
namespace {

/// Each line: what came with one release.
constexpr std::pair<ZfsVersion, std::string_view> features[] = {
    {{0, 8},
     " allocation_classes async_destroy bookmark_v2 bookmarks device_removal edonr embedded_data empty_bpobj enabled_txg encryption "
     "extensible_dataset filesystem_limits hole_birth large_blocks large_dnode lz4_compress multi_vdev_crash_dump obsolete_counts "
     "project_quota resilver_defer sha512 skein spacemap_histogram spacemap_v2 userobj_accounting zpool_checkpoint "},
    {{2, 0}, " bookmark_written device_rebuild livelist log_spacemap redacted_datasets redaction_bookmarks zstd_compress "},
    {{2, 1}, " draid "},
    {{2, 2}, " blake3 block_cloning head_errlog vdev_zaps_v2 zilsaxattr "},
    {{2, 3}, " fast_dedup large_microzap longname raidz_expansion redaction_list_spill "},
    {{2, 4}, " block_cloning_endian dynamic_gang_header physical_rewrite "},
};

/// "rpool" of "rpool/ROOT/pve-1" and "/ROOT/pve-1"; empty for what names no pool.
std::string pool_of(std::string_view dataset) { return std::string(dataset.substr(0, dataset.find('/'))); }

void add(std::vector<std::string>& pools, const std::string& pool) {
  const bool named = !pool.empty() &&
                     pool.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:-") == pool.npos &&
                     std::isalpha(static_cast<unsigned char>(pool[0]));
  if (named && pool != "AUTO" && std::find(pools.begin(), pools.end(), pool) == pools.end()) pools.push_back(pool);
}

}  // namespace

std::string ZfsVersion::str() const { return std::to_string(major) + "." + std::to_string(minor); }

std::optional<ZfsVersion> parse_zfs_version(std::string_view text) {
  ZfsVersion out;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, out.major);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != '.') return std::nullopt;
  if (std::from_chars(first.ptr + 1, end, out.minor).ec != std::errc()) return std::nullopt;
  return out;
}

std::vector<PoolFeature> parse_pool_features(std::string_view zpool_get) {
  constexpr std::string_view prefix = "feature@";
  std::vector<PoolFeature> out;
  for (const std::string& line : lines(zpool_get)) {
    const auto columns = words(line);
    if (columns.size() < 3 || !columns[1].starts_with(prefix)) continue;
    const PoolFeature::State state = columns[2] == "active"    ? PoolFeature::State::active
                                     : columns[2] == "enabled" ? PoolFeature::State::enabled
                                                               : PoolFeature::State::disabled;
    out.push_back({columns[1].substr(prefix.size()), state});
  }
  return out;
}

std::optional<ZfsVersion> feature_since(std::string_view name) {
  for (const auto& [version, names] : features)
    if (contains(names, " " + std::string(name) + " ")) return version;
  return std::nullopt;
}

std::vector<std::string> boot_pools(std::string_view proc_mounts, std::string_view cmdline) {
  std::vector<std::string> out;
  for (const std::string& line : lines(proc_mounts)) {
    const auto columns = words(line);
    if (columns.size() >= 3 && columns[2] == "zfs" && (columns[1] == "/" || columns[1] == "/boot")) add(out, pool_of(columns[0]));
  }
  // root=ZFS=rpool/ROOT/pve-1, root=zfs:rpool/ROOT/pve-1; GRUB's own root=ZFS=/ROOT/pve-1 names none
  for (const KernelParameter& parameter : parse_kernel_cmdline(cmdline)) {
    const std::string value = parameter.value.value_or("");
    const std::string start = lower(value.substr(0, 4));
    if (parameter.key == "root" && (start == "zfs=" || start == "zfs:")) add(out, pool_of(value.substr(4)));
  }
  return out;
}

}  // namespace pvegpu::text
