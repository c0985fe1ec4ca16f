// SPDX-License-Identifier: MIT
// Why a driver did not do what it should, in its own words. Logs decide about no condition: they tell the cause of one that is not met.
#include "common/facts/kernel_log.hpp"
#include "common/readiness/conditions.hpp"

#include <cstring>

namespace pvegpu::readiness {
namespace {

using gpu::Log;

/// Whose logs are worth asking about which condition.
struct Teller {
  const char* condition;
  std::vector<Log> logs;
};
const Teller tellers[] = {
    {"iommu_on", {Log::kernel}},
    {"iommu_group", {Log::kernel}},
    {"card_answers", {Log::kernel}},
    {"vf_windows_assigned", {Log::kernel}},
    {"nvidia_loaded", {Log::kernel}},
    {"nvidia_bound", {Log::kernel}},
    {"nvidia_initialised", {Log::kernel}},
    {"nvidia_vgpu_vfio", {Log::kernel}},
    {"nvidia_manager", {Log::vgpu_manager, Log::kernel}},
    {"intel_makes_vfs", {Log::kernel}},
    {"gvtg_driver", {Log::kernel}},
    {"types_offered", {Log::vgpu_daemon, Log::vgpu_manager, Log::kernel}},
};

BroughtBy brought_by(const char* name) {
  for (const BroughtBy by : {BroughtBy::reboot, BroughtBy::power_off, BroughtBy::driver, BroughtBy::packages})
    if (std::strcmp(name_of(by), name) == 0) return by;
  return BroughtBy::nothing;
}

}  // namespace

void explain(const Question& q, Condition& out) {
  const std::string address = q.gpu ? q.gpu->address : "";
  for (const Teller& teller : tellers) {
    if (out.name != teller.condition) continue;
    Reader reader(q.host);
    for (const Log log : teller.logs)
      for (const gpu::LogFinding& found : gpu::read_log(reader, log).value_or(std::vector<gpu::LogFinding>())) {
        if (!found.concerns(address)) continue;
        out.see(fmt::format("{}: {}", found.where, found.line));
        out.cause = fmt::format("{}: {}", out.cause, found.cause);
        out.cure = {found.cure, brought_by(found.brought_by), found.module};
        return;
      }
  }
}

}  // namespace pvegpu::readiness
