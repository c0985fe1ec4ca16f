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
std::int64_t number_of(const json& value) { return value.is_number_integer() ? value.get<std::int64_t>() : 0; }
bool is_true(const json& value) { return value.is_boolean() && value.get<bool>(); }

std::uint16_t id_of(const json& value) {
  const std::string text = text_of(value);
  std::uint16_t out = 0;
  std::from_chars(text.data(), text.data() + text.size(), out, 16);
  return out;
}

constexpr std::int64_t most = 1'000'000;  // of anything a card can have, so that sums stay small
std::int64_t count_of(const json& value) { return std::clamp<std::int64_t>(number_of(value), 0, most); }

GpuKind kind_of(const json& gpu, const json& host) {
  GpuKind out;
  out.model = text_of(member(gpu, "name"));
  out.kind = text_of(member(gpu, "kind"));
  out.framework = text_of(member(gpu, "framework"));
  out.vendor = id_of(member(gpu, "vendor_id"));
  out.device = id_of(member(gpu, "device_id"));
  out.subsystem_vendor = id_of(member(gpu, "subsystem_vendor_id"));
  out.subsystem_device = id_of(member(gpu, "subsystem_device_id"));
  out.boot_vga = is_true(member(gpu, "boot_vga"));
  for (const json& other : member(gpu, "iommu_siblings"))
    if (out.stranger.empty() && !is_true(member(other, "same_card")) && !is_true(member(other, "bridge")))
      out.stranger = text_of(member(other, "address"));
  const json& sriov = member(gpu, "sriov");
  out.vfs_total = count_of(member(sriov, "total"));
  out.vfs_enabled = count_of(member(sriov, "enabled"));
  for (const json& type : member(gpu, "vgpu_types"))
    out.types.push_back({text_of(member(type, "name")), count_of(member(type, "max_instances"))});
  for (std::size_t way = 0; way < ways; ++way) {
    const json& facts = member(member(gpu, "technologies"), name_of(static_cast<Way>(way)));
    out.technologies[way] = {is_true(member(facts, "possible")), is_true(member(facts, "ready")), {}};
    for (const json& sentence : member(facts, "missing")) out.technologies[way].missing.push_back(text_of(sentence));
  }
  out.pve_release = number_of(member(member(host, "pve"), "release"));
  if (const json& nvidia = member(member(host, "drivers"), "nvidia"); is_true(member(nvidia, "loaded"))) {
    out.nvidia_branch = number_of(member(nvidia, "branch"));
    out.nvidia_version = text_of(member(nvidia, "version"));
  }
  return out;
}

/// Equal for kinds that are equal.
std::string key_of(const GpuKind& kind) {
  std::string out = fmt::format("{}\n{}\n{}\n{:x} {:x} {:x} {:x} {} {} {} {} {}\n{}\n{}\n", kind.model, kind.kind, kind.framework,
                                kind.vendor, kind.device, kind.subsystem_vendor, kind.subsystem_device, kind.boot_vga, kind.vfs_total,
                                kind.vfs_enabled, kind.pve_release, kind.nvidia_branch, kind.nvidia_version, kind.stranger);
  for (const OfferedType& type : kind.types) out.append(type.name).append(fmt::format(" {}\n", type.max_instances));
  for (const TechnologyFacts& facts : kind.technologies) {
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
    const json& host = member(document, "host");
    const json& gpus = member(document, "gpus");
    if (!host.is_object() || !gpus.is_array())
      return Error{fmt::format(
          "{} is none of host_info: it has no 'host' or no list 'gpus'; register host_info on that host and give what it returned", at)};
    const std::string node = text_of(member(host, "node"));
    if (node.empty()) return Error{fmt::format("{} has no host.node, so nothing says which node it is of", at)};
    if (!known_nodes.insert(node).second)
      return Error{fmt::format("{} is of node {} again; give each node once, and plan each cluster by itself", at, node)};
    out.nodes.push_back(node);
    const std::size_t first = out.gpus.size();
    for (const json& gpu : gpus) {
      GpuKind kind = kind_of(gpu, host);
      if (kind.kind == "management_display" || kind.kind == "virtual_display") continue;
      GpuPlace place{out.nodes.size() - 1, 0, text_of(member(gpu, "address")), {}, {}, {}};
      if (!text::parse_pci_address(place.address) || kind.model.empty())
        return Error{fmt::format("{} (node {}) has a GPU without an address or a name", at, node)};
      for (const json& vf : member(member(gpu, "sriov"), "vfs")) place.vfs.push_back(text_of(member(vf, "address")));
      for (const json& use : member(gpu, "used_by"))
        if (is_true(member(use, "running"))) place.running.push_back(number_of(member(use, "vmid")));
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
