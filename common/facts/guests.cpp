// SPDX-License-Identifier: MIT
// Guests and their GPUs.
#include "common/facts/guests.hpp"

#include "common/cluster/vm.hpp"
#include "common/facts/offered_types.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::gpu {
namespace {

constexpr const char* run_dir = "/run/qemu-server";

std::optional<std::vector<Guest>> read_guests(Reader& reader, const HostFacts& facts) {
  if (!facts.node) return std::vector<Guest>();
  const std::string dir = fmt::format("/etc/pve/nodes/{}/qemu-server", *facts.node);
  const auto names = reader.host().list_dir(dir);
  if (!names) {
    if (names.error().not_found()) {
      if (facts.pve)
        reader.note(fmt::format("{} is missing: the cluster file system of Proxmox VE is not mounted, or the node has another name", dir));
      return std::vector<Guest>();
    }
    reader.add_unreadable(dir, "guests", std::strerror(names.error().code));
    return std::nullopt;
  }
  std::vector<Guest> out;
  for (const std::string& name : *names) {
    Guest guest;
    const auto number = std::from_chars(name.data(), name.data() + name.size(), guest.vmid);
    if (number.ec != std::errc() || std::string_view(number.ptr) != ".conf") continue;
    const std::string path = dir + "/" + name;
    const auto text = reader.host().read_file(path);
    if (!text) {
      if (text.error().not_found()) continue;  // destroyed meanwhile
      reader.add_unreadable(path, "configuration of a guest", std::strerror(text.error().code));
      return std::nullopt;
    }
    guest.config = text::parse_guest_config(*text);
    if (guest.config.hostpci.empty() && guest.config.warnings.empty()) continue;
    for (const std::string& warning : guest.config.warnings) reader.note(fmt::format("guest {}: {}", guest.vmid, warning));
    guest.running = cluster::vm_runs(reader.host(), guest.vmid);
    out.push_back(std::move(guest));
  }
  return out;
}

std::optional<std::vector<text::PciMapping>> read_mappings(Reader& reader) {
  const std::string path = "/etc/pve/mapping/pci.cfg";
  const auto text = reader.host().read_file(path);
  if (!text) {
    if (text.error().not_found()) return std::vector<text::PciMapping>();
    reader.add_unreadable(path, "resource mappings", std::strerror(text.error().code));
    return std::nullopt;
  }
  text::PciMappings parsed = text::parse_pci_mappings(*text);
  for (const std::string& warning : parsed.warnings) reader.note(fmt::format("{}: {}", path, warning));
  return std::move(parsed.mappings);
}

/// The function of this GPU or of one of its VFs that is meant; empty when none is.
std::string meant(const Gpu& gpu, const text::PciAddress& address) {
  if (address.covers(gpu.address)) return gpu.address;
  for (const Neighbour& function : gpu.functions)
    if (address.covers(function.address)) return gpu.address;
  for (const Vf& vf : gpu.sriov.vfs)
    if (address.covers(vf.address)) return vf.address;
  return {};
}

std::string type_name(const Gpu& gpu, const std::string& id) {
  for (const VgpuType& type : gpu.vgpu_types)
    if (type.id == id) return type.name;
  return id;
}

class Attacher {
 public:
  Attacher(Gpu& gpu, const GuestFacts& facts, const std::string& node) : gpu_(gpu), facts_(facts), node_(node) {}

  void run() {
    std::vector<Use> uses;
    if (facts_.guests)
      for (const Guest& guest : *facts_.guests)
        for (const text::HostPci& entry : guest.config.hostpci) add_configured(uses, guest, entry);
    add_held(uses);
    for (const Use& use : uses)
      for (Vf& vf : gpu_.sriov.vfs)
        if (use.running && vf.address == use.address) vf.held = true;
    std::sort(uses.begin(), uses.end(), [](const Use& a, const Use& b) { return std::tie(a.vmid, a.via) < std::tie(b.vmid, b.via); });
    if (facts_.guests) gpu_.used_by = std::move(uses);
    count_available(gpu_);
  }

