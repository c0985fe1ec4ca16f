// SPDX-License-Identifier: MIT
// What planning needs of the documents of host_info. Thousands of GPUs of a cluster are of a few kinds, so what is judged is kept once a
// kind.
#pragma once

#include "common/inventory/host_info.hpp"

#include <array>
#include <map>
#include <optional>

namespace pvegpu::pools {

struct OfferedType {
  std::string name;
  std::int64_t max_instances = 0;  ///< 0: unknown
};

enum class Way { passthrough, nvidia_mdev, nvidia_sriov_mdev, nvidia_vendor_vfio, intel_sriov, intel_gvtg };
constexpr std::size_t ways = 6;
const char* name_of(Way way);

/// GPUs that are alike in all that decides what they can serve.
struct GpuKind {
  std::string model;
  gpu::Kind kind = gpu::Kind::gpu;
  gpu::Framework framework = gpu::Framework::none;
  catalogue::PciIds ids;
  bool boot_vga = false;
  std::string stranger;  ///< a function of another card in its IOMMU group, "" when there is none
  std::int64_t vfs_total = 0, vfs_enabled = 0;
  std::vector<OfferedType> types;
  std::array<gpu::Technology, ways> technologies;
  std::int64_t pve_release = 0;    ///< 0: unknown
  std::int64_t nvidia_branch = 0;  ///< of the loaded driver, 0: none or unknown
  std::string nvidia_version;

  const gpu::Technology& technology(Way way) const { return technologies[static_cast<std::size_t>(way)]; }
};

struct GpuPlace {
  std::size_t node = 0, kind = 0;
  std::string address;
  std::vector<std::string> vfs;       ///< their addresses
  std::vector<std::string> mappings;  ///< resource mappings that hold it or its VFs today
  std::vector<std::int64_t> running;  ///< guests that run and have it
};

struct Documents {
  std::vector<std::string> nodes;
  std::vector<GpuKind> kinds;
  std::vector<GpuPlace> gpus;  ///< by node as given, then by address; consoles are left out
};

/// Takes what is there, complete documents or only the keys below. Error: which document lacks what.
Result<Documents> read_documents(const json& hosts);

/// The keys that are read, as paths in a document: all others may be left out.
std::vector<std::string> document_keys();

/// Entries of resource mappings as `pvesh get /cluster/mapping/pci` lists them.
struct TodaysMapping {
  std::string id;
  std::vector<std::pair<std::string, std::string>> entries;  ///< node and path
};
Result<std::vector<TodaysMapping>> read_mappings(const json& mappings);

/// Which GPUs these mappings hold.
void attach(Documents& documents, const std::vector<TodaysMapping>& mappings);

}  // namespace pvegpu::pools
