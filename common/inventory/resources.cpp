// SPDX-License-Identifier: MIT
// The broker's view.
#include "common/inventory/resources.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

constexpr const char* whole_card = "GPU Passthrough";
constexpr const char* intel_vgpu = "Intel-vGPU";

/// The name that the broker has for the model.
std::string model_of(const Gpu& gpu) {
  if (gpu.integrated() && gpu.name.starts_with("Intel UHD Graphics")) return "Intel UHD Graphics";
  return gpu.name;
}

bool offers_intel_vfs(const Gpu& gpu) { return gpu.is_intel() && gpu.sriov.enabled > 0; }

std::int64_t free_vfs(const Gpu& gpu) {
  return std::count_if(gpu.sriov.vfs.begin(), gpu.sriov.vfs.end(), [](const Vf& vf) { return vf.is_free(); });
}

/// How many of a type one GPU serves through so many of its VFs (class 1: without VFs).
std::int64_t seats(const Gpu& gpu, const VgpuType& type, std::int64_t vfs) {
  if (gpu.framework == Framework::mdev) return type.max_instances.value_or(std::max<std::int64_t>(type.available, 1));
  return std::min(type.max_instances.value_or(1), vfs);
}

class Lister {
 public:
  Lister(Reader& reader, const Machine& machine, const std::vector<Technologies>& technologies)
      : reader_(reader),
        machine_(machine),
        technologies_(technologies),
        gpus_(machine.gpus),
        guests_(machine.guests),
        facts_(machine.facts) {}

  std::vector<Resource> run() {
    for (std::size_t i = 0; i < gpus_.size(); ++i) by_type(gpus_[i], technologies_[i]);
    if (guests_.mappings)
      for (const text::PciMapping& mapping : *guests_.mappings) by_mapping(mapping);
    return std::move(out_);
  }

 private:
  void add(Resource line) {
    const auto same = std::find_if(out_.begin(), out_.end(), [&](const Resource& r) {
      return r.mapping == line.mapping && r.gpu_model == line.gpu_model && r.vgpu_type == line.vgpu_type && r.assignable == line.assignable;
    });
    if (same == out_.end()) {
      out_.push_back(std::move(line));
      return;
    }
    same->count += line.count;
    same->free += line.free;
    if (same->reason.empty()) same->reason = line.reason;
  }

  std::string whole_card_reason() const {
    if (!facts_.pve) return "a whole card is assigned through a resource mapping of Proxmox VE, which this host is not";
    if (!facts_.has_mappings())
      return fmt::format("a whole card is assigned through a resource mapping, which Proxmox VE has from 8 on: this is {}",
                         facts_.pve->version);
    return "a whole card is assigned through a resource mapping only: make one that holds it";
  }

  void by_type(const Gpu& gpu, const Technologies& technologies) {
    const std::string model = model_of(gpu);
    if (offers_intel_vfs(gpu)) add({"", model, intel_vgpu, static_cast<std::int64_t>(gpu.sriov.vfs.size()), free_vfs(gpu), true, true, ""});
    for (const VgpuType& type : gpu.vgpu_types) {
      const bool classic = gpu.framework != Framework::vendor_vfio;
      const auto vfs = static_cast<std::int64_t>(gpu.sriov.vfs.size());
      const char* reason = gpu.unlocked ? "vgpu_unlock makes the card show another board's types, which is not supported"
                           : classic    ? ""
                                     : "NVIDIA's vendor VFIO has no mediated devices, so `mdevctl types` is rightly empty: make a resource "
                                       "mapping of the card's VFs";
      add({"", model, type.name, seats(gpu, type, vfs), type.available, classic, classic && !gpu.unlocked, reason});
    }
    if (gpu.kind == Kind::gpu && gpu.framework == Framework::none && !gpu.integrated() && technologies.passthrough.ready && !is_mapped(gpu))
      add({"", model, whole_card, 1, in_use(gpu) ? 0 : 1, false, false, whole_card_reason()});
  }

  bool is_mapped(const Gpu& gpu) const {
    if (!guests_.mappings) return false;
    for (const text::PciMapping& mapping : *guests_.mappings)
      for (const text::PciMapEntry& entry : mapping.entries)
        if (!mapping.mdev && entry.node == facts_.node && entry.members[0].covers(gpu.address)) return true;
    return false;
  }

