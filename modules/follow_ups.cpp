// SPDX-License-Identifier: MIT
// follow_ups: work that other tasks put off is done, each once.
#include "common/core/journal.hpp"
#include "common/core/module.hpp"

namespace pvegpu {
namespace {

struct Params {};

struct Work {
  std::string work;
  std::vector<std::string> modules;
  bool put_off = false;

  static void fields(Reply<Work>& out) {
    out.field("work", &Work::work, {.doc = "The program, as C(run PROGRAM)."});
    out.field("modules", &Work::modules, {.doc = "The modules that need it."});
    out.field("put_off", &Work::put_off, {.doc = "Whether a task put it off, or a run ended before it was done."});
  }
};

struct Answer {
  std::vector<Work> owed;

  static void fields(Reply<Answer>& out) {
    out.field("owed", &Answer::owed, {.doc = "What is owed once this run is over; in check mode, what was owed before it."});
  }
};

void plan(const Params&, const HostView& host, Plan& out) {
  Answer answer;
  for (const Owed& each : journal::owed(host).or_fail("see what is owed"))
    answer.owed.push_back({each.follow_up.title(), each.modules, each.put_off});
  out.report(answer);
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
        .answer = answer_of<Answer>,
    }),
    Spec<Params>{}, plan)

}  // namespace pvegpu
