// SPDX-License-Identifier: MIT
// The facts document of a host.
#include "common/inventory/host_document.hpp"

namespace pvegpu::gpu {
namespace {

template <class T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

json or_null(const std::string& text) { return text.empty() ? json(nullptr) : json(text); }

json neighbour_json(const Neighbour& function) {
  json out = {{"address", function.address},           {"vendor_id", hex4(function.vendor)}, {"device_id", hex4(function.device)},
              {"pci_class", hex4(function.pci_class)}, {"driver", or_null(function.driver)}, {"same_card", function.same_card},
              {"bridge", function.is_bridge()}};
  if (!function.needed.empty()) out["needed"] = function.needed;
  return out;
}

json sriov_json(const Sriov& sriov) {
  json vfs = json::array();
  for (const Vf& vf : sriov.vfs)
    vfs.push_back({{"address", vf.address},
                   {"driver", or_null(vf.driver)},
                   {"iommu_group", or_null(vf.iommu_group)},
                   {"mdevs", vf.mdevs},
                   {"vgpu_type", or_null(vf.vgpu_type)},
                   {"held", vf.held}});
  json ids = nullptr;
  if (sriov.vf_ids)
    ids = {{"vendor_id", hex4(sriov.vf_ids->vendor)},
           {"device_id", hex4(sriov.vf_ids->device)},
           {"subsystem_vendor_id", hex4(sriov.vf_ids->subsystem_vendor)},
           {"subsystem_device_id", hex4(sriov.vf_ids->subsystem_device)}};
  return {
      {"capable", sriov.capable}, {"total", sriov.total}, {"enabled", sriov.enabled}, {"vf_ids", std::move(ids)}, {"vfs", std::move(vfs)}};
}

json displays_json(const std::optional<std::vector<Display>>& displays) {
  if (!displays) return nullptr;
  json out = json::array();
  for (const Display& display : *displays) out.push_back({{"connector", display.connector}, {"status", display.status}});
  return out;
}

json uses_json(const std::optional<std::vector<Use>>& uses) {
  if (!uses) return nullptr;
  json out = json::array();
  for (const Use& use : *uses)
    out.push_back({{"vmid", use.vmid},
                   {"name", or_null(use.name)},
                   {"via", or_null(use.via)},
                   {"mapping", or_null(use.mapping)},
                   {"address", or_null(use.address)},
                   {"vgpu_type", or_null(use.vgpu_type)},
                   {"running", use.running}});
  return out;
}

json class_json(catalogue::VgpuClass value) {
  switch (value) {
    case catalogue::VgpuClass::classic:
      return 1;
    case catalogue::VgpuClass::sriov:
      return 2;
    case catalogue::VgpuClass::sriov_display_off:
      return 3;
    case catalogue::VgpuClass::none:
      break;
  }
  return nullptr;
}

}  // namespace

HostDocument read_host(Reader& reader) {
  HostDocument out{read_machine(reader), {}, {}, {}};
  for (const Gpu& gpu : out.gpus) out.technologies.push_back(judge_technologies(reader.host(), out, gpu));
  out.resources = list_resources(reader, out, out.technologies);
  out.form = guess_form(out.gpus, out.technologies, out.facts);
  return out;
}

json to_json(const Gpu& gpu, const Technologies& technologies) {
  json types = json::array();
  for (const VgpuType& type : gpu.vgpu_types)
    types.push_back({{"id", or_null(type.id)},
                     {"name", type.name},
                     {"framebuffer_mb", or_null(type.framebuffer_mb)},
                     {"max_instances", or_null(type.max_instances)},
                     {"available", type.available},
                     {"listed", type.listed}});
  json mdevs = json::array();
  for (const Mdev& mdev : gpu.mdevs)
    mdevs.push_back({{"uuid", mdev.uuid}, {"parent", mdev.parent}, {"vgpu_type", mdev.type_name}, {"vmid", or_null(mdev.vmid)}});
  json siblings = json::array(), functions = json::array(), possible = json::array();
  for (const Neighbour& other : gpu.iommu_siblings) siblings.push_back(neighbour_json(other));
  for (const Neighbour& other : gpu.functions) functions.push_back(neighbour_json(other));
  if (gpu.boards.size() > 1)
    for (const catalogue::Board& board : gpu.boards) possible.push_back(board.name);
  json out = {{"address", gpu.address},
              {"kind", name_of(gpu.kind)},
              {"vendor_id", hex4(gpu.ids.vendor)},
              {"device_id", hex4(gpu.ids.device)},
              {"subsystem_vendor_id", hex4(gpu.ids.subsystem_vendor)},
              {"subsystem_device_id", hex4(gpu.ids.subsystem_device)},
              {"name", gpu.name},
              {"board", gpu.board() ? json(gpu.board()->name) : json(nullptr)},
              {"possible_boards", std::move(possible)},
              {"vgpu_class", class_json(gpu.vgpu_class())},
              {"pci_class", hex4(gpu.pci_class)},
              {"driver", or_null(gpu.driver)},
              {"driver_override", or_null(gpu.driver_override)},
              {"boot_vga", gpu.boot_vga},
              {"displays", displays_json(gpu.displays)},
              {"numa_node", or_null(gpu.numa_node)},
              {"iommu_group", or_null(gpu.iommu_group)},
              {"iommu_siblings", std::move(siblings)},
              {"functions", std::move(functions)},
              {"sriov", sriov_json(gpu.sriov)},
              {"framework", catalogue::to_text(gpu.framework)},
              {"vgpu_types", std::move(types)},
              {"mdevs", std::move(mdevs)},
              {"vgpu_unlocked", gpu.unlocked},
              {"technologies", to_json(technologies)},
              {"used_by", uses_json(gpu.used_by)},
              {"problems", gpu.problems}};
  if (!gpu.beside.empty()) {
    json& beside = out["slot_neighbours"] = json::array();
    for (const Neighbour& other : gpu.beside) beside.push_back(neighbour_json(other));
  }
  return out;
}

}  // namespace pvegpu::gpu
