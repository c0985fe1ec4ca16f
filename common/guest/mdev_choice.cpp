// SPDX-License-Identifier: MIT
// Names of vGPU types to ids.
#include "common/guest/mdev_choice.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

/// What an alternative names: a card or one of its VFs.
struct Place {
  const Gpu* gpu = nullptr;
  const Vf* vf = nullptr;
};

Place find(const std::string& address, const std::vector<Gpu>& gpus) {
  for (const Gpu& gpu : gpus) {
    if (address == gpu.address) return {&gpu, nullptr};
    for (const Vf& vf : gpu.sriov.vfs)
      if (address == vf.address) return {&gpu, &vf};
  }
  return {};
}

/// "" when the place can have types.
std::string without_types(const Place& place, const std::string& path) {
  const Gpu& gpu = *place.gpu;
  const std::string driver = gpu.driver ? "its driver is " + *gpu.driver : std::string("it has no driver");
  switch (gpu.framework) {
    case Framework::none:
      return fmt::format("{} ({}) offers no vGPU types: {}", path, gpu.name,
                         gpu.sriov.capable && gpu.sriov.enabled == 0 && gpu.driver == "nvidia"
                             ? std::string("its virtual functions are not enabled")
                             : driver);
    case Framework::mdev:
      return place.vf ? fmt::format("{} is a virtual function, and {} offers its types itself", path, gpu.address) : std::string();
    case Framework::mdev_on_vfs:
    case Framework::vendor_vfio:
      if (!place.vf) return fmt::format("{} ({}) offers its vGPU types on its virtual functions only; name one of these", path, gpu.name);
      return gpu.framework == Framework::vendor_vfio && !place.vf->type_id
                 ? fmt::format("the virtual function {} is not driven by the vGPU host driver", path)
                 : std::string();
  }
  return {};
}

const VgpuType* find_type(const Gpu& gpu, const std::string& wish) {
  for (const VgpuType& type : gpu.vgpu_types)
    if (type.id == wish) return &type;
  for (const VgpuType& type : gpu.vgpu_types)
    if (!type.name.empty() && text::lower(type.name) == text::lower(wish)) return &type;
  return nullptr;
}

std::string offered_by(const Gpu& gpu) {
  std::vector<std::string> names;
  for (const VgpuType& type : gpu.vgpu_types) names.push_back(type.name.empty() ? type.id : type.name);
  return names.empty() ? std::string("nothing") : fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

Result<MdevChoice> choose_mdev(const std::string& wish, const std::vector<std::vector<std::string>>& alternatives,
                               const std::vector<Gpu>& gpus) {
  MdevChoice out;
  std::vector<std::string> unfit;  // one sentence a place
  const Gpu* asked = nullptr;      // the last that was asked for the type and has not got it
  for (const std::vector<std::string>& functions : alternatives) {
    // "cannot use mediated device with multifunction device" (PVE::QemuServer::PCI::parse_hostpci)
    if (functions.size() > 1)
      return Error{fmt::format("Proxmox VE makes a mediated device on one function only, and {} are several; name one",
                               fmt::join(functions, " and "))};
    const std::string& path = functions.at(0);
    const Place place = find(path, gpus);
    if (!place.gpu) {
      unfit.push_back(fmt::format("there is no GPU at {}", path));
      continue;
    }
    if (std::string why = without_types(place, path); !why.empty()) {
      unfit.push_back(std::move(why));
      continue;
    }
    const VgpuType* type = find_type(*place.gpu, wish);
    if (!type) {
      if (asked != place.gpu)
        unfit.push_back(
            fmt::format("{} ({}) does not offer '{}'; it offers: {}", place.gpu->address, place.gpu->name, wish, offered_by(*place.gpu)));
      asked = place.gpu;
      continue;
    }
    if (!out.id.empty() && out.id != type->id)
      return Error{fmt::format("'{}' is {} on one card and {} on {}; use a mapping of cards of one model", wish, out.id, type->id, path)};
    out.id = type->id;
    out.name = type->name.empty() ? type->id : type->name;
    out.framework = place.gpu->framework;
  }
  if (out.id.empty()) return Error{unfit.empty() ? std::string("no device is named") : fmt::format("{}", fmt::join(unfit, "; "))};
  for (const std::string& sentence : unfit) out.warnings.push_back("guests can't get it everywhere: " + sentence);
  return out;
}

}  // namespace pvegpu::gpu
