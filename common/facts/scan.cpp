// SPDX-License-Identifier: MIT
// The scan of GPUs.
#include "common/facts/scan.hpp"

#include "common/facts/card_functions.hpp"
#include "common/facts/host_loss.hpp"
#include "common/text/guest_config.hpp"
#include "common/text/pci_address.hpp"
#include "common/base/strings.hpp"
#include "common/text/vgpu_types.hpp"

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
    read_types(out, dir);
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

  // --- vGPU types ------------------------------------------------------------------------------------------------------

  void read_types(Gpu& out, const std::string& dir) {
    if (const auto own = mdevs_.find(out.address); own != mdevs_.end())
      out.mdevs.insert(out.mdevs.end(), own->second.begin(), own->second.end());
    if (has("mdev_supported_types")) {
      out.framework = Framework::mdev;
      read_mdev_types(out, dir);
    } else if (const Vf* vf = with_framework(out)) {
      if (out.framework == Framework::mdev_on_vfs)
        read_mdev_types(out, pci_root + vf->address);
      else
        read_creatable_types(out, *vf);
    }
    judge_names(out);
    name_running(out);
    count_available(out);
  }

  /// The VF to read types from, preferably a free one: that which has an instance shows 0 for all types.
  const Vf* with_framework(Gpu& out) {
    std::vector<const Vf*> order;
    for (const Vf& vf : out.sriov.vfs)
      if (vf.driver) order.push_back(&vf);
    std::stable_partition(order.begin(), order.end(), [](const Vf* vf) { return vf->mdevs.empty(); });
    for (const Vf* vf : order) {
      const std::string path = pci_root + vf->address;
      if (reader_.host().exists(path + "/mdev_supported_types")) {
        out.framework = Framework::mdev_on_vfs;
        return vf;
      }
      if (reader_.host().exists(path + "/nvidia")) {
        out.framework = Framework::vendor_vfio;
        break;
      }
    }
    if (out.framework != Framework::vendor_vfio) return nullptr;
    const Vf* busy = nullptr;
    const Vf* free = nullptr;
    for (Vf& vf : out.sriov.vfs) {
      if (!vf.driver) continue;
      const auto number = reader_.number(pci_root + vf.address + "/nvidia/current_vgpu_type", "current vGPU type");
      if (!number) continue;  // bound to another driver
      vf.type_id = static_cast<unsigned>(*number);
      const Vf*& slot = *number == 0 ? free : busy;
      if (!slot) slot = &vf;
    }
    return free ? free : busy;
  }

  void read_mdev_types(Gpu& out, const std::string& parent) {
    const std::string root = parent + "/mdev_supported_types";
    const auto names = reader_.host().list_dir(root);
    if (!names) {
      reader_.add_unreadable(root, "vGPU types", std::strerror(names.error().code));
      out.problems.push_back(fmt::format("the driver offers vGPU types in {}, but they can't be read ({}): see dmesg", root,
                                         std::strerror(names.error().code)));
      return;
    }
    std::size_t broken = 0;
    for (const std::string& id : *names) {
      const std::string dir = root + "/" + id;
      VgpuType type;
      type.id = id;
      const auto available = reader_.number(dir + "/available_instances", "available instances");
      if (!available) ++broken;
      type.available = available.value_or(0);
      // `name` and `description` are optional in the kernel's ABI, and i915 has no name.
      type.name = reader_.attr(dir + "/name", "name of a vGPU type").value_or(id);
      if (const auto description = reader_.file(dir + "/description", "description of a vGPU type")) {
        const text::MdevDescription parsed = text::parse_mdev_description(*description);
        type.framebuffer_mb = parsed.framebuffer_mb;
        type.max_instances = parsed.max_instances;
      }
      complete(type);
      out.vgpu_types.push_back(std::move(type));
    }
    if (broken > 0)
      out.problems.push_back(
          fmt::format("the driver does not say how many instances of {} of {} vGPU types are available: see dmesg", broken, names->size()));
    if (names->empty()) no_types(out, root);
  }

  void read_creatable_types(Gpu& out, const Vf& vf) {
    const std::string path = pci_root + vf.address + "/nvidia/creatable_vgpu_types";
    const auto text = reader_.file(path, "vGPU types");
    if (!text) {
      out.problems.push_back(fmt::format("{} can't be read: see dmesg", path));
      return;
    }
    const auto types = text::parse_creatable_types(*text);
    if (!types) {
      reader_.add_unreadable(path, "vGPU types", types.error().message);
      out.problems.push_back(fmt::format("{} is not understood: {}", path, types.error().message));
      return;
    }
    for (const text::CreatableType& found : *types) {
      VgpuType type;
      type.id = fmt::format("nvidia-{}", found.id);  // how Proxmox VE spells it
      type.name = found.name;
      type.available = 1;
      complete(type);
      out.vgpu_types.push_back(std::move(type));
    }
    const bool runs = std::any_of(out.sriov.vfs.begin(), out.sriov.vfs.end(), [](const Vf& v) { return v.type_id.value_or(0) != 0; });
    if (types->empty() && !runs) no_types(out, path);
    if (runs) add_hidden(out);
  }

  void no_types(Gpu& out, const std::string& where) {
    out.problems.push_back(fmt::format("the driver lists no vGPU types in {}: see the services nvidia-vgpud and nvidia-vgpu-mgr", where));
  }

  /// What the driver does not say, the catalogue may know.
  static void complete(VgpuType& type) {
    if (type.framebuffer_mb && type.max_instances) return;
    const auto known = catalogue::find_type(type.name);
    if (!known) return;
    if (!type.framebuffer_mb) type.framebuffer_mb = known->framebuffer_mb;
    if (!type.max_instances && known->max_instances != 0) type.max_instances = known->max_instances;
  }

  unsigned branch() const { return facts_.nvidia.branch ? facts_.nvidia.branch->branch : 0; }

  /// While vGPUs run the driver lists only what still fits. The other sizes of the series that are there are known all the same.
  void add_hidden(Gpu& out) {
    if (!out.board()) return;
    std::vector<catalogue::VgpuType> all = catalogue::types_of(*out.board());
    std::vector<catalogue::TypeSeries> series;
    for (const VgpuType& type : out.vgpu_types)
      if (const auto known = catalogue::find_type(type.name)) series.push_back(known->series);
    for (const Vf& vf : out.sriov.vfs)
      if (const auto known = by_id(out, vf.type_id.value_or(0))) series.push_back(known->series);
    for (const catalogue::VgpuType& known : all) {
      const bool listed =
          std::any_of(out.vgpu_types.begin(), out.vgpu_types.end(), [&](const VgpuType& t) { return t.name == known.name; });
      if (listed || known.backing != catalogue::Backing::time_sliced ||
          std::find(series.begin(), series.end(), known.series) == series.end())
        continue;
      const unsigned id = known.other_id != 0 && known.other_id_branch == branch() ? known.other_id : known.id;
      VgpuType type;
      if (id != 0) type.id = fmt::format("nvidia-{}", id);
      type.name = known.name;
      type.listed = false;
      complete(type);
      out.vgpu_types.push_back(std::move(type));
    }
  }

  std::optional<catalogue::VgpuType> by_id(const Gpu& gpu, unsigned id) const {
    if (id == 0 || !gpu.board()) return std::nullopt;
    const auto found = catalogue::types_by_id(*gpu.board(), id, branch());
    return found.size() == 1 ? std::optional(found[0]) : std::nullopt;
  }

  void name_running(Gpu& out) const {
    const auto listed_name = [&](const std::string& id) {
      for (const VgpuType& type : out.vgpu_types)
        if (type.id == id) return type.name;
      return std::string();
    };
    for (Mdev& mdev : out.mdevs) {
      mdev.type_name = listed_name(mdev.type_id);
      if (mdev.type_name.empty()) mdev.type_name = mdev.type_id;
      for (Vf& vf : out.sriov.vfs)
        if (vf.address == mdev.parent) vf.vgpu_type = mdev.type_name;
    }
    for (Vf& vf : out.sriov.vfs) {
      if (vf.type_id.value_or(0) == 0) continue;
      const std::string id = fmt::format("nvidia-{}", *vf.type_id);
      vf.vgpu_type = listed_name(id);
      if (const auto known = by_id(out, *vf.type_id); vf.vgpu_type.empty() && known) vf.vgpu_type = known->name;
      if (vf.vgpu_type.empty()) vf.vgpu_type = id;
    }
  }

  /// Type names tell boards apart that share their ids, and show vgpu_unlock: no board offers another board's types.
  void judge_names(Gpu& out) const {
    if (!out.is_nvidia() || out.vgpu_types.empty()) return;
    const std::string& name = out.vgpu_types[0].name;
    if (!catalogue::find_type(name)) return;
    std::vector<catalogue::Board> fitting;
    for (const catalogue::Board& board : out.boards)
      if (catalogue::offers(board, name) == catalogue::Verdict::yes) fitting.push_back(board);
    if (fitting.size() == 1) out.name = fitting[0].name;
    if (!fitting.empty()) {
      out.boards = std::move(fitting);
      return;
    }
    out.unlocked = true;
    out.problems.push_back(fmt::format("{} offers types of another board ({}): vgpu_unlock is at work, which is not supported; remove it",
                                       out.name, text::vgpu_name_board(name)));
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

void count_available(Gpu& gpu) {
  if (gpu.framework != Framework::mdev_on_vfs && gpu.framework != Framework::vendor_vfio) return;
  const auto size_of = [&](const std::string& name) {
    for (const VgpuType& type : gpu.vgpu_types)
      if (type.name == name) return type.framebuffer_mb.value_or(0);
    return std::int64_t{0};
  };
  // A VF that no driver, or one without vGPUs, has takes no instance.
  const std::int64_t usable = std::count_if(gpu.sriov.vfs.begin(), gpu.sriov.vfs.end(), [&](const Vf& vf) {
    return vf.is_free() && vf.driver && (gpu.framework == Framework::mdev_on_vfs || vf.type_id);
  });
  std::int64_t used = 0, whole = 0;
  for (const Vf& vf : gpu.sriov.vfs) used += size_of(vf.vgpu_type);
  for (const VgpuType& type : gpu.vgpu_types) whole = std::max(whole, type.framebuffer_mb.value_or(0) * type.max_instances.value_or(0));
  for (VgpuType& type : gpu.vgpu_types) {
    if (type.available == 0) continue;
    std::int64_t room = usable;
    if (type.framebuffer_mb.value_or(0) > 0 && type.max_instances) {
      room = std::min({room, *type.max_instances, std::max((whole - used) / *type.framebuffer_mb, std::int64_t{1})});
    } else {
      room = std::min(room, std::int64_t{1});
    }
    type.available = room;
  }
}

}  // namespace pvegpu::gpu
