// SPDX-License-Identifier: MIT
// kernel_cmdline: parameters on the command line that the host will really boot with.
#include "common/boot/cmdline.hpp"
#include "common/core/choices.hpp"
#include "common/core/module.hpp"

namespace pvegpu {
namespace {

struct Params {
  std::vector<std::string> parameters;
  State state = State::present;
  boot::Conflicts conflicts = boot::Conflicts::refuse;
  FollowUps follow_ups = FollowUps::now;
};

void plan(const Params& params, const HostView& host, Plan& out) {
  boot::CmdlineWish wish{.module = "kernel_cmdline", .conflicts = params.conflicts};
  for (const std::string& word : params.parameters) {
    const auto parameter = text::parse_kernel_parameter(word);
    if (!parameter)
      throw ModuleError(
          fmt::format("parameter 'parameters': '{}' is not one kernel parameter; write key or key=value, one an item, "
                      "with double quotes around a value that has blanks",
                      word));
    (params.state == State::present ? wish.present : wish.withdrawn).push_back(*parameter);
  }
  text::pair_hugepages(wish.present);
  text::pair_hugepages(wish.withdrawn);
  if (params.follow_ups == FollowUps::later) out.put_off_next_boot_work();
  boot::plan_cmdline(host, out, wish);
}

}  // namespace

PVEGPU_MODULE(
    kernel_cmdline, Params,
    (ModuleDoc{
        .name = "kernel_cmdline",
        .summary = "Kernel parameters where the host's boot loader reads them",
        .description =
            {"Puts parameters on the kernel command line of the next boot, or takes away those that it put there.",
             "With GRUB they go to a drop-in of their own in C(/etc/default/grub.d). Where proxmox-boot-tool manages the EFI system "
             "partitions "
             "they go to the first line of C(/etc/kernel/cmdline), which keeps its C(root=); with GRUB on such partitions to both.",
             "A parameter that is there already, from anyone, is not written twice. Files of others are changed only with "
             "C(conflicts=remove).",
             "Parameters compare as the kernel takes them. Of most the last one counts; options within a list count one by one "
             "(C(intel_iommu=on,sm_on) is C(intel_iommu=on)); C(hugepages) belongs to the C(hugepagesz) before it, and both are added and "
             "taken away together.",
             "With GRUB values are written so that GRUB passes them on as they are wished. Quotes within a value, backslashes and what is "
             "not ASCII it can't pass on: they are refused, and so is a backslash with systemd-boot.",
             "The whole command line is judged before it is written. One with another C(root=) or none, without what mounts the root file "
             "system, of more than 2,047 characters, or one that a later file of GRUB's defaults overrides is refused."},
        .examples = R"(- name: Huge pages for desktops
  pve.gpu.kernel_cmdline:
    parameters:
      - hugepagesz=1G
      - hugepages=64

- name: Take them back
  pve.gpu.kernel_cmdline:
    parameters: [hugepagesz=1G, hugepages=64]
    state: absent
)",
        .answer = answer_of<boot::CmdlineAnswer>,
        .notes = {"C(reboot_required) compares the running C(/proc/cmdline) with the wish; the module does not reboot."},
    }),
    Spec<Params>{}
        .param("parameters", &Params::parameters,
               {.doc = "Parameters, C(key) or C(key=value) each. Keys that differ in dashes and underscores only are the same, as for the "
                       "kernel.",
                .required = true})
        .param("state", &Params::state, {.doc = "Whether the next boot shall have them. C(absent) takes back what this module added."})
        .param(
            "conflicts", &Params::conflicts,
            {.doc =
                 "What to do with parameters of others that contradict the wish, or that shall be absent: refuse with their file and line, "
                 "or remove them there."})
        .param("follow_ups", &Params::follow_ups,
               {.doc = "When C(update-grub) and C(proxmox-boot-tool refresh) run. C(later) leaves them to the module C(follow_ups)."}),
    plan)

}  // namespace pvegpu
