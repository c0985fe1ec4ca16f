// SPDX-License-Identifier: MIT
// pvesh create, set and delete of PCI mappings: PVE::API2::Cluster::Mapping::PCI.
#include "tests/laws/fake_pvesh.hpp"

#include "common/text/pci_mapping.hpp"
#include "common/text/pve_version.hpp"
#include "common/base/sha1.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::laws {
namespace {

constexpr const char* base = "/cluster/mapping/pci";
constexpr const char* file = "/etc/pve/mapping/pci.cfg";

CommandResult refused(const std::string& text, int code = 255) { return {code, false, "", text + "\n"}; }

/// Parameters that are not valid: what is wrong, then the usage (PVE::RESTHandler, cli_handler).
CommandResult wrong(const std::string& verb, const std::string& text) {
  return refused(fmt::format("{}\npvesh {} <api_path>{} [OPTIONS] [FORMAT_OPTIONS]", text, verb,
                             verb == "create" ? " --id <string> --map <array>" : ""),
                 2);
}

/// createSchema and updateSchema of PVE::SectionConfig.
bool knows(const std::string& verb, const std::string& option, bool live) {
  std::vector<std::string> known;
  if (verb != "delete") known = {"map", "description", "mdev"};
  if (verb != "delete" && live) known.emplace_back("live-migration-capable");
  if (verb == "create") known.emplace_back("id");
  if (verb == "set") known.insert(known.end(), {"digest", "delete"});
  return std::find(known.begin(), known.end(), option) != known.end();
}

CommandResult pvesh(FakeHost& host, const std::vector<std::string>& argv) {
  const std::string verb = argv.at(1), path = argv.at(2);
  const auto version = text::parse_pvecfg(host.read_file("/usr/share/perl5/PVE/pvecfg.pm").value_or(""));
  if (!version || version->major < 8) return refused(fmt::format("No '{}' handler defined for '{}'", verb, path), 1);
  if (!host.exists("/etc/pve/local")) return refused("ipcc_send_rec[1] failed: Connection refused", 111);

  const bool old = version->version.starts_with("8.0") || version->version.starts_with("8.1") || version->version.starts_with("8.2") ||
                   version->version.starts_with("8.3");
  std::map<std::string, std::vector<std::string>> options;
  for (std::size_t i = 3; i + 1 < argv.size(); i += 2) {
    const std::string key = argv[i].substr(2);
    if (!argv[i].starts_with("--") || !knows(verb, key, !old))
      return wrong(verb, fmt::format("Unknown option: {}\n400 unable to parse option", key));
    options[key].push_back(argv[i + 1]);
  }
  const auto option = [&](const char* key) { return options.count(key) ? options[key][0] : std::string(); };
  const std::string id = path == base ? option("id") : path.substr(std::string(base).size() + 1);
  const char* action = verb == "create" ? "create hardware mapping failed"
                       : verb == "set"  ? "update hardware mapping failed"
                                        : "delete pci mapping failed";
  const auto fail = [&](const std::string& text) { return refused(fmt::format("{}: {}", action, text)); };

  const auto invalid = [&](const std::string& text) { return wrong(verb, "400 Parameter verification failed.\n" + text); };

  text::PciMapping given;
  given.id = id;
  for (const std::string& map : options["map"]) {
    auto entry = text::parse_map_entry(map);
    if (!entry)
      return invalid(fmt::format("map[{0}]: invalid format - format error\nmap[{0}]: {1}\n", given.entries.size(), entry.error().message));
    given.entries.push_back(*std::move(entry));
  }
  if (verb == "create" && given.entries.empty()) return invalid("map: property is missing and it is not optional");
  if (verb == "create" && !text::is_mapping_id(id)) return invalid(fmt::format("id: invalid format - invalid configuration ID '{}'\n", id));
  if (option("digest").size() > 64) return invalid("digest: value may only be 64 characters long");
  if (option("description").size() > 4096) return invalid("description: value may only be 4096 characters long");
  if (const std::string lock = "/etc/pve/priv/lock/file-mapping_pci_cfg"; host.exists(lock)) {
    host.pause(std::chrono::seconds(10));
    if (host.exists(lock) && !host.break_cluster_lock(lock)) return fail("cfs-lock 'file-mapping_pci_cfg' error: got lock request timeout");
  }

  const std::string bytes = host.read_file(file).value_or("");
  text::PciMappings config = text::parse_pci_mappings(bytes);
  const auto at = std::find_if(config.mappings.begin(), config.mappings.end(), [&](const auto& mapping) { return mapping.id == id; });
  if (verb == "create") {
    if (at != config.mappings.end()) return fail(fmt::format("pci ID '{}' already defined", id));
  } else if (verb == "set") {
    if (const std::string digest = option("digest"); !digest.empty() && digest != text::sha1_hex(bytes))
      return fail("detected modified configuration - file changed by other user? Try again.");
    if (at == config.mappings.end()) return fail(fmt::format("pci ID '{}' does not exist", id));
    if (given.entries.empty()) return fail("missing value for required option 'map'");
  }
  const auto take = [&](text::PciMapping& mapping) {
    mapping.entries = given.entries;
    if (options.count("description")) mapping.description = option("description");
    if (options.count("mdev")) mapping.mdev = option("mdev") == "1", mapping.mdev_given = true;
    if (options.count("live-migration-capable"))
      mapping.live_migration_capable = option("live-migration-capable") == "1", mapping.live_given = true;
    if (!options.count("delete")) return;
    for (const std::string& key : text::split(option("delete"), ',')) {
      if (key == "description") mapping.description.clear();
      if (key == "mdev") mapping.mdev = mapping.mdev_given = false;
      if (key == "live-migration-capable") mapping.live_migration_capable = mapping.live_given = false;
    }
  };
  if (verb == "create") {
    take(given);
    config.mappings.push_back(given);
  } else if (verb == "set") {
    take(*at);
  } else if (at != config.mappings.end()) {
    config.mappings.erase(at);
  }
  // A section without a valid entry is kept as nothing, and nothing has no type.
  if (!config.poisoned.empty()) return fail("unknown section type ''");
  if (option("description").find_first_of("\r\n") != std::string::npos) return fail("property 'description' contains a line feed");
  const std::string next = text::print_pci_mappings(config.mappings);
  if (next.size() > std::size_t{1} << 20U) return fail("unable to write '/etc/pve/mapping/pci.cfg.tmp.1' - File too large");
  if (!host.exists("/etc/pve/mapping")) return fail("unable to open file '/etc/pve/mapping/pci.cfg.tmp.1' - No such file or directory");
  const auto now = host.stat(file);
  host.file(file, next, now ? now->mode : 0640, now ? now->uid : 0, now ? now->gid : 33);
  std::string warnings;
  for (const std::string& warning : config.warnings) warnings += fmt::format("file {} - {}\n", file, warning);
  return {0, false, "", warnings};
}

}  // namespace

void add_pvesh(FakeHost& host) {
  if (!host.exists("/etc/pve/local")) return;
  host.dir("/etc/pve/priv/lock", 0700);
  for (const char* verb : {"create", "set", "delete"}) host.program(fmt::format("pvesh {}", verb), pvesh);
}

}  // namespace pvegpu::laws
