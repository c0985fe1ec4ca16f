// SPDX-License-Identifier: MIT
// i915-sriov-dkms in memory.
#include "tests/laws/fake_i915.hpp"

#include "common/catalogue/catalogue.hpp"
#include "common/driver/i915.hpp"
#include "common/base/strings.hpp"

namespace pvegpu::laws {
namespace {

using Argv = std::vector<std::string>;

const std::string package_list = "/var/lib/dpkg/info/i915-sriov-dkms.list", tree = "/var/lib/dkms/i915-sriov-dkms";

std::string source_of(const std::string& version) { return "/usr/src/i915-sriov-dkms-" + version; }
std::string link_of(const std::string& kernel) { return fmt::format("{}/kernel-{}-x86_64", tree, kernel); }
std::string module_of(const std::string& kernel) { return fmt::format("/lib/modules/{}/updates/dkms/i915.ko", kernel); }

/// dkms install: outside of the window of its dkms.conf it skips (dkms 3: exit code 77).
CommandResult build(FakeHost& host, const std::string& version, const std::string& kernel, const std::string& mode) {
  if (!host.exists(source_of(version) + "/dkms.conf")) return {3, false, "", "Error! Could not find module source directory.\n"};
  if (catalogue::dkms_builds(version, kernel) == catalogue::Verdict::no)
    return {77, false, "", "Error! The dkms.conf for this module includes a BUILD_EXCLUSIVE directive which does not match this kernel.\n"};
  if (mode == "fails") {
    host.file(
        fmt::format("{}/{}/build/make.log", tree, version),
        fmt::format("make[1]: Entering directory '/usr/src/linux-headers-{}'\ni915_drv.c:42:10: fatal error: drm/drm_buddy.h: No such "
                    "file or directory\n",
                    kernel));
    return {10, false, "", fmt::format("Error! Bad return status for module build on kernel: {} (x86_64)\n", kernel)};
  }
  host.file(module_of(kernel), "version=" + version + "\nparm=enable_guc\n" + (mode == "stock" ? "" : "parm=max_vfs\n"));
  host.file(fmt::format("{}/{}/{}/x86_64/log/make.log", tree, version, kernel), "built\n");
  if (host.stat(link_of(kernel), Links::keep)) host.gone(link_of(kernel));
  host.link(link_of(kernel), fmt::format("{}/{}/x86_64", version, kernel));
  return {};
}

/// dkms remove --all
void unbuild(FakeHost& host, const std::string& version) {
  for (const std::string& kernel : host.list_dir("/lib/modules").value_or({}))
    if (driver::dkms_installed(host, driver::i915_package, kernel) == version) {
      host.take(module_of(kernel), "/lib/modules/" + kernel);
      host.take(link_of(kernel), "/var/lib");
    }
  if (host.exists(tree + "/" + version)) host.gone(tree + "/" + version);
  host.take(tree + "/none", "/var/lib");
}

void purge(FakeHost& host) {
  for (const std::string& version : driver::dkms_sources(host, driver::i915_package)) {
    unbuild(host, version);
    host.take(source_of(version) + "/dkms.conf", "/usr/src");
  }
  host.take(package_list, "/var/lib");
}

/// dpkg --install: the version before goes, the sources come, the package's script builds for the running kernel.
CommandResult install(FakeHost& host, const std::string& version, const std::string& mode) {
  purge(host);
  host.file(package_list, "/.\n");
  host.file(source_of(version) + "/dkms.conf", fmt::format("PACKAGE_NAME=\"i915-sriov-dkms\"\nPACKAGE_VERSION=\"{}\"\n", version));
  if (mode == "dies") return {137, false, "", ""};
  host.dir(tree + "/" + version);
  const CommandResult built = build(host, version, host.kernel_release(), mode);
  if (built.exit_code == 0 || built.exit_code == 77) return {};  // the script takes a skipped build for success
  return {1, false, "",
          built.err +
              "dpkg: error processing package i915-sriov-dkms (--install):\n installed i915-sriov-dkms package post-installation script "
              "subprocess returned error exit status 10\n"};
}

}  // namespace

void add_i915(FakeHost& host, const json& knobs) {
  const std::string mode = knobs.value("build", "ok");
  for (const std::string& name : host.list_dir("/root").value_or({})) {
    const auto file = driver::parse_i915_file(name);
    const std::string copy = fmt::format("{}/{}", driver::copies_of(driver::i915_kind), text::sha256_hex(host.bytes("/root/" + name)));
    if (file.kind == driver::I915File::Kind::package)
      host.program("dpkg --install " + copy,
                   [version = file.version, mode](FakeHost& h, const Argv&) { return install(h, version, mode); });
    if (file.kind == driver::I915File::Kind::source)
      host.program("tar --extract --file " + copy, [](FakeHost& h, const Argv& argv) {
        h.file(argv.at(5) + "/dkms.conf", "PACKAGE_NAME=\"@_PKGBASE@\"\nPACKAGE_VERSION=\"@PKGVER@\"\nAUTOINSTALL=\"yes\"\n");
        return CommandResult{};
      });
  }
  host.program("dpkg --purge i915-sriov-dkms", [](FakeHost& h, const Argv&) {
    purge(h);
    return CommandResult{};
  });
  host.program("dkms add", [](FakeHost& h, const Argv& argv) {
    h.dir(tree + "/" + argv.at(5));
    return CommandResult{};
  });
  host.program("dkms install", [mode](FakeHost& h, const Argv& argv) { return build(h, argv.at(5), argv.at(7), mode); });
  host.program("dkms remove", [](FakeHost& h, const Argv& argv) {
    unbuild(h, argv.at(5));
    return CommandResult{};
  });
  host.program("mkdir -p --", [](FakeHost& h, const Argv& argv) {
    if (!h.exists(argv.at(3))) h.dir(argv.at(3));
    return CommandResult{};
  });
  host.program("rm -rf --", [](FakeHost& h, const Argv& argv) {
    if (h.exists(argv.at(3))) h.gone(argv.at(3));
    return CommandResult{};
  });
  // i915 is among the first that an initramfs loads.
  host.product("/boot/initrd.img", "update-initramfs",
               {"/etc/modprobe.d", "/etc/modules", "/etc/modules-load.d", "/etc/initramfs-tools", "/lib/modules"});
  if (const std::string version = knobs.value("installed", ""); !version.empty()) (void)install(host, version, "ok");
}

}  // namespace pvegpu::laws
