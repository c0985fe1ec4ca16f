// SPDX-License-Identifier: MIT
// i915-sriov-dkms.
#include "common/driver/i915.hpp"

#include "common/host/reader.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::driver {

I915File parse_i915_file(std::string_view path) {
  const std::string name = last_part(path), prefix = i915_package;
  const auto between = [&](const std::string& before, std::string_view after) -> std::string {
    if (!name.starts_with(before) || !name.ends_with(after) || name.size() <= before.size() + after.size()) return {};
    const std::string middle = name.substr(before.size(), name.size() - before.size() - after.size());
    const bool plain = middle.find_first_not_of("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-+~") == middle.npos;
    return plain ? middle : std::string();
  };
  for (const char* after : {"_amd64.deb", "_all.deb"})
    if (std::string version = between(prefix + "_", after); !version.empty()) return {I915File::Kind::package, std::move(version)};
  for (const char* after : {".tar.gz", ".tgz"})
    if (std::string version = between(prefix + "-", after); !version.empty()) return {I915File::Kind::source, std::move(version)};
  return {};
}

bool i915_is_package(const HostView& host) { return host.exists(fmt::format("/var/lib/dpkg/info/{}.list", i915_package)); }

std::string i915_source(std::string_view version) { return fmt::format("/usr/src/{}-{}", i915_package, version); }

std::optional<std::string> installed_i915(const HostView& host) {
  const auto sources = dkms_sources(host, i915_package);
  const auto record = read_record(host, i915_note);
  if (record && !record->complete && (!sources.empty() || i915_is_package(host) || host.exists(i915_source(record->version))))
    return fmt::format("{} (half installed)", record->version.empty() ? "unknown version" : record->version);
  if (sources.size() > 1) return fmt::format("{} (several versions)", fmt::join(sources, ", "));
  if (sources.size() == 1)
    return host.exists(fmt::format("/var/lib/dkms/{}/{}", i915_package, sources[0])) ? sources[0] : sources[0] + " (not in DKMS)";
  return module_makes_vfs(host, "i915", host.kernel_release()) ? std::optional<std::string>("unknown version (not by DKMS)") : std::nullopt;
}

bool module_makes_vfs(const HostView& host, const std::string& module, const std::string& kernel) {
  return why_no_vfs(host, module, kernel).empty();
}

std::string why_no_vfs(const HostView& host, const std::string& module, const std::string& kernel) {
  const auto found = host.kernel_module(module, kernel);
  if (!found) return found.error().message;
  if (!found->available) return fmt::format("kernel {} has no module {}", kernel, module);
  if (std::binary_search(found->parameters.begin(), found->parameters.end(), "max_vfs")) return {};
  return fmt::format("the module {} that kernel {} will load is {}, which has no parameter max_vfs and makes no VFs", module, kernel,
                     found->built_in ? "built in" : found->file);
}

std::string why_not_bound(const std::vector<const gpu::Gpu*>& gpus, const std::string& driver) {
  for (const gpu::Gpu* gpu : gpus)
    if (gpu->driver != driver) return fmt::format("{} has {}, not {}", gpu->driver.value_or("no driver"), gpu->address, driver);
  return {};
}

std::string why_not_running(const HostView& host, const gpu::HostFacts& facts, const std::string& version, std::int64_t max_vfs,
                            const std::vector<const gpu::Gpu*>& gpus) {
  const gpu::IntelDriver& now = facts.i915;
  if (!now.loaded) return "i915 is not loaded";
  if (!now.max_vfs)
    return fmt::format("the kernel's own i915 runs, which makes no VFs; the next boot loads that of i915-sriov-dkms {}", version);
  if (now.max_vfs != max_vfs) return fmt::format("i915 runs with max_vfs={}, not {}", *now.max_vfs, max_vfs);
  if (std::string other = why_not_bound(gpus, "i915"); !other.empty()) return other;
  const auto file = host.kernel_module("i915", host.kernel_release());
  if (!file || !now.version || file->version.empty() || file->version == *now.version) return {};
  return fmt::format("i915 {} runs, not {}", *now.version, version);
}

text::KernelParameter blacklisted(std::string_view cmdline, std::string_view rival, std::string_view driver) {
  std::vector<std::string> names;
  for (const text::KernelParameter& parameter : text::parse_kernel_cmdline(cmdline))
    if (text::same_key(parameter.key, "module_blacklist")) names = text::split(parameter.value.value_or(""), ',');
  std::erase_if(names, [&](const std::string& name) { return name.empty() || name == driver; });
  if (std::find(names.begin(), names.end(), rival) == names.end()) names.emplace_back(rival);
  return {"module_blacklist", fmt::format("{}", fmt::join(names, ","))};
}

}  // namespace pvegpu::driver
