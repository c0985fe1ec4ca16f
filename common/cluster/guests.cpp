// SPDX-License-Identifier: MIT
// Guests and whether they can move. What Proxmox VE checks itself: qemu-server's QemuMigrate/Helpers.pm (check_local_resources) and
// QemuMigrate.pm (scan_local_volumes), pve-container's Migrate.pm. It does not look at devices of containers; a GPU is one.
#include "common/cluster/guests.hpp"

#include "common/cluster/storage.hpp"
#include "common/cluster/vm.hpp"
#include "common/text/guest_config.hpp"
#include "common/text/guest_sections.hpp"
#include "common/text/property_string.hpp"
#include "common/text/section_config.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::cluster {
namespace {

using text::GuestSection;

std::optional<std::int64_t> vmid_of(std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return std::nullopt;
  name.remove_suffix(suffix.size());
  std::int64_t out = 0;
  const auto number = std::from_chars(name.data(), name.data() + name.size(), out);
  if (number.ec != std::errc() || number.ptr != name.data() + name.size()) return std::nullopt;
  return out;
}

std::set<std::int64_t> running_vms(const HostView& host) {
  std::set<std::int64_t> out;
  for (const std::string& name : host.list_dir("/run/qemu-server").value_or({}))
    if (const auto vmid = vmid_of(name, ".pid"); vmid && vm_runs(host, *vmid)) out.insert(*vmid);
  return out;
}

/// A running container holds the abstract socket "@/var/lib/lxc/VMID/command" (pve-container's LXC.pm, list_active_containers).
std::set<std::int64_t> running_containers(const HostView& host) {
  constexpr std::string_view before = "@/var/lib/lxc/", after = "/command";
  std::set<std::int64_t> out;
  for (const std::string& line : text::lines(host.read_file("/proc/net/unix").value_or(""))) {
    const auto at = line.find(before);
    if (at == line.npos) continue;
    if (const auto vmid = vmid_of(std::string_view(line).substr(at + before.size()), after)) out.insert(*vmid);
  }
  return out;
}

/// Resource mappings of one kind: which nodes have an entry.
struct Mapping {
  std::string id;
  std::set<std::string> nodes;
  bool live = false;
};

std::vector<Mapping> read_mappings(Reader& reader, const char* path) {
  std::vector<Mapping> out;
  for (const text::ConfigSection& section : text::parse_section_config(reader.file(path, "resource mappings").value_or("")).sections) {
    Mapping mapping;
    mapping.id = section.id;
    for (const auto& [key, value] : section.lines) {
      if (key == "live-migration-capable") mapping.live = value.empty() || value == "1";
      if (key != "map") continue;
      const auto entry = text::parse_property_string(value);
      if (!entry) continue;
      if (const std::string* node = entry->find("node")) mapping.nodes.insert(*node);
    }
    out.push_back(std::move(mapping));
  }
  return out;
}

struct Cluster {
  Storages storages;
  std::vector<Mapping> pci, usb, directories;
  std::vector<std::string> candidates;  ///< nodes that take guests
};

/// What a guest needs of the node it goes to.
struct Need {
  std::string what;             ///< "storage 'fast'"
  std::set<std::string> nodes;  ///< that have it
};

class Judge {
 public:
  Judge(Guest& guest, const Cluster& cluster, const std::vector<GuestSection>& sections)
      : guest_(guest), cluster_(cluster), sections_(sections) {}

  void run() {
    guest_.type == Guest::Type::vm ? judge_vm() : judge_container();
    for (const GuestSection& section : sections_)
      if (section.kind != GuestSection::Kind::other)
        for (const auto& [key, value] : section.values) judge_volume(section, key, value);
    if (!guest_.lock.empty()) pin(fmt::format("it is locked ({})", guest_.lock));
    find_targets();
  }

 private:
  void pin(std::string sentence) {
    if (std::find(guest_.pinned.begin(), guest_.pinned.end(), sentence) == guest_.pinned.end())
      guest_.pinned.push_back(std::move(sentence));
  }

  void need(const std::string& what, std::set<std::string> nodes) {
    if (std::none_of(needs_.begin(), needs_.end(), [&](const Need& n) { return n.what == what; }))
      needs_.push_back({what, std::move(nodes)});
  }

  /// "" for the current section, " (snapshot NAME)" for the others.
  static std::string place(const GuestSection& section) {
    if (section.kind == GuestSection::Kind::snapshot) return fmt::format(" (snapshot {})", section.name);
    return section.kind == GuestSection::Kind::pending ? " (pending)" : "";
  }

  // --- volumes --------------------------------------------------------------------------------------------------------------
  bool is_volume(const std::string& key) const {
    const std::string_view kind = text::numbered_key(key);
    if (guest_.type == Guest::Type::container) return key == "rootfs" || kind == "mp" || kind == "unused";
    return key == "vmstate" || kind == "ide" || kind == "scsi" || kind == "virtio" || kind == "sata" || kind == "efidisk" ||
           kind == "tpmstate" || kind == "unused";
  }

