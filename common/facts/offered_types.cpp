// SPDX-License-Identifier: MIT
// The vGPU types that drivers show in sysfs.
#include "common/facts/offered_types.hpp"

#include "common/text/vgpu_types.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <cstring>

namespace pvegpu::gpu {
namespace {

constexpr const char* pci_root = "/sys/bus/pci/devices/";

class TypeReader {
 public:
  TypeReader(Reader& reader, const HostFacts& facts, bool on_card, Gpu& out)
      : reader_(reader), facts_(facts), on_card_(on_card), out_(out) {}

  void run() {
    if (on_card_) {
      out_.framework = Framework::mdev;
      read_mdev_types(pci_root + out_.address);
    } else if (const Vf* vf = with_framework()) {
      if (out_.framework == Framework::mdev_on_vfs)
        read_mdev_types(pci_root + vf->address);
      else
        read_creatable_types(*vf);
    }
    judge_names();
    name_running();
    count_available(out_);
  }

 private:
  /// The VF to read types from, preferably a free one: that which has an instance shows 0 for all types.
  const Vf* with_framework() {
    std::vector<const Vf*> order;
    for (const Vf& vf : out_.sriov.vfs)
      if (vf.driver) order.push_back(&vf);
    std::stable_partition(order.begin(), order.end(), [](const Vf* vf) { return vf->mdevs.empty(); });
    for (const Vf* vf : order) {
      const std::string path = pci_root + vf->address;
      if (reader_.host().exists(path + "/mdev_supported_types")) {
        out_.framework = Framework::mdev_on_vfs;
        return vf;
      }
      if (reader_.host().exists(path + "/nvidia")) {
        out_.framework = Framework::vendor_vfio;
        break;
      }
    }
    if (out_.framework != Framework::vendor_vfio) return nullptr;
    const Vf* busy = nullptr;
    const Vf* free = nullptr;
    for (Vf& vf : out_.sriov.vfs) {
      if (!vf.driver) continue;
      const auto number = reader_.number(pci_root + vf.address + "/nvidia/current_vgpu_type", "current vGPU type");
      if (!number) continue;  // bound to another driver
      vf.type_id = static_cast<unsigned>(*number);
      const Vf*& slot = *number == 0 ? free : busy;
      if (!slot) slot = &vf;
    }
    return free ? free : busy;
  }

