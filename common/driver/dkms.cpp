// SPDX-License-Identifier: MIT
// DKMS.
#include "common/driver/dkms.hpp"

#include "common/catalogue/catalogue.hpp"
#include "common/host/programs.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::driver {

std::string headers_package(const std::string& kernel, int pve_release) {
  const auto series = catalogue::parse_major_minor(kernel);
  const bool old = pve_release == 7 || (series && *series < catalogue::MajorMinor{6, 5});
  return (old ? "pve-headers-" : "proxmox-headers-") + kernel;
}

namespace {

/// (what is missing, the package that has it)
std::vector<std::pair<std::string, std::string>> missing_things(const HostView& host, const std::string& kernel, int pve_release) {
  std::vector<std::pair<std::string, std::string>> out;
  const auto need = [&](bool there, const std::string& thing, const std::string& package) {
    if (!there) out.emplace_back(thing, package);
  };
  const auto any = [&](std::initializer_list<const char*> paths) {
    return std::any_of(paths.begin(), paths.end(), [&](const char* path) { return host.exists(path); });
  };
  // The link `build` of a removed headers package dangles.
  const bool headers = host.exists(fmt::format("/lib/modules/{}/build/Makefile", kernel)) ||
                       host.exists(fmt::format("/usr/src/linux-headers-{}/Makefile", kernel));
  need(headers, "the headers of kernel " + kernel, headers_package(kernel, pve_release));
  need(any({"/usr/bin/gcc", "/usr/bin/cc"}), "a C compiler", "gcc");
  need(any({"/usr/bin/make"}), "make", "make");
  need(any({"/usr/sbin/dkms", "/usr/bin/dkms"}), "DKMS", "dkms");
  return out;
}

}  // namespace

std::string missing_for_build(const HostView& host, const std::string& kernel, int pve_release) {
  std::vector<std::string> what, packages;
  for (const auto& [thing, package] : missing_things(host, kernel, pve_release)) {
    what.push_back(thing);
    packages.push_back(package);
  }
  if (what.empty()) return {};
  return fmt::format("{} {} missing: install {}", fmt::join(what, ", "),
                     what.size() == 1 && !text::contains(what[0], "headers") ? "is" : "are", fmt::join(packages, " "));
}

std::string missing_for_build(const HostView& host, const std::string& kernel, int pve_release, Missing missing,
                              std::vector<std::string>& packages) {
  if (missing == Missing::refuse) return missing_for_build(host, kernel, pve_release);
  for (const auto& [thing, package] : missing_things(host, kernel, pve_release))
    if (std::find(packages.begin(), packages.end(), package) == packages.end()) packages.push_back(package);
  return {};
}

std::optional<std::string> built_version(const HostView& host, const std::string& module, const std::string& kernel) {
  const auto found = host.kernel_module(module, kernel);
  if (!found || !found->available || found->file.empty()) return std::nullopt;
  return found->version;
}

Signing signing(const HostView& host, const BootFacts& boot) {
  if (!boot.secure_boot.value_or(false)) return Signing::not_needed;
  if (!host.exists(signing_key)) return Signing::missing;
  const auto answer = host.query(Query::mok_state(signing_key));
  if (!answer) return Signing::unknown;
  // mokutil.c of 0.6 and 0.7
  if (text::contains(answer->out, "is already enrolled") || text::contains(answer->out, "is already in db")) return Signing::trusted;
  if (text::contains(answer->out, "is already in the enrollment request")) return Signing::requested;
  if (text::contains(answer->out, "is not enrolled")) return Signing::missing;
  return Signing::unknown;
}

std::string signing_advice(const HostView& host, Signing state) {
  const std::string at_boot =
      "at the next boot, on the host's own console, within ten seconds: press any key in the blue screen 'Shim UEFI key management', "
      "then choose 'Enroll MOK', 'Continue', 'Yes', type that password, and choose 'Reboot'";
  switch (state) {
    case Signing::not_needed:
    case Signing::trusted:
      return {};
    case Signing::requested:
      return fmt::format("Secure Boot is on and the key {} waits to be confirmed: {}", signing_key, at_boot);
    case Signing::unknown:
      return fmt::format(
          "Secure Boot is on, and whether the firmware trusts the key {} can't be asked: install mokutil and see mokutil --test-key {}",
          signing_key, signing_key);
    case Signing::missing:
      break;
  }
  return fmt::format(
      "Secure Boot is on and the firmware does not trust {0}, the key that DKMS signs with: run {1}mokutil --import {0} and give it a "
      "password to use once; {2}. Or switch Secure Boot off in the BIOS setup",
      signing_key, host.exists(signing_key) ? "" : "dkms generate_mok, then ", at_boot);
}

