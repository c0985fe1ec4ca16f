// SPDX-License-Identifier: MIT
// The scan of GPUs.
#include "common/facts/scan.hpp"

#include "common/facts/card_functions.hpp"
#include "common/facts/host_loss.hpp"
#include "common/facts/offered_types.hpp"
#include "common/text/guest_config.hpp"
#include "common/text/pci_address.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::gpu {
namespace {

constexpr const char* pci_root = "/sys/bus/pci/devices/";

/// Displays that are consoles, by the ids of pci.ids. Device 0 to ffff: all of the vendor.
struct Console {
  std::uint16_t vendor, first, last;
  Kind kind;
  const char* name;
};
constexpr Console consoles[] = {
    {0x1a03, 0x0000, 0xffff, Kind::management_display, "ASPEED management controller display"},
    {0x102b, 0x0520, 0x0540, Kind::management_display, "Matrox G200 management controller display"},
    {0x19e5, 0x1711, 0x1711, Kind::management_display, "Huawei management controller display"},
    {0x18ca, 0x0020, 0x0021, Kind::management_display, "XGI Volari management controller display"},
    {0x1002, 0x515e, 0x515e, Kind::management_display, "ATI ES1000 server display"},
    {0x1002, 0x5969, 0x5969, Kind::management_display, "ATI ES1000 server display"},
    {0x1234, 0x1111, 0x1111, Kind::virtual_display, "QEMU standard VGA"},
    {0x1b36, 0x0100, 0x0100, Kind::virtual_display, "QEMU QXL display"},
    {0x1af4, 0x1050, 0x1050, Kind::virtual_display, "virtio GPU"},
    {0x1013, 0x00b8, 0x00b8, Kind::virtual_display, "QEMU Cirrus display"},
    {0x15ad, 0x0405, 0x0405, Kind::virtual_display, "VMware SVGA display"},
    {0x80ee, 0xbeef, 0xbeef, Kind::virtual_display, "VirtualBox display"},
    {0x1414, 0x5353, 0x5353, Kind::virtual_display, "Hyper-V display"},
};

const Console* find_console(std::uint16_t vendor, std::uint16_t device) {
  for (const Console& console : consoles)
    if (console.vendor == vendor && console.first <= device && device <= console.last) return &console;
  return nullptr;
}

std::optional<std::int64_t> to_number(const std::optional<std::string>& text) {
  std::int64_t out = 0;
  if (!text) return std::nullopt;
  const auto parsed = std::from_chars(text->data(), text->data() + text->size(), out);
  return parsed.ec == std::errc() && parsed.ptr == text->data() + text->size() ? std::optional(out) : std::nullopt;
}

/// "../../devices/pci0000:00/0000:00:01.0/0000:01:00.0/drm/card0" -> "0000:01:00.0"
std::string part_before(std::string_view path, std::string_view mark) {
  const auto at = path.rfind(mark);
  return at == path.npos ? std::string() : last_part(path.substr(0, at));
}

class Scanner {
 public:
  Scanner(Reader& reader, const std::vector<PciDevice>& devices, const HostFacts& facts) : reader_(reader), facts_(facts), all_(devices) {
    for (const PciDevice& device : devices) devices_.emplace(device.address, device);
  }

  std::vector<Gpu> run() {
    bool any = false;
    for (const auto& [address, device] : devices_) any = any || is_gpu_class(device.device_class);
    if (!any) return {};
    read_displays();
    read_mdevs();
    std::vector<Gpu> out;
    for (const auto& [address, device] : devices_) {
      if (!is_gpu_class(device.device_class) || vfs_.count(address) || is_second_head(device)) continue;
      if (auto gpu = scan(device)) out.push_back(*std::move(gpu));
    }
    return out;
  }

 private:
  /// A display function beside the display function .0 of the same card and vendor, as old Radeons have.
  bool is_second_head(const PciDevice& device) const {
    const std::string first = std::string(text::pci_device_part(device.address)) + ".0";
    if (first == device.address) return false;
    const auto it = devices_.find(first);
    return it != devices_.end() && is_gpu_class(it->second.device_class) && it->second.vendor == device.vendor &&
           !reader_.host().exists(pci_root + device.address + "/physfn");
  }

