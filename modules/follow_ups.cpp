// SPDX-License-Identifier: MIT
// follow_ups: work that other tasks put off is done, each once.
#include "common/core/journal.hpp"
#include "common/core/module.hpp"

namespace pvegpu {
namespace {

struct Params {};

void plan(const Params&, const HostView& host, Plan& out) {
  json owed = json::array();
  for (const Owed& each : journal::owed(host).or_fail("see what is owed"))
    owed.push_back({{"work", each.follow_up.title()}, {"modules", each.modules}, {"put_off", each.put_off}});
  out.report("owed", std::move(owed));
  out.do_all_owed_work();
}

}  // namespace

PVEGPU_MODULE(
    follow_ups, Params,
    (ModuleDoc{
        .name = "follow_ups",
        .summary = "Do the work that other tasks put off",
        .description =
            {"Tasks with C(follow_ups=later) leave the rebuilding of the initramfs and of the boot loader's files to this module, so "
             "that each is done once before a reboot.",
             "It also does what a run that was killed still owes."},
        .examples = R"(- name: IOMMU on
  pve.gpu.iommu:
    follow_ups: later

- name: A parameter for the desktops
  pve.gpu.kernel_cmdline:
    parameters: [hugepages=4096]
    follow_ups: later

- name: The boot loader's files, once
  pve.gpu.follow_ups:
)",
        .returns = R"(owed:
  description: What is owed once this run is over; in check mode, what was owed before it.
  returned: always
  type: list
  elements: dict
  contains:
    work:
      description: The program, as C(run PROGRAM).
      returned: always
      type: str
    modules:
      description: The modules that need it.
      returned: always
      type: list
      elements: str
    put_off:
      description: Whether a task put it off, or a run ended before it was done.
      returned: always
      type: bool
)",
    }),
    Spec<Params>{}, plan)

}  // namespace pvegpu
