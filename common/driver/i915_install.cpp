// SPDX-License-Identifier: MIT
// Installing i915-sriov-dkms, and taking it away.
#include "common/driver/i915.hpp"
#include "common/host/programs.hpp"
#include "common/base/strings.hpp"

namespace pvegpu::driver {
namespace {

/// Whatever of it is there, whole or not.
Result<> remove_i915(Host& host, const std::string&) {
  if (i915_is_package(host)) (void)PVEGPU_TRY(run_checked(host, {"dpkg", "--purge", i915_package}, std::chrono::seconds(1200)));
  (void)PVEGPU_TRY(dkms_remove(host, i915_package));
  // a folder in which the archive was not unpacked yet
  for (const std::string& name : host.list_dir("/usr/src").value_or({}))
    if (name.starts_with(i915_source("").substr(sizeof "/usr/src")))
      (void)PVEGPU_TRY(run_checked(host, {"rm", "-rf", "--", "/usr/src/" + name}));
  return {};
}

/// A branch's archive has a placeholder, or another version, where DKMS wants the one of the folder.
std::string named_dkms_conf(const std::string& conf, const std::string& version) {
  std::string out;
  for (const std::string& line : text::lines(conf)) {
    if (text::trim(line).starts_with("PACKAGE_NAME="))
      out += fmt::format("PACKAGE_NAME=\"{}\"\n", i915_package);
    else if (text::trim(line).starts_with("PACKAGE_VERSION="))
      out += fmt::format("PACKAGE_VERSION=\"{}\"\n", version);
    else
      out += line + "\n";
  }
  return out;
}

Result<> unpack_source(Host& host, const std::string& copy, const std::string& version) {
  const std::string tree = i915_source(version), conf = tree + "/dkms.conf";
  (void)PVEGPU_TRY(run_checked(host, {"mkdir", "-p", "--", tree}));
  (void)PVEGPU_TRY(run_checked(host, {"tar", "--extract", "--file", copy, "--directory", tree, "--strip-components=1", "--no-same-owner"}));
  const auto text = host.read_file(conf);
  if (!text) return Error{fmt::format("the archive has no dkms.conf: it is no source of {}", i915_package)};
  (void)PVEGPU_TRY(host.write_file(conf, named_dkms_conf(*text, version)));
  return run_checked(host, {"dkms", "add", "-m", i915_package, "-v", version});
}

/// DKMS has built it, and it is what the kernel will load.
std::optional<std::string> built_i915(const HostView& host, const std::string& kernel) {
  return module_makes_vfs(host, "i915", kernel) ? dkms_installed(host, i915_package, kernel) : std::nullopt;
}

std::string why_not_built(const HostView& host, const std::string& kernel, const std::string& version) {
  if (std::string why = why_no_vfs(host, "i915", kernel); !why.empty()) return why;
  const auto built = dkms_installed(host, i915_package, kernel);
  return built == version ? std::string() : fmt::format("DKMS has {} for it", built.value_or("nothing"));
}

}  // namespace

// Sources of i915 and xe, and what a build leaves, are estimated.
const DriverKind i915_kind = {.module = i915_note,
                              .step = i915_package,
                              .build_step = "i915 with SR-IOV for kernel ",
                              .name = i915_package,
                              .by_hand = "apt-get purge i915-sriov-dkms",
                              .package = i915_package,
                              .in_initramfs = true,
                              .builds_for_running = false,
                              .rooms = {{1, 500}, {0, 0}, {10, 100}},
                              .installed = installed_i915,
                              .remove = remove_i915,
                              .built = built_i915,
                              .why_not_built = why_not_built};

Result<> install_i915(Host& host, const std::string& copy, const std::string& version, bool package) {
  const auto done =
      package ? run_checked(host, {"dpkg", "--install", copy}, std::chrono::seconds(3600)) : unpack_source(host, copy, version);
  if (done) return {};
  const auto log = host.read_file(fmt::format("/var/lib/dkms/{}/{}/build/make.log", i915_package, version));
  const auto lines = telling_lines(log.value_or(""));
  return Error{lines.empty() ? done.error().message : fmt::format("{} / {}", done.error().message, fmt::join(lines, " / "))};
}

}  // namespace pvegpu::driver