  void read_displays() {
    const std::string root = "/sys/class/drm";
    std::map<std::string, std::string> cards;  // card0 -> address; listed before its connectors
    for (const std::string& name : reader_.list(root, "display connectors").value_or(std::vector<std::string>())) {
      if (!name.starts_with("card")) continue;
      const auto dash = name.find('-');
      if (dash == name.npos) {
        const auto target = reader_.link(root + "/" + name, "graphics card of a display");
        const std::string address = target ? part_before(*target, "/drm/") : std::string();
        cards[name] = address;
        displays_[address];
      } else if (const auto card = cards.find(name.substr(0, dash)); card != cards.end()) {
        if (const auto status = reader_.attr(root + "/" + name + "/status", "status of a display"))
          displays_[card->second].push_back({name.substr(dash + 1), *status});
      }
    }
  }

  void read_mdevs() {
    const std::string root = "/sys/bus/mdev/devices";
    for (const std::string& uuid : reader_.list(root, "mediated devices").value_or(std::vector<std::string>())) {
      const auto target = reader_.link(root + "/" + uuid, "mediated device");
      if (!target) continue;
      Mdev mdev;
      mdev.uuid = uuid;
      mdev.parent = part_before(*target, "/" + uuid);
      mdev.type_id = reader_.link_name(root + "/" + uuid + "/mdev_type", "type of a mediated device").value_or("");
      if (const auto owner = text::parse_mdev_uuid(uuid)) mdev.vmid = owner->vmid;
      mdevs_[mdev.parent].push_back(std::move(mdev));
    }
  }

  std::optional<Gpu> scan(const PciDevice& device) {
    const std::string dir = pci_root + device.address;
    auto listed = reader_.host().list_dir(dir);
    if (!listed && listed.error().not_found()) {
      reader_.note(fmt::format("{} vanished while it was looked at", device.address));
      return std::nullopt;
    }
    if (!listed) reader_.add_unreadable(dir, "attributes of a GPU", std::strerror(listed.error().code));
    entries_ = std::move(listed).value_or({});
    if (has("physfn")) {
      reader_.note(fmt::format("{} is a virtual function whose card is not listed", device.address));
      return std::nullopt;
    }
    Gpu out;
    out.address = device.address;
    out.pci_class = device.device_class;
    out.ids = {device.vendor, device.device, hex(dir + "/subsystem_vendor", "subsystem vendor"),
               hex(dir + "/subsystem_device", "subsystem device")};
    identify(out);
    out.driver = has("driver") ? reader_.link_name(dir + "/driver", "driver") : std::nullopt;
    if (has("driver_override")) {
      out.driver_override = reader_.attr(dir + "/driver_override", "driver override");
      if (out.driver_override == "(null)" || out.driver_override == "") out.driver_override.reset();  // the kernel's words for none
    }
    out.boot_vga = has("boot_vga") && reader_.attr(dir + "/boot_vga", "boot display") == "1";
    if (has("numa_node")) out.numa_node = reader_.number(dir + "/numa_node", "NUMA node");
    if (out.numa_node && *out.numa_node < 0) out.numa_node.reset();
    find_displays(out);
    read_sriov(out, dir);
    read_group(out, dir);
    if (const auto own = mdevs_.find(out.address); own != mdevs_.end())
      out.mdevs.insert(out.mdevs.end(), own->second.begin(), own->second.end());
    read_offered_types(reader_, facts_, has("mdev_supported_types"), out);
    find_problems(out);
    if (!reader_.host().exists(dir)) {
      reader_.note(fmt::format("{} vanished while it was looked at", device.address));
      return std::nullopt;
    }
    return out;
  }

  bool has(const char* name) const { return std::binary_search(entries_.begin(), entries_.end(), name); }

  std::uint16_t hex(const std::string& path, const char* what) {
    const auto text = reader_.attr(path, what);
    return text ? static_cast<std::uint16_t>(std::strtoul(text->c_str(), nullptr, 16)) : std::uint16_t{0};
  }

