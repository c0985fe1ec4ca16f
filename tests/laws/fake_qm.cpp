// SPDX-License-Identifier: MIT
// qm set VMID --hostpciN VALUE | --delete hostpciN [--digest SHA1].
#include "tests/laws/fake_qm.hpp"

#include "common/text/guest_sections.hpp"
#include "common/base/sha1.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

using Values = std::map<std::string, std::string>;

struct Config {
  std::string comments;  ///< the description
  Values now, pending;
  std::string rest;  ///< snapshots, as they are
};

/// $hostpci_fmt, as far as it tells a device from nonsense. Root may set both `host` and `mapping`, and neither: the start refuses that.
bool hostpci_format(const std::string& value) {
  static const std::vector<std::string> keys = {"host",   "mapping",       "mdev",         "pcie",      "x-vga",
                                                "rombar", "romfile",       "legacy-igd",   "vendor-id", "device-id",
                                                "driver", "sub-vendor-id", "sub-device-id"};
  for (const std::string& part : text::split(value, ',')) {
    const auto sign = part.find('=');
    const std::string key = sign == part.npos ? "host" : part.substr(0, sign), text = sign == part.npos ? part : part.substr(sign + 1);
    if (text.empty() || std::find(keys.begin(), keys.end(), key) == keys.end()) return false;
    if (key == "host" && (text.find(':') == text.npos || text.find_first_not_of("0123456789abcdef:.;") != text.npos)) return false;
  }
  return true;
}

bool known(const std::string& key) {
  static const std::vector<std::string> names = {
      "acpi",     "agent",    "args",        "autostart", "balloon",    "bios",   "boot",    "bootdisk", "cores",   "cpu",
      "cpulimit", "cpuunits", "description", "hotplug",   "kvm",        "lock",   "machine", "memory",   "meta",    "name",
      "numa",     "onboot",   "ostype",      "parent",    "protection", "reboot", "scsihw",  "shares",   "smbios1", "sockets",
      "startup",  "tablet",   "tags",        "template",  "vcpus",      "vga",    "vmgenid", "vmstate",  "snaptime"};
  static const std::vector<std::string> numbered = {"audio", "efidisk", "hostpci", "ide",      "ipconfig", "net", "parallel", "rng",
                                                    "sata",  "scsi",    "serial",  "tpmstate", "unused",   "usb", "virtio"};
  const auto has = [](const std::vector<std::string>& list, std::string_view word) {
    return std::find(list.begin(), list.end(), word) != list.end();
  };
  return has(names, key) || has(numbered, text::numbered_key(key));
}

/// parse_vm_config: what is not valid is warned of, and gone at the next write.
Config parse(const std::string& text, const std::string& vmid, std::string& warnings) {
  Config out;
  Values* values = &out.now;
  for (const std::string& whole : text::lines(text)) {
    const std::string line = text::trim_right(whole);
    if (line == "[PENDING]") {
      values = &out.pending;
      continue;
    }
    if (line.starts_with('[')) values = nullptr;
    if (!values) {
      out.rest += line + "\n";
      continue;
    }
    if (line.starts_with('#')) {
      out.comments += line + "\n";
      continue;
    }
    if (line.empty()) continue;
    const auto colon = line.find(':');
    const std::string key = line.substr(0, colon), value = colon == line.npos ? std::string() : text::trim(line.substr(colon + 1));
    if (value.empty() || key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") != key.npos)
      warnings += fmt::format("vm {} - unable to parse config: {}\n", vmid, line);
    else if (key == "delete" ? values != &out.pending : !known(key))
      warnings += fmt::format("vm {} - unable to parse value of '{}' - unknown setting '{}'\n", vmid, key, key);
    else if (key.starts_with("hostpci") && !hostpci_format(value))
      warnings += fmt::format("vm {} - unable to parse value of '{}' - format error\n", vmid, key);
    else
      (*values)[key] = value;
  }
  return out;
}

/// QemuServer.pm, write_vm_config: sections by sorted keys.
std::string print(const Config& config) {
  std::string out = config.comments;
  for (const auto& [key, value] : config.now) out += key + ": " + value + "\n";
  if (!config.pending.empty()) out += "\n[PENDING]\n";
  for (const auto& [key, value] : config.pending) out += key + ": " + value + "\n";
  return config.rest.empty() ? out : out + "\n" + config.rest;
}

CommandResult fail(const std::string& text) { return {255, false, "", text + "\n"}; }

/// Parameters that are not valid: what is wrong, then the usage (PVE::RESTHandler, cli_handler).
CommandResult wrong(const std::string& text) { return {2, false, "", text + "\nqm set <vmid> [OPTIONS]\n"}; }

CommandResult set(FakeHost& host, const std::vector<std::string>& argv) {
  const std::string vmid = argv.at(2), path = "/etc/pve/local/qemu-server/" + vmid + ".conf";
  const auto bytes = host.read_file(path);
  if (!bytes) return {2, false, "", "Configuration file 'nodes/this/qemu-server/" + vmid + ".conf' does not exist\n"};
  std::string warnings;
  Config config = parse(*bytes, vmid, warnings);
  Values given;
  for (std::size_t i = 3; i + 1 < argv.size(); i += 2) given[argv[i].substr(2)] = argv[i + 1];
  for (const auto& [key, value] : given) {
    if (key != "digest" && key != "delete" && !known(key)) return wrong("Unknown option: " + key + "\n400 unable to parse option");
    if (key.starts_with("hostpci") && !hostpci_format(value))
      return wrong(fmt::format("400 Parameter verification failed.\n{}: invalid format - format error\n", key));
    if (key == "digest" && value.size() > 64)
      return wrong("400 Parameter verification failed.\ndigest: value may only be 64 characters long");
  }
  if (given.count("digest") && given["digest"] != text::sha1_hex(*bytes)) return fail("checksum mismatch (file change by other user?)");
  if (config.now.count("lock")) return fail("VM is locked (" + config.now["lock"] + ")");
  given.erase("digest");
  const std::string gone = given.count("delete") ? given["delete"] : "";
  given.erase("delete");
  const auto pid = host.read_attr("/run/qemu-server/" + vmid + ".pid");
  const bool runs = pid && host.exists("/proc/" + *pid);
  // PVE::AbstractConfig::cleanup_pending: what is as it was is not pending.
  for (const auto& [key, value] : given) {
    config.pending.erase(key);
    const auto now = config.now.find(key);
    if (config.pending.count("delete") && config.pending["delete"] == key) config.pending.erase("delete");
    if (now != config.now.end() && now->second == value) continue;
    (runs ? config.pending : config.now)[key] = value;
  }
  if (!gone.empty()) {
    config.pending.erase(gone);
    if (!runs)
      config.now.erase(gone);
    else if (config.now.count(gone))
      config.pending["delete"] = gone;
  }
  host.file(path, print(config), 0640);
  return {0, false, "update VM " + vmid + "\n", warnings};
}

}  // namespace

void add_qm(FakeHost& host) { host.program("qm set", set); }

}  // namespace pvegpu