namespace {

bool has_any(const std::string& line, std::initializer_list<const char*> signs) {
  return std::any_of(signs.begin(), signs.end(), [&](const char* sign) { return text::contains(line, sign); });
}

/// What installers and drivers say on every host, or about every failure.
bool is_boilerplate(const std::string& line) {
  return has_any(line, {"Installation has failed", "NVRM: loading NVIDIA UNIX", "32-bit compatibility", "libglvnd", "X library path",
                        "pkg-config", "You may find suggestions on fixing", "NVRM: Please see", "NVRM: www.nvidia.com"});
}

/// Without the guesses that NVIDIA's installer adds to every module that can't be loaded.
std::string without_guesses(std::string line) {
  for (const char* start : {"  This happens most", " This happens most", "  Please see the log", "  Please see the file"})
    if (const auto at = line.find(start); at != line.npos) line.erase(at);
  return line;
}

}  // namespace

std::vector<std::string> telling_lines(std::string_view log, std::size_t most) {
  std::vector<std::pair<bool, std::string>> all;  // whether it names the cause itself
  for (const std::string& line : text::lines(log)) {
    std::string trimmed = without_guesses(text::trim(line).substr(0, 300));
    const bool cause =
        !trimmed.starts_with("-> ") && has_any(trimmed, {"NVRM:", "Unknown symbol", "unknown symbol", "disagrees about version",
                                                         "not found", "error:", "No space left", "Key was rejected"});
    const bool failure = has_any(
        trimmed, {"ERROR", "Error!", "Error 1", "Error 2", "Nouveau", "-> Kernel module", "Unable to", "make.log", "Bad return status"});
    if ((!cause && !failure) || is_boilerplate(trimmed)) continue;
    if (all.empty() || all.back().second != trimmed) all.emplace_back(cause, std::move(trimmed));
  }
  // Where there are too many, what names the cause stays.
  std::size_t causes = 0;
  for (const auto& [cause, line] : all) causes += cause;
  std::size_t room = most - std::min(causes, most);
  std::vector<std::string> out;
  for (auto& [cause, line] : all) {
    if (out.size() == most) break;
    if (!cause && room == 0) continue;
    if (!cause) --room;
    out.push_back(std::move(line));
  }
  return out;
}

std::vector<std::string> dkms_sources(const HostView& host, const std::string& name) {
  std::vector<std::string> out;
  for (const std::string& entry : host.list_dir("/usr/src").value_or({}))
    if (entry.starts_with(name + "-") && host.exists("/usr/src/" + entry + "/dkms.conf")) out.push_back(entry.substr(name.size() + 1));
  return out;
}

std::optional<std::string> dkms_installed(const HostView& host, const std::string& name, const std::string& kernel) {
  const auto link = host.read_link(fmt::format("/var/lib/dkms/{}/kernel-{}-x86_64", name, kernel));
  return link ? std::optional(text::split(*link, '/')[0]) : std::nullopt;
}

Programs dkms_install(const std::string& name, const std::string& version, const std::string& kernel) {
  return {{{"dkms", "install", "-m", name, "-v", version, "-k", kernel, "--force"}},
          std::chrono::seconds(3600),
          [log = fmt::format("/var/lib/dkms/{}/{}/build/make.log", name, version)](const HostView& host, const std::string& failed) {
            const auto lines = telling_lines(host.read_file(log).value_or(""));
            return lines.empty() ? failed : fmt::format("{}: {}", failed, fmt::join(lines, " / "));
          }};
}

Result<> dkms_remove(Host& host, const std::string& name) {
  for (const std::string& version : dkms_sources(host, name)) {  // an installer that died leaves it
    if (host.exists(fmt::format("/var/lib/dkms/{}/{}", name, version)))
      (void)PVEGPU_TRY(run_checked(host, {"dkms", "remove", "-m", name, "-v", version, "--all"}));
    (void)PVEGPU_TRY(run_checked(host, {"rm", "-rf", "--", fmt::format("/usr/src/{}-{}", name, version)}));
  }
  return {};
}

}  // namespace pvegpu::driver