  void identify(Gpu& out) {
    out.boards = catalogue::find_board(out.ids).boards;
    if (out.is_intel()) out.intel = catalogue::find_intel_gpu(out.ids.device);
    const Console* console = find_console(out.ids.vendor, out.ids.device);
    if (console) {
      out.kind = console->kind;
    } else if (out.pci_class == 0x1200 && out.boards.empty() && !out.intel && !out.is_nvidia() && !out.is_amd()) {
      out.kind = Kind::accelerator;
    }
    if (out.intel) {
      out.name = out.intel->name;
    } else if (!out.boards.empty()) {
      for (const catalogue::Board& board : out.boards) out.name += (out.name.empty() ? "" : " or ") + std::string(board.name);
    } else if (console) {
      out.name = console->name;
    } else {
      out.name = name_in_pci_ids(out.ids);
    }
  }

  /// "Radeon RX 6800" of "Navi 21 [Radeon RX 6800]": what is in brackets is the model, before them is the chip.
  std::string name_in_pci_ids(const catalogue::PciIds& ids) {
    const auto key = std::pair(ids.vendor, ids.device);
    auto known = names_.find(key);
    if (known == names_.end()) known = names_.emplace(key, reader_.host().pci_name(ids.vendor, ids.device)).first;
    const std::string& name = known->second;
    if (name.empty()) return fmt::format("unknown device {:04x}:{:04x}", ids.vendor, ids.device);
    const auto open = name.find('[');
    return open != name.npos && name.ends_with(']') ? name.substr(open + 1, name.size() - open - 2) : name;
  }

  void find_displays(Gpu& out) const {
    const auto known = displays_.find(out.address);
    if (known != displays_.end())
      out.displays = known->second;
    else if (out.pci_class == 0x0302 || out.pci_class == 0x1200)
      out.displays.emplace();  // 3D controllers and accelerators have no outputs
  }

  void read_sriov(Gpu& out, const std::string& dir) {
    out.sriov.capable = has("sriov_totalvfs");
    if (!out.sriov.capable) return;
    out.sriov.total = reader_.number(dir + "/sriov_totalvfs", "possible VFs").value_or(0);
    out.sriov.enabled = reader_.number(dir + "/sriov_numvfs", "enabled VFs").value_or(0);
    std::map<std::int64_t, std::string> links;
    for (const std::string& entry : entries_)
      if (entry.starts_with("virtfn"))
        if (const auto index = to_number(entry.substr(6))) links.emplace(*index, entry);
    for (const auto& [index, link] : links) {
      const auto address = reader_.link_name(dir + "/" + link, "virtual function");
      if (!address) continue;
      vfs_.insert(*address);
      Vf vf;
      vf.address = *address;
      const std::string path = pci_root + vf.address;
      vf.driver = reader_.link_name(path + "/driver", "driver");
      vf.iommu_group = to_number(reader_.link_name(path + "/iommu_group", "IOMMU group"));
      if (!vf.driver && !vf.iommu_group && !reader_.host().exists(path)) {
        reader_.note(fmt::format("{}, a virtual function of {}, vanished while it was looked at", vf.address, out.address));
        continue;
      }
      // Some drivers keep another one in front (vfio-pci with mediated devices, recorded of A40 with 575): what the VF shows decides.
      vf.offers = !out.is_nvidia() || vf.driver == "nvidia" ||
                  (vf.driver && (reader_.host().exists(path + "/mdev_supported_types") || reader_.host().exists(path + "/nvidia")));
      if (!out.sriov.vf_ids)
        out.sriov.vf_ids =
            catalogue::PciIds{hex(path + "/vendor", "vendor"), hex(path + "/device", "device"),
                              hex(path + "/subsystem_vendor", "subsystem vendor"), hex(path + "/subsystem_device", "subsystem device")};
      if (const auto own = mdevs_.find(vf.address); own != mdevs_.end())
        for (const Mdev& mdev : own->second) {
          vf.mdevs.push_back(mdev.uuid);
          out.mdevs.push_back(mdev);
        }
      out.sriov.vfs.push_back(std::move(vf));
    }
  }