  // --- mappings ---------------------------------------------------------------------------------------------------------

  void by_mapping(const text::PciMapping& mapping) {
    std::map<const Gpu*, std::vector<const Vf*>> cards;  // by GPU the VFs that are mapped; none: the card
    for (const text::PciMapEntry& entry : mapping.entries) {
      if (entry.node != facts_.node) continue;
      const Place place = find_place(gpus_, entry.members[0]);
      if (!place.gpu) continue;
      std::vector<const Vf*>& vfs = cards[place.gpu];
      if (place.vf) vfs.push_back(place.vf);
    }
    if (cards.empty()) return;  // of other nodes, or of other devices
    std::string wrong = readiness::why_refused(reader_.host(), machine_, mapping);
    if (!wrong.empty()) {
      wrong += "; correct or remove the entry";
      reader_.note(wrong);
    }
    for (const Gpu& gpu : gpus_) {
      const auto card = cards.find(&gpu);
      if (card == cards.end()) continue;
      const auto vfs = static_cast<std::int64_t>(card->second.size());
      const auto free = std::count_if(card->second.begin(), card->second.end(), [](const Vf* vf) { return vf->is_free(); });
      const auto line = [&](const std::string& type, std::int64_t count, std::int64_t left) {
        add({mapping.id, model_of(gpu), type, count, wrong.empty() ? left : 0, false, wrong.empty(), wrong});
      };
      if (mapping.mdev) {
        for (const VgpuType& type : gpu.vgpu_types)
          line(type.name, seats(gpu, type, vfs),
               gpu.framework == Framework::mdev ? type.available : std::min<std::int64_t>(type.available, free));
      } else if (vfs > 0) {
        line(gpu.is_intel() ? intel_vgpu : whole_card, vfs, free);
      } else {
        line(whole_card, 1, in_use(gpu) ? 0 : 1);
      }
    }
  }

  Reader& reader_;
  const Machine& machine_;
  const std::vector<Technologies>& technologies_;
  const std::vector<Gpu>& gpus_;
  const GuestFacts& guests_;
  const HostFacts& facts_;
  std::vector<Resource> out_;
};

}  // namespace

std::vector<Resource> list_resources(Reader& reader, const Machine& machine, const std::vector<Technologies>& technologies) {
  return Lister(reader, machine, technologies).run();
}

/// A broker's pool has the mapping's name.
static std::string text_of(const Resource& line) {
  constexpr const char* arrow = " \xe2\x86\x92 ";
  return line.source() + (line.mapping.empty() ? "" : arrow + ("pool " + line.mapping)) + arrow + line.vgpu_type;
}

void Resource::fields(Reply<Resource>& out) {
  out.field("source", [](const Resource& line) { return line.source(); },
            {.doc = "The GPU model, or C(mapping NAME).", .sample = "mapping TeslaP4"});
  out.field("mapping", &Resource::mapping, {.doc = "The resource mapping, V(null) for a line by type.", .null_if_empty = true});
  out.field("gpu_model", &Resource::gpu_model, {.doc = "The GPU model.", .sample = "Tesla P4"});
  out.field("vgpu_type", &Resource::vgpu_type, {.doc = "The vGPU type, V(Intel-vGPU) or V(GPU Passthrough).", .sample = "GRID P4-1Q"});
  out.field("count", &Resource::count, {.doc = "How many desktops it serves when nothing else runs on its GPUs."});
  out.field("free", &Resource::free, {.doc = "How many of these it serves now."});
  out.field("broker_visible_by_type", &Resource::visible_by_type,
            {.doc = "Whether the broker finds it by its type, which it does where C(mdevctl types) lists it."});
  out.field("assignable", &Resource::assignable, {.doc = "Whether it can be assigned as it stands."});
  out.field("reason", &Resource::reason, {.doc = "Why it can't.", .null_if_empty = true});
  out.field("text", [](const Resource& line) { return text_of(line); },
            {.doc = "The line as the broker writes it.", .sample = "mapping TeslaP4 \xe2\x86\x92 pool TeslaP4 \xe2\x86\x92 GRID P4-1Q"});
}

}  // namespace pvegpu::gpu
