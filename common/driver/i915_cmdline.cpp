// SPDX-License-Identifier: MIT
// What the drivers of Intel graphics need on the kernel's command line.
#include "common/driver/i915.hpp"
#include "common/host/module_block.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::driver {
namespace {

constexpr const char* module = "i915_sriov_driver";
using Parameters = std::vector<text::KernelParameter>;

bool holds(const Parameters& all, const text::KernelParameter& one) { return std::find(all.begin(), all.end(), one) != all.end(); }

/// All that the module may ever have put there.
std::vector<text::KernelParameter> every_parameter(std::string_view cmdline, const std::vector<std::string>& devices) {
  std::vector<text::KernelParameter> out = {{"i915.enable_guc", "3"}};
  for (std::int64_t count = 1; count <= most_vfs; ++count) out.push_back({"i915.max_vfs", std::to_string(count)});
  for (std::int64_t count = 1; count <= most_xe_vfs; ++count) out.push_back({"xe.max_vfs", std::to_string(count)});
  for (const std::string& device : devices) out.push_back({"xe.force_probe", device});
  for (const auto& [rival, own] : {std::pair("xe", "i915"), std::pair("i915", "xe")}) {
    out.push_back({"module_blacklist", rival});
    out.push_back(blacklisted(cmdline, rival, own));
  }
  return out;
}

/// Words that keep the wished driver away, now or at the next boot, contradict the wish. What is left of a list of modules stays.
void forbid_blocks(const HostView& host, const BootFacts& facts, const std::string& own, boot::CmdlineWish& wish) {
  for (const std::string& line : {facts.cmdline.value_or(""), next_command_line(host, facts)})
    for (const text::KernelParameter& word : blocking_words(line, own)) {
      if (holds(wish.forbidden, word)) continue;
      wish.forbidden.push_back(word);
      const auto rest = without_module(word, own);
      const bool there = std::any_of(wish.present.begin(), wish.present.end(),
                                     [&](const text::KernelParameter& each) { return rest && text::same_key(each.key, rest->key); });
      if (rest && !there && wish.conflicts == boot::Conflicts::remove) wish.present.push_back(*rest);
    }
}

}  // namespace

Parameters i915_parameters(std::int64_t max_vfs) { return {{"i915.enable_guc", "3"}, {"i915.max_vfs", std::to_string(max_vfs)}}; }

Parameters xe_parameters(std::string_view cmdline, const std::optional<std::int64_t>& max_vfs, const std::vector<const gpu::Gpu*>& gpus) {
  Parameters out;
  for (const gpu::Gpu* gpu : gpus) {
    if (!gpu->intel->xe_force_probe) continue;
    out.push_back({"xe.force_probe", gpu::hex4(gpu->ids.device)});
    if (gpu->intel->integrated) out.push_back(blacklisted(cmdline, "i915", "xe"));
  }
  if (max_vfs) out.push_back({"xe.max_vfs", std::to_string(*max_vfs)});
  return out;
}

boot::CmdlineWish igpu_cmdline(const HostView& host, const BootFacts& facts, const std::string& own, Parameters present,
                               boot::Conflicts conflicts, const std::vector<std::string>& devices) {
  boot::CmdlineWish wish{.module = module, .present = std::move(present), .conflicts = conflicts};
  if (own == "i915") wish.forbidden = {{"i915.enable_gvt", "1"}};
  forbid_blocks(host, facts, own, wish);
  for (text::KernelParameter& each : every_parameter(facts.cmdline.value_or(""), devices))
    if (!holds(wish.present, each)) wish.withdrawn.push_back(std::move(each));
  return wish;
}

boot::CmdlineWish without_igpu_cmdline(const HostView& host, const Plan& plan, const BootFacts& facts,
                                       const std::vector<std::string>& devices) {
  boot::CmdlineWish wish{.module = module, .withdrawn = every_parameter(facts.cmdline.value_or(""), devices)};
  for (text::KernelParameter& each : boot::contributed(host, plan, module)) {
    const bool list = text::same_key(each.key, "module_blacklist") || each.key == "modprobe.blacklist";
    if (list && !holds(wish.withdrawn, each)) wish.withdrawn.push_back(std::move(each));
  }
  return wish;
}

}  // namespace pvegpu::driver
