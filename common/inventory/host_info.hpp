// SPDX-License-Identifier: MIT
// What host_info answers: printed here, taken in by the modules mapping and pools, which get it of other hosts.
#pragma once

#include "common/inventory/host_document.hpp"
#include "common/mapping/mappable.hpp"

namespace pvegpu::gpu {

struct PveInfo {
  std::optional<std::string> version;
  std::optional<std::int64_t> release;

  static void fields(Document<PveInfo>& out);
};
struct KernelInfo {
  std::string release;
  std::optional<std::string> cmdline;
  std::optional<bool> secure_boot;
  std::optional<std::string> lockdown;

  static void fields(Reply<KernelInfo>& out);
};
struct LoaderInfo {
  const char *kind = "", *firmware = "";
  bool proxmox_boot_tool = false;
  std::vector<std::string> evidence;

  static void fields(Reply<LoaderInfo>& out);
};
struct CpuInfo : Cpu {
  static void fields(Reply<CpuInfo>& out);
};
struct MachineInfo : Dmi {
  static void fields(Reply<MachineInfo>& out);
};
struct IommuInfo : Iommu {
  static void fields(Reply<IommuInfo>& out);
};
struct NvidiaInfo {
  bool loaded = false;
  std::optional<std::string> version;
  std::optional<std::int64_t> branch;
  std::string release;
  std::optional<bool> host_vgpu, open_modules;
  std::optional<std::string> installed_version;

  static void fields(Document<NvidiaInfo>& out);
};
struct IntelInfo : IntelDriver {
  static void fields(Reply<IntelInfo>& out);
};
struct DriversInfo {
  NvidiaInfo nvidia;
  IntelInfo i915, xe;
  std::vector<std::string> others;

  static void fields(Document<DriversInfo>& out);
};
struct UnlockInfo : Unlock {
  static void fields(Reply<UnlockInfo>& out);
};

struct HostFactsInfo {
  std::optional<std::string> node, cluster;
  PveInfo pve;
  KernelInfo kernel;
  LoaderInfo loader;
  CpuInfo cpu;
  MachineInfo machine;
  IommuInfo iommu;
  DriversInfo drivers;
  UnlockInfo vgpu_unlock;

  static void fields(Document<HostFactsInfo>& out);
};

struct GpuInfo : DocumentedGpu {
  Technologies technologies;

  static void fields(Document<GpuInfo>& out);
};

struct HostInfo {
  HostFactsInfo host;
  std::vector<GpuInfo> gpus;
  std::vector<Resource> resources;
  Form form;
  std::vector<Unreadable> unreadable;
  std::vector<std::string> notes;

  static void fields(Document<HostInfo>& out);
};

HostInfo tell(HostDocument document, const Reader& reader);

}  // namespace pvegpu::gpu