  void judge_volume(const GuestSection& section, const std::string& key, const std::string& value) {
    if (!is_volume(key)) return;
    const bool vm = guest_.type == Guest::Type::vm;
    const std::string where = key + place(section);
    const auto properties = text::parse_property_string(value, vm ? "file" : "volume");
    if (!properties) return pin(fmt::format("{} can't be understood: {}", where, properties.error().message));
    const std::string* volume = properties->find(vm ? "file" : "volume");
    if (!volume) volume = properties->find("volume");
    if (!volume || volume->empty() || *volume == "none") return;
    const std::string* media = properties->find("media");
    const std::string* shared = properties->find("shared");
    const bool cdrom = media && *media == "cdrom";
    if (cdrom && *volume == "cdrom") return pin(fmt::format("{} is this node's CD-ROM drive", where));
    if (volume->starts_with('/')) {
      if (!shared || *shared != "1") pin(fmt::format("{} is {} of this node", where, *volume));
      return;
    }
    const std::string id = volume->substr(0, volume->find(':'));
    const Storage* storage = cluster_.storages.find(id);
    if (!storage) return pin(fmt::format("{} is on storage '{}', which is not configured", where, id));
    std::set<std::string> nodes;
    for (const std::string& node : cluster_.candidates)
      if (storage->is_on(node)) nodes.insert(node);
    need(fmt::format("storage '{}'", id), std::move(nodes));
    if (storage->shared || key == "vmstate") return;  // the memory of a snapshot is copied along
    if (cdrom && !text::contains(*volume, "cloudinit"))
      return pin(fmt::format("{} has {} of this node in its CD-ROM drive; eject it", where, *volume));
    if (!storage->can_be_copied())
      return pin(fmt::format("{} is on storage '{}' of this node, of the kind {}, which can't be copied", where, id, storage->type));
    if (section.kind == GuestSection::Kind::snapshot && guest_.running && vm)
      return pin(fmt::format("{} is on storage '{}' of this node, and snapshots there can't be copied while it runs", where, id));
    if (text::numbered_key(key) == "unused" || cdrom || section.kind != GuestSection::Kind::current) return;  // copied along
    guest_.local_disks.push_back(fmt::format("{} is on storage '{}' of this node, so its data would have to be copied", where, id));
  }

  // --- devices --------------------------------------------------------------------------------------------------------------
  static const Mapping* find(const std::vector<Mapping>& all, const std::string& id) {
    const auto it = std::find_if(all.begin(), all.end(), [&](const Mapping& mapping) { return mapping.id == id; });
    return it == all.end() ? nullptr : &*it;
  }

  void judge_mapped(const std::string& key, const std::string& id, const std::vector<Mapping>& all) {
    const Mapping* mapping = find(all, id);
    if (!mapping) return pin(fmt::format("{} uses the mapping '{}', which does not exist", key, id));
    need(fmt::format("a device in mapping '{}'", id), mapping->nodes);
    if (guest_.running && !mapping->live)
      pin(fmt::format("{} holds a device of the mapping '{}', which can't be migrated live; it can move when it is stopped", key, id));
  }

  void judge_hostpci() {
    const text::GuestConfig config = text::current_config(sections_);
    for (const std::string& warning : config.warnings) pin(warning);
    for (const text::HostPci& entry : config.hostpci) {
      const std::string key = entry.key();
      if (!entry.mapping.empty()) {
        judge_mapped(key, entry.mapping, cluster_.pci);
        continue;
      }
      std::vector<std::string> addresses;
      for (const text::PciAddress& address : entry.addresses) addresses.push_back(address.str());
      pin(entry.mdev.empty()
              ? fmt::format("{} is the device {} of this node", key, fmt::join(addresses, " and "))
              : fmt::format("{} is a mediated device ({}) on {} of this node", key, entry.mdev, fmt::join(addresses, " and ")));
    }
  }

  void judge_vm() {
    judge_hostpci();
    const GuestSection& current = sections_[0];
    for (const auto& [key, value] : current.values) {
      const std::string_view kind = text::numbered_key(key);
      if (kind == "usb") {
        const auto properties = text::parse_property_string(value, "host");
        const std::string* host = properties ? properties->find("host") : nullptr;
        const std::string* mapping = properties ? properties->find("mapping") : nullptr;
        if (mapping)
          judge_mapped(key, *mapping, cluster_.usb);
        else if (!host || text::lower(*host) != "spice")
          pin(fmt::format("{} is a USB device of this node", key));
      } else if (kind == "virtiofs") {
        const auto properties = text::parse_property_string(value, "dirid");
        const std::string* id = properties ? properties->find("dirid") : nullptr;
        judge_mapped(key, id ? *id : std::string(), cluster_.directories);
      } else if ((kind == "serial" && value != "socket") || kind == "parallel") {
        pin(fmt::format("{} is {} of this node", key, value));
      } else if (key == "ivshmem") {
        pin("ivshmem shares memory with this node");
      } else if ((key == "amd-sev" || key == "intel-tdx") && guest_.running) {
        pin(fmt::format("{} encrypts its memory with a key of this node's CPU", key));
      } else if (key == "args" && text::contains(value, "vfio-pci")) {
        pin("args hands it a device of this node (vfio-pci)");
      }
    }
  }