 private:
  /// Where the guest runs on this GPU now, by its mdev devices and by Proxmox VE's reservations.
  std::string running_at(const std::vector<Use>& uses, const Guest& guest, unsigned index) const {
    const auto taken = [&](const std::string& address) {
      return std::any_of(uses.begin(), uses.end(), [&](const Use& use) { return use.vmid == guest.vmid && use.address == address; });
    };
    for (const Mdev& mdev : gpu_.mdevs)
      if (const auto owner = text::parse_mdev_uuid(mdev.uuid); owner && owner->vmid == guest.vmid && owner->index == index)
        return mdev.parent;
    for (const text::PciReservation& held : facts_.reservations)
      if (held.vmid == guest.vmid)
        if (const auto address = text::parse_pci_address(held.address))
          if (const std::string here = meant(gpu_, *address); !here.empty() && !taken(here)) return here;
    return {};
  }

  void add_configured(std::vector<Use>& uses, const Guest& guest, const text::HostPci& entry) const {
    std::string place;
    for (const text::PciAddress& address : entry.addresses)
      if (place.empty()) place = meant(gpu_, address);
    if (!entry.mapping.empty() && facts_.mappings)
      for (const text::PciMapping& mapping : *facts_.mappings)
        if (mapping.id == entry.mapping)
          for (const text::PciMapEntry& alternative : mapping.entries)
            if (alternative.node == node_)
              for (const text::PciAddress& member : alternative.members)
                if (place.empty()) place = meant(gpu_, member);
    if (place.empty()) return;
    Use use;
    use.vmid = guest.vmid;
    use.name = guest.config.name;
    use.via = entry.key();
    use.mapping = entry.mapping;
    use.vgpu_type = entry.mdev.empty() ? std::string() : type_name(gpu_, entry.mdev);
    if (guest.running) {
      const std::string now = running_at(uses, guest, entry.slot);
      // A whole card given by its address needs no proof of where it is; a mapping may have given another card.
      if (now.empty() && (!entry.mapping.empty() || !entry.mdev.empty())) return;
      use.running = true;
      place = now.empty() ? place : now;
    }
    // Of a mapping with several entries nobody knows which a stopped guest will get.
    if (use.running || entry.mapping.empty()) use.address = place;
    uses.push_back(std::move(use));
  }

  /// What runs on the GPU without a configuration that says so.
  void add_held(std::vector<Use>& uses) const {
    const auto add = [&](std::int64_t vmid, const std::string& address, const std::string& type) {
      const bool known = std::any_of(uses.begin(), uses.end(), [&](const Use& use) { return use.vmid == vmid && use.running; });
      if (known) return;
      Use use;
      use.vmid = vmid;
      use.address = address;
      use.vgpu_type = type;
      use.running = true;
      uses.push_back(std::move(use));
    };
    for (const Mdev& mdev : gpu_.mdevs)
      if (mdev.vmid) add(*mdev.vmid, mdev.parent, mdev.type_name);
    for (const text::PciReservation& held : facts_.reservations)
      if (const auto address = text::parse_pci_address(held.address))
        if (const std::string here = meant(gpu_, *address); !here.empty()) add(held.vmid, here, "");
  }

  Gpu& gpu_;
  const GuestFacts& facts_;
  const std::string& node_;
};

}  // namespace

GuestFacts read_guest_facts(Reader& reader, const HostFacts& facts) {
  GuestFacts out;
  out.guests = read_guests(reader, facts);
  out.mappings = facts.has_mappings() ? read_mappings(reader) : std::vector<text::PciMapping>();
  if (const auto text = reader.file(std::string(run_dir) + "/pci-id-reservations", "devices that running guests hold"))
    out.reservations = text::parse_pci_reservations(*text);
  return out;
}

void attach_guests(std::vector<Gpu>& gpus, const GuestFacts& guests, const HostFacts& facts) {
  const std::string node = facts.node.value_or("");
  for (Gpu& gpu : gpus) Attacher(gpu, guests, node).run();
}

}  // namespace pvegpu::gpu