  void read_mdev_types(const std::string& parent) {
    const std::string root = parent + "/mdev_supported_types";
    const auto names = reader_.host().list_dir(root);
    if (!names) {
      reader_.add_unreadable(root, "vGPU types", std::strerror(names.error().code));
      out_.problems.push_back(fmt::format("the driver offers vGPU types in {}, but they can't be read ({}): see dmesg", root,
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
      out_.vgpu_types.push_back(std::move(type));
    }
    if (broken > 0)
      out_.problems.push_back(
          fmt::format("the driver does not say how many instances of {} of {} vGPU types are available: see dmesg", broken, names->size()));
    if (names->empty()) no_types(root);
  }

  void read_creatable_types(const Vf& vf) {
    const std::string path = pci_root + vf.address + "/nvidia/creatable_vgpu_types";
    const auto text = reader_.file(path, "vGPU types");
    if (!text) {
      out_.problems.push_back(fmt::format("{} can't be read: see dmesg", path));
      return;
    }
    const auto types = text::parse_creatable_types(*text);
    if (!types) {
      reader_.add_unreadable(path, "vGPU types", types.error().message);
      out_.problems.push_back(fmt::format("{} is not understood: {}", path, types.error().message));
      return;
    }
    for (const text::CreatableType& found : *types) {
      VgpuType type;
      type.id = fmt::format("nvidia-{}", found.id);  // how Proxmox VE spells it
      type.name = found.name;
      type.available = 1;
      complete(type);
      out_.vgpu_types.push_back(std::move(type));
    }
    const bool runs = std::any_of(out_.sriov.vfs.begin(), out_.sriov.vfs.end(), [](const Vf& v) { return v.type_id.value_or(0) != 0; });
    if (types->empty() && !runs) no_types(path);
    if (runs) add_hidden();
  }

  void no_types(const std::string& where) {
    out_.problems.push_back(fmt::format("the driver lists no vGPU types in {}: see the services nvidia-vgpud and nvidia-vgpu-mgr", where));
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
  void add_hidden() {
    if (!out_.board()) return;
    std::vector<catalogue::VgpuType> all = catalogue::types_of(*out_.board());
    std::vector<catalogue::TypeSeries> series;
    for (const VgpuType& type : out_.vgpu_types)
      if (const auto known = catalogue::find_type(type.name)) series.push_back(known->series);
    for (const Vf& vf : out_.sriov.vfs)
      if (const auto known = by_id(vf.type_id.value_or(0))) series.push_back(known->series);
    for (const catalogue::VgpuType& known : all) {
      const bool listed =
          std::any_of(out_.vgpu_types.begin(), out_.vgpu_types.end(), [&](const VgpuType& t) { return t.name == known.name; });
      if (listed || known.backing != catalogue::Backing::time_sliced ||
          std::find(series.begin(), series.end(), known.series) == series.end())
        continue;
      const unsigned id = known.other_id != 0 && known.other_id_branch == branch() ? known.other_id : known.id;
      VgpuType type;
      if (id != 0) type.id = fmt::format("nvidia-{}", id);
      type.name = known.name;
      type.listed = false;
      complete(type);
      out_.vgpu_types.push_back(std::move(type));
    }
  }

  std::optional<catalogue::VgpuType> by_id(unsigned id) const {
    if (id == 0 || !out_.board()) return std::nullopt;
    const auto found = catalogue::types_by_id(*out_.board(), id, branch());
    return found.size() == 1 ? std::optional(found[0]) : std::nullopt;
  }

  void name_running() {
    const auto listed_name = [&](const std::string& id) {
      for (const VgpuType& type : out_.vgpu_types)
        if (type.id == id) return type.name;
      return std::string();
    };
    for (Mdev& mdev : out_.mdevs) {
      mdev.type_name = listed_name(mdev.type_id);
      if (mdev.type_name.empty()) mdev.type_name = mdev.type_id;
      for (Vf& vf : out_.sriov.vfs)
        if (vf.address == mdev.parent) vf.vgpu_type = mdev.type_name;
    }
    for (Vf& vf : out_.sriov.vfs) {
      if (vf.type_id.value_or(0) == 0) continue;
      const std::string id = fmt::format("nvidia-{}", *vf.type_id);
      vf.vgpu_type = listed_name(id);
      if (const auto known = by_id(*vf.type_id); vf.vgpu_type.empty() && known) vf.vgpu_type = known->name;
      if (vf.vgpu_type.empty()) vf.vgpu_type = id;
    }
  }

  /// Type names tell boards apart that share their ids, and show vgpu_unlock: no board offers another board's types.
  void judge_names() {
    if (!out_.is_nvidia() || out_.vgpu_types.empty()) return;
    const std::string& name = out_.vgpu_types[0].name;
    if (!catalogue::find_type(name)) return;
    std::vector<catalogue::Board> fitting;
    for (const catalogue::Board& board : out_.boards)
      if (catalogue::offers(board, name) == catalogue::Verdict::yes) fitting.push_back(board);
    if (fitting.size() == 1) out_.name = fitting[0].name;
    if (!fitting.empty()) {
      out_.boards = std::move(fitting);
      return;
    }
    out_.unlocked = true;
    out_.problems.push_back(fmt::format("{} offers types of another board ({}): vgpu_unlock is at work, which is not supported; remove it",
                                        out_.name, text::vgpu_name_board(name)));
  }

  Reader& reader_;
  const HostFacts& facts_;
  const bool on_card_;
  Gpu& out_;
};

}  // namespace

void read_offered_types(Reader& reader, const HostFacts& facts, bool on_card, Gpu& gpu) { TypeReader(reader, facts, on_card, gpu).run(); }

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
