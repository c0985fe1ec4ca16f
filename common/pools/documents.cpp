// SPDX-License-Identifier: MIT
// Documents of host_info, reduced.
#include "common/pools/documents.hpp"

#include "common/text/pci_address.hpp"
#include "common/text/property_string.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <charconv>
#include <set>

namespace pvegpu::pools {
namespace {

const json& member(const json& value, const char* key) {
  static const json nothing = nullptr;
  if (!value.is_object()) return nothing;
  const auto found = value.find(key);
  return found == value.end() ? nothing : *found;
}

std::string text_of(const json& value) { return value.is_string() ? value.get<std::string>() : std::string(); }

constexpr std::int64_t most = 1'000'000;  // of anything a card can have, so that sums stay small
std::int64_t count_of(std::int64_t number) { return std::clamp<std::int64_t>(number, 0, most); }

constexpr gpu::Technology gpu::Technologies::*technology_of[ways] = {
    &gpu::Technologies::passthrough,        &gpu::Technologies::nvidia_mdev, &gpu::Technologies::nvidia_sriov_mdev,
    &gpu::Technologies::nvidia_vendor_vfio, &gpu::Technologies::intel_sriov, &gpu::Technologies::intel_gvtg};

GpuKind kind_of(const gpu::GpuInfo& gpu, const gpu::HostFactsInfo& host) {
  GpuKind out;
  out.model = gpu.name;
  out.kind = gpu.kind;
  out.framework = gpu.framework;
  out.ids = gpu.ids;
  out.boot_vga = gpu.boot_vga;
  for (const gpu::Neighbour& other : gpu.iommu_siblings)
    if (out.stranger.empty() && !other.same_card && !other.is_bridge()) out.stranger = other.address;
  out.vfs_total = count_of(gpu.sriov.total);
  out.vfs_enabled = count_of(gpu.sriov.enabled);
  for (const gpu::VgpuType& type : gpu.vgpu_types) out.types.push_back({type.name, count_of(type.max_instances.value_or(0))});
  for (std::size_t way = 0; way < ways; ++way) out.technologies[way] = gpu.technologies.*technology_of[way];
  out.pve_release = host.pve.release.value_or(0);
  if (host.drivers.nvidia.loaded) {
    out.nvidia_branch = host.drivers.nvidia.branch.value_or(0);
    out.nvidia_version = host.drivers.nvidia.version.value_or("");
  }
  return out;
}

/// Equal for kinds that are equal.
std::string key_of(const GpuKind& kind) {
  std::string out = fmt::format("{}\n{} {} {:x} {:x} {:x} {:x} {} {} {} {} {}\n{}\n{}\n", kind.model, static_cast<int>(kind.kind),
                                static_cast<int>(kind.framework), kind.ids.vendor, kind.ids.device, kind.ids.subsystem_vendor,
                                kind.ids.subsystem_device, kind.boot_vga, kind.vfs_total, kind.vfs_enabled, kind.pve_release,
                                kind.nvidia_branch, kind.nvidia_version, kind.stranger);
  for (const OfferedType& type : kind.types) out.append(type.name).append(fmt::format(" {}\n", type.max_instances));
  for (const gpu::Technology& facts : kind.technologies) {
    out += facts.possible ? 'p' : '-';
    out += facts.ready ? 'r' : '-';
    for (const std::string& sentence : facts.missing) out.append(sentence) += '\n';
  }
  return out;
}

}  // namespace

const char* name_of(Way way) {
  constexpr const char* names[ways] = {"passthrough",        "nvidia_mdev", "nvidia_sriov_mdev",
                                       "nvidia_vendor_vfio", "intel_sriov", "intel_gvtg"};
  return names[static_cast<std::size_t>(way)];
}

std::vector<std::string> document_keys() {
  return {"host.node",
          "host.pve.release",
          "host.drivers.nvidia",
          "gpus.address",
          "gpus.kind",
          "gpus.name",
          "gpus.vendor_id",
          "gpus.device_id",
          "gpus.subsystem_vendor_id",
          "gpus.subsystem_device_id",
          "gpus.boot_vga",
          "gpus.iommu_siblings.address",
          "gpus.iommu_siblings.same_card",
          "gpus.iommu_siblings.bridge",
          "gpus.sriov.total",
          "gpus.sriov.enabled",
          "gpus.sriov.vfs.address",
          "gpus.framework",
          "gpus.vgpu_types.name",
          "gpus.vgpu_types.max_instances",
          "gpus.technologies.passthrough",
          "gpus.technologies.nvidia_mdev",
          "gpus.technologies.nvidia_sriov_mdev",
          "gpus.technologies.nvidia_vendor_vfio",
          "gpus.technologies.intel_sriov",
          "gpus.technologies.intel_gvtg",
          "gpus.used_by.vmid",
          "gpus.used_by.running"};
}

Result<Documents> read_documents(const json& hosts) {
  Documents out;
  std::map<std::string, std::size_t> known_kinds;
  std::set<std::string> known_nodes;
  std::size_t index = 0;
  for (const json& document : hosts) {
    const std::string at = fmt::format("document {}", ++index);
    if (!member(document, "host").is_object() || !member(document, "gpus").is_array())
      return Error{fmt::format(
          "{} is none of host_info: it has no 'host' or no list 'gpus'; register host_info on that host and give what it returned", at)};
    const gpu::HostInfo told = reply_of<gpu::HostInfo>().read(document);
    const std::string node = told.host.node.value_or("");
    if (node.empty()) return Error{fmt::format("{} has no host.node, so nothing says which node it is of", at)};
    if (!known_nodes.insert(node).second)
      return Error{fmt::format("{} is of node {} again; give each node once, and plan each cluster by itself", at, node)};
    out.nodes.push_back(node);
    const std::size_t first = out.gpus.size();
    for (const gpu::GpuInfo& gpu : told.gpus) {
      if (gpu.kind == gpu::Kind::management_display || gpu.kind == gpu::Kind::virtual_display) continue;
      GpuKind kind = kind_of(gpu, told.host);
      GpuPlace place{out.nodes.size() - 1, 0, gpu.address, {}, {}, {}};
      if (!text::parse_pci_address(place.address) || kind.model.empty())
        return Error{fmt::format("{} (node {}) has a GPU without an address or a name", at, node)};
      for (const gpu::Vf& vf : gpu.sriov.vfs) place.vfs.push_back(vf.address);
      for (const gpu::Use& use : gpu.used_by.value_or(std::vector<gpu::Use>()))
        if (use.running) place.running.push_back(use.vmid);
      std::sort(place.running.begin(), place.running.end());
      place.running.erase(std::unique(place.running.begin(), place.running.end()), place.running.end());
      const auto [entry, is_new] = known_kinds.try_emplace(key_of(kind), out.kinds.size());
      if (is_new) out.kinds.push_back(std::move(kind));
      place.kind = entry->second;
      out.gpus.push_back(std::move(place));
    }
    std::sort(out.gpus.begin() + static_cast<std::ptrdiff_t>(first), out.gpus.end(),
              [](const GpuPlace& a, const GpuPlace& b) { return a.address < b.address; });
  }
  return out;
}

Result<std::vector<TodaysMapping>> read_mappings(const json& mappings) {
  std::vector<TodaysMapping> out;
  for (const json& mapping : mappings) {
    TodaysMapping read{text_of(member(mapping, "id")), {}};
    const json& entries = member(mapping, "map");
    if (read.id.empty() || !entries.is_array())
      return Error{
          fmt::format("mapping {} has no 'id' or no list 'map'; give what `pvesh get /cluster/mapping/pci --output-format json` prints",
                      out.size() + 1)};
    for (const json& entry : entries) {
      std::string node = text_of(member(entry, "node")), path = text_of(member(entry, "path"));
      if (entry.is_string()) {
        const auto properties = text::parse_property_string(entry.get_ref<const std::string&>());
        if (properties && properties->find("node") && properties->find("path")) {
          node = *properties->find("node");
          path = *properties->find("path");
        }
      }
      if (node.empty() || path.empty()) return Error{fmt::format("mapping {} has an entry without node or path", read.id)};
      read.entries.emplace_back(std::move(node), std::move(path));
    }
    out.push_back(std::move(read));
  }
  return out;
}

void attach(Documents& documents, const std::vector<TodaysMapping>& mappings) {
  std::map<std::pair<std::string, std::string>, std::size_t> functions;
  for (std::size_t i = 0; i < documents.gpus.size(); ++i) {
    const GpuPlace& gpu = documents.gpus[i];
    const std::string& node = documents.nodes[gpu.node];
    functions[{node, gpu.address}] = i;
    for (const std::string& vf : gpu.vfs) functions[{node, vf}] = i;
  }
  for (const TodaysMapping& mapping : mappings)
    for (const auto& [node, path] : mapping.entries)
      for (std::string member : text::split(path, ';')) {
        if (member.find('.') == std::string::npos) member += ".0";  // the whole device
        const auto found = functions.find({node, member});
        if (found == functions.end()) continue;
        std::vector<std::string>& names = documents.gpus[found->second].mappings;
        if (std::find(names.begin(), names.end(), mapping.id) == names.end()) names.push_back(mapping.id);
      }
  for (GpuPlace& gpu : documents.gpus) std::sort(gpu.mappings.begin(), gpu.mappings.end());
}

}  // namespace pvegpu::pools
