// SPDX-License-Identifier: MIT
// What a card must be, whoever made it: there, no console, free for the way that is meant.
#include "common/facts/holders.hpp"
#include "common/facts/host_loss.hpp"
#include "common/facts/host_use.hpp"
#include "common/readiness/conditions.hpp"
#include "common/readiness/judge.hpp"

#include <algorithm>
#include <set>

namespace pvegpu::readiness {

void card_there(const Question& q, Condition& out) {
  if (q.gpu)
    return out.see(
        fmt::format("{} is {} ({}:{})", q.gpu->address, q.gpu->name, gpu::hex4(q.gpu->ids.vendor), gpu::hex4(q.gpu->ids.device)));
  // A mapping or a guest's device that is no GPU is judged by its own conditions; what a mapping leads to is told there.
  const auto there = [&](const text::PciAddress& address) {
    return std::any_of(q.machine.devices.begin(), q.machine.devices.end(),
                       [&](const PciDevice& device) { return address.covers(device.address); });
  };
  if (q.mapping || !q.missing_mapping.empty() ||
      (q.hostpci && std::all_of(q.hostpci->addresses.begin(), q.hostpci->addresses.end(), there)))
    return out.skip();
  out.fail("there is no such GPU on this node",
           task("host_info", json::object(), BroughtBy::nothing, "see pve.gpu.host_info for those that are there"));
}

void no_console(const Question& q, Condition& out) {
  if (q.gpu->kind == gpu::Kind::management_display)
    return out.fail_for_ever("it is the display of the server's management controller", "it is no GPU for desktops, choose another");
  if (q.gpu->kind == gpu::Kind::virtual_display)
    out.fail_for_ever("it is the display of a virtual machine, which this host is", "it is no GPU for desktops, choose another");
}

void host_spares_it(const Question& q, Condition& out) {
  for (const gpu::Neighbour& own : q.gpu->functions) {
    // No disk, network or keyboard is behind a display or its sound.
    const PciDevice* device = own.pci_class >> 8 == 0x03 || own.pci_class == 0x0403 ? nullptr : q.machine.device(own.address);
    if (!device) continue;
    if (std::string need = gpu::why_needed(q.host, *device); !need.empty()) {
      out.by_choice = false;
      return out.fail(std::move(need), hands("move it to another controller: a guest gets all functions of the card"));
    }
    const auto need = gpu::console_need(q.host, own.address);
    if (!need || out.by_choice) continue;
    out.fail(fmt::format("the console of this host ends with {}: {}", own.address, *need), hands("plug it in elsewhere"));
    out.by_choice = true;
  }
}

void boot_display(const Question& q, Condition& out) {
  out.see(fmt::format("{}: {}, class {}", q.sysfs("boot_vga"), q.gpu->boot_vga ? 1 : 0, gpu::hex4(q.gpu->pci_class)));
  if (!q.gpu->boot_vga || q.gpu->driver == "vfio-pci") return;
  out.fail("it is the boot display: the host's console is on it",
           hands("let the firmware use another card for the console (BIOS setup: primary display)"));
  out.by_choice = q.way == Way::passthrough;
}

void card_answers(const Question& q, Condition& out) {
  const gpu::CardState& card = q.card();
  if (!card.gone) return out.skip();
  out.see(card.config.str());
  if (card.power_state) out.see(fmt::format("{}: {}", q.sysfs("power_state"), *card.power_state));
  if (*card.gone)
    out.fail("its configuration space reads ff: it fell off the bus, or has no power",
             {"power the host off and on (a reboot is not enough); look at its seat and its power cables", BroughtBy::power_off});
}

void windows_assigned(const Question& q, Condition& out) {
  const gpu::CardState& card = q.card();
  if (!card.bars) return out.skip();
  const auto without = card.unassigned();
  if (without.empty()) return out.see(q.sysfs("resource") + ": each BAR has an address");
  for (const gpu::Bar* bar : without) out.see(bar->evidence.str());
  out.fail(
      fmt::format("its {} has no address: the firmware or the kernel found no room for it", without[0]->name()),
      hands("switch on 'Above 4G decoding' in the BIOS setup (also called 'Memory Mapped I/O above 4 GB'), where there is a size raise "
            "the MMIO high size, then power the host off and on; pve.gpu.kernel_cmdline with parameters=[pci=realloc] may help where the "
            "firmware can't"));
}

void vf_windows_assigned(const Question& q, Condition& out) {
  if (!q.on_vfs() || q.gpu->sriov.enabled > 0 || !q.card().bars) return out.skip();
  const auto without = q.card().unassigned_of_vfs();
  if (without.empty()) return;
  for (const gpu::Bar* bar : without) out.see(bar->evidence.str());
  out.fail(fmt::format("its {} has no address, so no VF can be made", without[0]->name()),
           hands("switch on 'SR-IOV' and 'Above 4G decoding' in the BIOS setup, then power the host off and on; "
                 "pve.gpu.kernel_cmdline with parameters=[pci=realloc] may help where the firmware can't"));
}

void no_reserved_memory(const Question& q, Condition& out) {
  Reader reader(q.host);
  const auto regions = gpu::read_direct_regions(reader, *q.gpu);
  if (!regions) return out.skip();
  if (regions->empty()) return out.see("no memory is reserved for its IOMMU group by the firmware (RMRR)");
  for (const gpu::Evidence& region : *regions) out.see(region.str());
  out.fail(
      "the firmware has reserved memory for a device of its IOMMU group (RMRR), so the kernel gives it to no guest",
      task("kernel_cmdline", {{"parameters", {"intel_iommu=on,relax_rmrr"}}}, BroughtBy::reboot,
           "switch that off for its slot in the BIOS setup (HPE: conrep, 'shared memory'); else pve.gpu.kernel_cmdline with "
           "parameters=[\"intel_iommu=on,relax_rmrr\"], which Proxmox's kernels know and which gives up that protection, then a reboot"));
}

void no_firmware_framebuffer(const Question& q, Condition& out) {
  const gpu::FirmwareFramebuffer console = gpu::framebuffer_in(q.machine.console, *q.gpu);
  if (console.in_card != true) return out.skip();
  out.see(console.evidence.str());
  if (console.given) return out.doubt(fmt::format("the firmware's console is in its memory although {} was given", console.parameter));
  // From Linux 6.0 on vfio-pci takes the console away when it gets a VGA card (vfio_pci_core.c: aperture_remove_conflicting_pci_devices);
  // what is still there once it has the card stays.
  const auto kernel = catalogue::parse_major_minor(q.facts().kernel);
  if (kernel && !(*kernel < catalogue::MajorMinor{6, 0}) && q.gpu->driver != "vfio-pci") return;
  out.fail(
      "the firmware's console is in its memory, so vfio-pci can't take it",
      task("kernel_cmdline", {{"parameters", {console.parameter}}}, BroughtBy::reboot,
           fmt::format("let the firmware use another card for the console, or pve.gpu.kernel_cmdline with parameters=[{}], then a reboot",
                       console.parameter)));
}

void can_be_reset(const Question& q, Condition& out) {
  const auto& methods = q.card().reset_methods;
  if (!methods) return out.skip();
  out.see(fmt::format("{}: {}", q.sysfs("reset_method"), methods->empty() ? "(none)" : fmt::format("{}", fmt::join(*methods, " "))));
  if (methods->empty())
    out.doubt("the kernel knows no way to reset it: a guest may get it once only, until the host is powered off and on");
}

void alone_on_its_board(const Question& q, Condition& out) {
  if (!q.gpu->is_nvidia()) return out.skip();
  const auto switches = gpu::nvswitches(q.machine.devices);
  if (switches.empty()) return out.skip();
  out.see(fmt::format("{} is an NVSwitch", switches[0].address));
  out.doubt(
      "it is on a baseboard with NVSwitches: one GPU of it alone runs only when NVIDIA's fabric manager on the host, or in a guest with "
      "the "
      "switches, has set up its partition");
}

void displays_free(const Question& q, Condition& out) {
  if (const auto connected = q.gpu->connected_displays(); !connected.empty())
    out.fail(fmt::format("a display is connected to it: {}", fmt::join(connected, ", ")),
             hands("unplug it: a card for vGPUs must have none"));
}

void judge_kept_away(const Question& q, Condition& out, const std::string& module, bool by_name) {
  const auto blocks = blocks_of(q.facts().blocks, module, by_name);
  if (blocks.empty() && !q.asks_programs) return;
  const BlockVerdict verdict = judge_blocks(q.host, q.facts().boot, module, false, by_name);
  if (!verdict.refusal.empty()) {
    out.fail(blocks.empty() ? verdict.refusal : block_cause(blocks),
             hands(blocks.empty() ? "take it out, then a reboot" : block_cure(blocks)));
    out.next_boot = blocks.empty();
  } else if (!verdict.wait.empty()) {
    out.fail(verdict.wait, {"reboot", BroughtBy::reboot});
  }
}

void vfio_kept_away(const Question& q, Condition& out) {
  if (q.facts().has_driver("vfio_pci")) return;
  judge_kept_away(q, out, "vfio_pci", true);
}

void held_by_vfio(const Question& q, Condition& out) {
  out.see(fmt::format("{}: {}", q.sysfs("driver"), q.gpu->driver.value_or("none")));
  if (q.gpu->driver != "vfio-pci") return;
  const char* cause = "vfio-pci has it, for passing it through whole";
  for (const gpu::Use& use : q.gpu->used_by.value_or(std::vector<gpu::Use>()))
    if (use.running)
      return out.fail(fmt::format("{}: guest {} runs with it", cause, use.vmid), hands(fmt::format("shut guest {} down", use.vmid)));
  Reader reader(q.host);
  const auto holders = gpu::read_holders(reader, *q.gpu);
  for (const gpu::Holder& holder : holders) {
    if (holder.ours) continue;
    out.see(fmt::format("{}: {}", holder.where(), holder.text));
    return out.fail(fmt::format("{}: {} ({})", cause, holder.how(), holder.where()),
                    hands(fmt::format("take {} away ('{}'), then a reboot", holder.where(), holder.text)));
  }
  if (holders.empty())
    return out.fail(fmt::format("{}, and no file of this host gives it to vfio-pci", cause),
                    {"reboot: it gets its own driver then", BroughtBy::reboot});
  out.fail(cause,
           task("vfio", {{"devices", {q.gpu->address}}, {"state", "absent"}}, BroughtBy::nothing, "pve.gpu.vfio with state=absent for it"));
}

void vfs_enabled(const Question& q, Condition& out) {
  if (!q.on_vfs()) return out.skip();
  const gpu::Sriov& sriov = q.gpu->sriov;
  out.see(fmt::format("{}: {} of {}", q.sysfs("sriov_numvfs"), sriov.enabled, sriov.total));
  if (sriov.enabled == 0)
    return out.fail("no VF is enabled", task("sriov", {{"device", q.gpu->address}}, BroughtBy::sriov,
                                             "pve.gpu.sriov now, and pve.gpu.sriov_service at each boot"));
  if (const auto there = static_cast<std::int64_t>(sriov.vfs.size()); sriov.enabled != there)
    out.fail(fmt::format("the kernel says that {} VFs are enabled, but {} are there", sriov.enabled, there),
             hands("see dmesg, and reboot"));
}

void no_vfs_on_whole_card(const Question& q, Condition& out) {
  if (q.gpu->sriov.enabled == 0) return;
  out.fail(fmt::format("it has {} enabled, which passing the whole card through would end", gpu::counted(q.gpu->sriov.enabled, "VF")),
           q.gpu->is_amd() ? hands("unload AMD's driver gim, which made them")
                           : task("sriov", {{"device", q.gpu->address}, {"vfs", "0"}}, BroughtBy::sriov, "pve.gpu.sriov with vfs=0"));
}

void no_vgpus_on_whole_card(const Question& q, Condition& out) {
  std::int64_t others = 0;
  bool known = true;
  std::set<std::string> guests;
  for (const gpu::Mdev& mdev : q.gpu->mdevs) {
    if (q.guest && mdev.vmid == q.guest->vmid) continue;
    ++others;
    known = known && mdev.vmid;
    guests.insert(fmt::format("guest {}", mdev.vmid.value_or(0)));
  }
  if (others > 0)
    return out.fail(fmt::format("it has {}, which passing the whole card through would end", gpu::counted(others, "vGPU")),
                    hands(known ? fmt::format("shut {} down", fmt::join(guests, ", ")) : "shut the guests down that have them"));
  const auto pve = q.facts().pve_version();
  const bool offers = q.gpu->framework == gpu::Framework::mdev && q.gpu->driver && q.gpu->driver != "vfio-pci";
  if (offers && pve && !(*pve < catalogue::MajorMinor{8, 4}))
    out.fail(fmt::format("the driver {} offers vGPUs on it, and Proxmox VE from 8.4 on refuses a mapping of the whole card then",
                         *q.gpu->driver),
             task("vfio", {{"devices", {q.gpu->address}}}, BroughtBy::reboot, "pve.gpu.vfio, which takes that driver away from it"));
}

}  // namespace pvegpu::readiness