  const Neighbour* neighbour(const std::string& address) {
    const auto known = neighbours_.find(address);
    if (known != neighbours_.end()) return &known->second;
    const auto device = devices_.find(address);
    if (device == devices_.end()) return nullptr;
    Neighbour out;
    out.address = address;
    out.vendor = device->second.vendor;
    out.device = device->second.device;
    out.pci_class = device->second.device_class;
    out.driver = reader_.link_name(pci_root + address + "/driver", "driver");
    return &neighbours_.emplace(address, std::move(out)).first->second;
  }

  void read_group(Gpu& out, const std::string& dir) {
    const SlotFunctions slot = slot_functions(reader_.host(), all_, text::pci_device_part(out.address));
    std::set<std::string> card;
    for (const PciDevice& function : slot.card) {
      card.insert(function.address);
      if (function.address == out.address) continue;
      out.functions.push_back(*neighbour(function.address));
      out.functions.back().same_card = true;
      out.functions.back().needed = why_needed(reader_.host(), function);
    }
    for (const PciDevice& function : slot.beside) {
      out.beside.push_back(*neighbour(function.address));
      out.beside.back().needed = why_needed(reader_.host(), function);
    }
    if (!has("iommu_group")) return;
    out.iommu_group = to_number(reader_.link_name(dir + "/iommu_group", "IOMMU group"));
    for (const std::string& address :
         reader_.list(dir + "/iommu_group/devices", "members of an IOMMU group").value_or(std::vector<std::string>()))
      if (address != out.address)
        if (const Neighbour* found = neighbour(address)) {
          out.iommu_siblings.push_back(*found);
          Neighbour& sibling = out.iommu_siblings.back();
          sibling.same_card = card.count(address) > 0;
          if (!sibling.same_card && !sibling.is_bridge()) sibling.needed = why_needed(reader_.host(), devices_.at(address));
        }
  }

  void find_problems(Gpu& out) const {
    const auto add = [&](std::string sentence) { out.problems.push_back(std::move(sentence)); };
    if (out.driver == "pci-pf-stub")
      add("the card is left on pci-pf-stub: sriov-manage ended half-way; bind it to its driver again, or reboot");
    if (out.driver == "nvidia" && facts_.nvidia.gpus &&
        !std::binary_search(facts_.nvidia.gpus->begin(), facts_.nvidia.gpus->end(), out.address))
      add("it is bound to the driver nvidia, which does not list it in /proc/driver/nvidia/gpus: the driver failed to start it; see dmesg "
          "for NVRM");
    const auto links = static_cast<std::int64_t>(out.sriov.vfs.size());
    if (out.sriov.enabled != links) add(fmt::format("the kernel says that {} VFs are enabled, but {} are there", out.sriov.enabled, links));
    const auto bare = std::count_if(out.sriov.vfs.begin(), out.sriov.vfs.end(), [](const Vf& vf) { return !vf.driver; });
    if (bare > 0 && out.is_nvidia()) add(fmt::format("{} of {} VFs have no driver: bind them to nvidia", bare, links));
  }

  Reader& reader_;
  const HostFacts& facts_;
  const std::vector<PciDevice>& all_;
  std::map<std::string, PciDevice> devices_;
  std::map<std::string, std::vector<Display>> displays_;  ///< by address of the card
  std::map<std::string, std::vector<Mdev>> mdevs_;        ///< by parent
  std::map<std::string, Neighbour> neighbours_;
  std::map<std::pair<std::uint16_t, std::uint16_t>, std::string> names_;
  std::set<std::string> vfs_;
  std::vector<std::string> entries_;  ///< names in the directory of the GPU that is looked at
};

}  // namespace

bool is_gpu_class(std::uint16_t pci_class) { return pci_class >> 8 == 0x03 || pci_class == 0x1200; }

Vendors vendors_of(const std::vector<PciDevice>& devices) {
  Vendors out;
  for (const PciDevice& device : devices) {
    if (!is_gpu_class(device.device_class)) continue;
    out.nvidia = out.nvidia || device.vendor == 0x10de;
    out.intel = out.intel || device.vendor == 0x8086;
  }
  return out;
}

std::vector<Gpu> scan_gpus(Reader& reader, const std::vector<PciDevice>& devices, const HostFacts& facts) {
  return Scanner(reader, devices, facts).run();
}

}  // namespace pvegpu::gpu
