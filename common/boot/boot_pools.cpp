// SPDX-License-Identifier: MIT
// zpool-features(7): software without an *active* feature can't import the pool for writing, read-only compatible or not, and / is
// imported for writing. One that is only *enabled* hinders nobody until something makes it active.
#include "common/boot/boot_pools.hpp"

#include "common/catalogue/catalogue.hpp"
#include "common/base/result.hpp"
#include "common/text/zpool.hpp"

namespace pvegpu::boot {
namespace {

using text::ZfsVersion, text::PoolFeature;

struct KernelZfs {
  std::optional<ZfsVersion> version;
  bool exact = false;  ///< as zfs.ko says; else the newest that Proxmox ever put into this series
};

std::optional<ZfsVersion> installed_zfs(const HostView& host, const std::string& kernel) {
  const auto module = host.kernel_module("zfs", kernel);
  return module && module->available ? text::parse_zfs_version(module->version) : std::nullopt;
}

/// Of Proxmox VE 7 to 9: 6.8 has 2.2.10, 6.14 has 2.3, 6.17 has 2.4.2, 7.0 has 2.4.4; series before 6.8 ended with an older one.
KernelZfs zfs_of(const HostView& host, const std::string& kernel) {
  if (const auto version = installed_zfs(host, kernel)) return {version, true};
  const auto series = catalogue::parse_major_minor(kernel);
  if (!series || catalogue::MajorMinor{7, 0} < *series) return {};
  if (*series < catalogue::MajorMinor{6, 14}) return {ZfsVersion{2, 2}, false};
  return {*series < catalogue::MajorMinor{6, 17} ? ZfsVersion{2, 3} : ZfsVersion{2, 4}, false};
}

std::optional<ZfsVersion> running_zfs(const HostView& host) {
  if (const auto loaded = host.read_attr("/sys/module/zfs/version")) return text::parse_zfs_version(*loaded);
  return installed_zfs(host, host.kernel_release());
}

std::string with_since(const PoolFeature& feature) {
  const auto since = text::feature_since(feature.name);
  return since ? fmt::format("{} (OpenZFS {})", feature.name, since->str()) : feature.name;
}

}  // namespace

PoolVerdict judge_boot_pools(const HostView& host, const std::string& kernel) {
  PoolVerdict out;
  if (kernel == host.kernel_release()) return out;
  const auto pools = text::boot_pools(host.read_file("/proc/mounts").value_or(""), host.read_file("/proc/cmdline").value_or(""));
  if (pools.empty()) return out;
  const KernelZfs has = zfs_of(host, kernel);
  const auto runs = running_zfs(host);
  if (has.exact && runs && !(*has.version < *runs)) return out;
  // A newer series never had an older ZFS.
  if (const auto series = catalogue::parse_major_minor(kernel), now = catalogue::parse_major_minor(host.kernel_release());
      !has.exact && series && now && *now < *series)
    return out;
  const std::string whose = fmt::format("kernel {}, whose ZFS is {}{}", kernel, has.exact ? "" : "at most ",
                                        has.version ? has.version->str() : std::string("not known"));
  for (const std::string& pool : pools) {
    const auto answer = host.query(Query::pool_features(pool));
    const auto features = text::parse_pool_features(answer && answer->exit_code == 0 ? answer->out : "");
    if (features.empty()) {
      out.warnings.push_back(fmt::format(
          "zpool does not tell the features of {}, from which this host boots: whether {}, can import it is not known", pool, whose));
      continue;
    }
    std::vector<std::string> missing, later, unknown;
    for (const PoolFeature& feature : features) {
      if (feature.state == PoolFeature::State::disabled) continue;
      const bool active = feature.state == PoolFeature::State::active;
      const auto since = text::feature_since(feature.name);
      if (since && has.version && *has.version < *since)
        (active ? missing : later).push_back(with_since(feature));
      else if (active && (!since || !has.version || (!has.exact && !(*since < *has.version))))
        unknown.push_back(with_since(feature));
    }
    const auto say = [&](std::vector<std::string>& where, const std::vector<std::string>& names, const char* is, const char* means) {
      if (!names.empty())
        where.push_back(
            fmt::format("the pool {}, from which this host boots, {} {}: {}, {}", pool, is, fmt::join(names, ", "), whose, means));
    };
    say(out.refusals, missing, "uses", "can't import it and would stop in the initramfs");
    say(out.warnings, later, "may at any time come to use", "could not import it then");
    if (missing.empty()) say(out.warnings, unknown, "uses", "may not know that");
  }
  return out;
}

}  // namespace pvegpu::boot