  void judge_container() {
    for (const auto& [key, value] : sections_[0].values) {
      if (text::numbered_key(key) == "dev") {
        pin(fmt::format("{} is {} of this node", key, value.substr(0, value.find(','))));
      } else if (key == "lxc.mount.entry") {
        const std::string source = value.substr(0, value.find_first_of(" \t"));
        if (source.starts_with("/dev/dri") || source.starts_with("/dev/nvidia") || source.starts_with("/dev/kfd"))
          pin(fmt::format("lxc.mount.entry gives it {} of this node", source));
      }
    }
  }

  void find_targets() {
    std::vector<std::string> obstacles;
    for (const std::string& node : cluster_.candidates) {
      std::vector<std::string> lacking;
      for (const Need& each : needs_)
        if (!each.nodes.count(node)) lacking.push_back(each.what);
      if (lacking.empty())
        guest_.targets.push_back(node);
      else
        obstacles.push_back(fmt::format("{} lacks {}", node, fmt::join(lacking, " and ")));
    }
    if (!guest_.targets.empty()) return;
    guest_.no_target = cluster_.candidates.empty() ? std::string("there is no other node that could take it")
                                                   : fmt::format("no node can take it: {}", fmt::join(obstacles, ", "));
  }

  Guest& guest_;
  const Cluster& cluster_;
  const std::vector<GuestSection>& sections_;
  std::vector<Need> needs_;
};

}  // namespace

std::vector<std::string> Guest::reasons() const {
  std::vector<std::string> out = pinned;
  out.insert(out.end(), local_disks.begin(), local_disks.end());
  if (!no_target.empty()) out.push_back(no_target);
  return out;
}

std::vector<Guest> read_guests(Reader& reader, const Membership& membership, const Ha& ha, const std::set<std::string>& away) {
  const HostView& host = reader.host();
  const auto vms = running_vms(host), containers = running_containers(host);
  std::vector<Guest> out;
  const auto add = [&](Guest::Type type, std::int64_t vmid) -> Guest& {
    Guest& guest = out.emplace_back();
    guest.type = type;
    guest.vmid = vmid;
    guest.running = (type == Guest::Type::vm ? vms : containers).count(vmid) > 0;
    return guest;
  };
  if (!membership.pmxcfs) {
    for (const auto& [type, all] : {std::pair(Guest::Type::vm, vms), std::pair(Guest::Type::container, containers)})
      for (const std::int64_t vmid : all) add(type, vmid).no_target = "its configuration can't be read";
    return out;
  }

  Cluster cluster{read_storages(reader),
                  read_mappings(reader, "/etc/pve/mapping/pci.cfg"),
                  read_mappings(reader, "/etc/pve/mapping/usb.cfg"),
                  read_mappings(reader, "/etc/pve/mapping/directory.cfg"),
                  {}};
  for (const Node& node : membership.nodes)
    if (node.name != membership.node && node.online && !away.count(node.name)) cluster.candidates.push_back(node.name);

  struct Kind {
    Guest::Type type;
    const char *directory, *name_key, *ha_type;
  };
  for (const Kind& kind : {Kind{Guest::Type::vm, "qemu-server", "name", "vm"}, Kind{Guest::Type::container, "lxc", "hostname", "ct"}}) {
    const std::string directory = fmt::format("/etc/pve/nodes/{}/{}", membership.node, kind.directory);
    for (const std::string& file : reader.list(directory, "guests of this node").value_or(std::vector<std::string>())) {
      const auto vmid = vmid_of(file, ".conf");
      if (!vmid) continue;
      const std::string path = fmt::format("{}/{}", directory, file);
      const auto text = reader.file(path, "configuration of a guest");
      if (!text && !host.exists(path)) continue;  // moved or destroyed meanwhile
      Guest& guest = add(kind.type, *vmid);
      if (!text) {
        guest.no_target = "its configuration can't be read";
        continue;
      }
      const auto sections = text::parse_guest_sections(*text);
      if (const std::string* name = sections[0].find(kind.name_key)) guest.name = *name;
      if (const std::string* lock = sections[0].find("lock")) guest.lock = *lock;
      if (const HaService* service = ha.find(fmt::format("{}:{}", kind.ha_type, *vmid)); service && service->request != "none")
        guest.ha_request = service->request;
      Judge(guest, cluster, sections).run();
    }
  }
  // The process of a VM that is being migrated here runs before its configuration moves.
  for (const std::int64_t vmid : vms)
    if (std::none_of(out.begin(), out.end(), [&](const Guest& guest) { return guest.vmid == vmid; })) {
      Guest& guest = add(Guest::Type::vm, vmid);
      guest.arriving = true;
      guest.no_target = "it has no configuration on this node: it is being migrated here";
    }
  std::sort(out.begin(), out.end(), [](const Guest& a, const Guest& b) { return a.vmid < b.vmid; });
  return out;
}

}  // namespace pvegpu::cluster
