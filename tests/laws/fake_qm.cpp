// SPDX-License-Identifier: MIT
// qm set VMID --hostpciN VALUE | --delete hostpciN [--digest SHA1].
#include "tests/laws/fake_qm.hpp"

#include "common/text/guest_sections.hpp"
#include "common/text/sha1.hpp"
#include "common/text/strings.hpp"

namespace pvegpu {
namespace {

using Values = std::map<std::string, std::string>;

struct Config {
  std::string comments;  ///< the description
  Values now, pending;
  std::string rest;  ///< snapshots, as they are
};

Config parse(const std::string& text) {
  Config out;
  Values* values = &out.now;
  for (const std::string& line : text::lines(text)) {
    if (line == "[PENDING]") {
      values = &out.pending;
      continue;
    }
    if (line.starts_with('[')) values = nullptr;
    if (!values) {
      out.rest += line + "\n";
    } else if (line.starts_with('#')) {
      out.comments += line + "\n";
    } else if (const auto colon = line.find(": "); colon != line.npos) {
      (*values)[line.substr(0, colon)] = line.substr(colon + 2);
    }
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

CommandResult set(FakeHost& host, const std::vector<std::string>& argv) {
  const std::string vmid = argv.at(2), path = "/etc/pve/local/qemu-server/" + vmid + ".conf";
  const auto bytes = host.read_file(path);
  if (!bytes) return {2, false, "", "Configuration file 'nodes/this/qemu-server/" + vmid + ".conf' does not exist\n"};
  Config config = parse(*bytes);
  Values given;
  for (std::size_t i = 3; i + 1 < argv.size(); i += 2) given[argv[i].substr(2)] = argv[i + 1];
  if (given.count("digest") && given["digest"] != text::sha1_hex(*bytes)) return fail("checksum mismatch (file change by other user?)");
  if (config.now.count("lock")) return fail("VM is locked (" + config.now["lock"] + ")");
  given.erase("digest");
  const std::string gone = given.count("delete") ? given["delete"] : "";
  given.erase("delete");
  const auto pid = host.read_attr("/run/qemu-server/" + vmid + ".pid");
  const bool runs = pid && host.exists("/proc/" + *pid);
  for (const auto& [key, value] : given) {
    if (!key.starts_with("hostpci")) return {2, false, "", "Unknown option: " + key + "\n400 unable to parse option\n"};
    if (value.empty() || text::contains(value, "mapping=") == text::contains(value, ":"))
      return {255, false, "", "400 Parameter verification failed.\n" + key + ": invalid format\n"};
  }
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
  return {0, false, "update VM " + vmid + "\n", ""};
}

}  // namespace

void add_qm(FakeHost& host) { host.program("qm set", set); }

}  // namespace pvegpu
