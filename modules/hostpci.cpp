// SPDX-License-Identifier: MIT
// hostpci: a PCI device, or a part of one, in a guest's configuration.
//
// Facts: qemu-server's PCI.pm ($hostpci_fmt, parse_hostpci, choose_hostpci_devices) and API2/Qemu.pm (update_vm_api): what is set for a
// running guest goes to [PENDING] and is taken over when the guest starts the next time; a digest that is not the file's is refused.
#include "common/cluster/vm.hpp"
#include "common/core/choices.hpp"
#include "common/core/module.hpp"
#include "common/guest/guest_start.hpp"
#include "common/guest/hostpci_memory.hpp"
#include "common/guest/hostpci_rules.hpp"
#include "common/guest/mdev_choice.hpp"
#include "common/readiness/outlook.hpp"
#include "common/base/strings.hpp"

namespace pvegpu {
namespace hostpci {
namespace {

enum class Running { refuse, pending };
enum class Driver { vfio, keep };

struct Params {
  std::int64_t vmid = 0;
  std::optional<std::int64_t> slot;
  std::optional<std::string> mapping;
  std::vector<std::string> host;
  std::optional<std::string> mdev, romfile, vendor_id, device_id, sub_vendor_id, sub_device_id;
  bool pcie = false, x_vga = false, rombar = true, legacy_igd = false;
  Driver driver = Driver::vfio;
  Running running = Running::refuse;
  State state = State::present;
};

struct GuestAnswer {
  std::int64_t vmid = 0;
  std::string name;
  bool running = false;
  bool is_template = false;

  static void fields(Reply<GuestAnswer>& out) {
    out.field("vmid", &GuestAnswer::vmid, {.doc = "Its number."});
    out.field("name", &GuestAnswer::name, {.doc = "Its name, empty when it has none."});
    out.field("running", &GuestAnswer::running, {.doc = "Whether it runs."});
    out.field("template", &GuestAnswer::is_template, {.doc = "Whether it is a template."});
  }
};

struct MdevAnswer {
  std::string id;
  std::string name;

  static void fields(Reply<MdevAnswer>& out) {
    out.field("id", &MdevAnswer::id, {.doc = "What Proxmox VE calls it, by the driver's number.", .sample = "nvidia-562"});
    out.field("name", &MdevAnswer::name, {.doc = "Its name.", .sample = "NVIDIA A40-8Q"});
  }
};

struct Answer {
  std::string node;
  std::optional<GuestAnswer> guest = {};
  std::string option = {};
  std::optional<std::optional<std::string>> value = {};
  std::optional<std::optional<std::string>> running_value = {};
  std::optional<std::optional<std::string>> wanted = {};
  std::optional<MdevAnswer> mdev = {};

  static void fields(Reply<Answer>& out) {
    out.field("node", &Answer::node, {.doc = "This node.", .sample = "pve1", .when = "always"});
    out.field("guest", &Answer::guest, {.doc = "The guest.", .when = "when this node has it"});
    out.field("option", &Answer::option,
              {.doc = "The option of its configuration.", .sample = "hostpci0", .when = "when this node has it"});
    out.field("value", &Answer::value,
              {.doc = "What the guest has there at its next start, V(null) when nothing; in check mode as it is before the run.",
               .sample = "mapping=a40,mdev=nvidia-562,pcie=1",
               .when = "when this node has it"});
    out.field(
        "running_value", &Answer::running_value,
        {.doc = "What the guest was started with, V(null) when it does not run or has nothing there.", .when = "when this node has it"});
    out.field("wanted", &Answer::wanted,
              {.doc = "What the task makes of it, V(null) when the slot shall be empty.", .when = "when nothing is against it"});
    out.field("mdev", &Answer::mdev, {.doc = "The vGPU type.", .when = "when one is asked for"});
  }
};

class HostPciPlanner {
 public:
  HostPciPlanner(const Params& params, const HostView& host, Plan& out)
      : params_(params),
        host_(host),
        out_(out),
        slot_(static_cast<unsigned>(params.slot.value_or(0))),
        key_(fmt::format("hostpci{}", slot_)),
        reader_(host) {}

  void run() {
    const auto membership = cluster::read_membership(reader_);
    if (!membership.pmxcfs) return refuse(membership.problem);
    node_ = membership.node;
    memory_ = gpu::hostpci_memory(out_.note(gpu::hostpci_note(params_.vmid, slot_)));
    auto found = cluster::find_vm(reader_, membership, params_.vmid);
    if (!found) {
      if (params_.state == State::absent && found.error().code == ENOENT) return forget();  // destroyed meanwhile
      return refuse(found.error().message);
    }
    vm_ = *std::move(found);
    value_ = text::guest_option(vm_.sections, key_);
    Answer answer{node_, GuestAnswer{params_.vmid, vm_.name, vm_.running, vm_.is_template}, key_};
    answer.value = value_.next;
    answer.running_value = vm_.running ? value_.now : std::nullopt;
    out_.report(answer);
    params_.state == State::present ? present() : absent();
    if (differs_ && membership.clustered && !membership.quorate)
      refuse("the cluster has no quorum, so no guest can be changed; see: pvecm status");
  }

 private:
  void refuse(std::string sentence) { out_.refuse(std::move(sentence)); }
  void tell_wanted(const std::optional<std::string>& wanted) { out_.report(Answer{.wanted = wanted}); }

  // --- what is wished ---------------------------------------------------------------------------------------------------------
  void present() {
    const gpu::Machine machine = gpu::require_machine(host_);
    auto start = gpu::start_facts(host_, machine);
    if (!start) return refuse("this is no Proxmox VE host: /usr/share/perl5/PVE/pvecfg.pm says no version");
    if (!machine.guests.mappings) throw ModuleError("/etc/pve/mapping/pci.cfg can't be read");
    start->node = node_;
    const text::HostPci wish = described();
    if (std::string why = gpu::why_not(wish, vm_.sections, params_.vmid, start->pve); !why.empty()) return refuse(why);
    auto device = gpu::resolve(*start, wish);
    if (!device) return refuse(device.error().message);
    if (!judge_cards(machine, *start, *device)) return;
    if (std::string why = gpu::why_stale(*start, *device); !why.empty()) return refuse(why);
    std::vector<std::string> of_others;
    const std::string clash = gpu::why_clash(*start, params_.vmid, vm_.sections, *device, of_others);
    for (const std::string& warning : of_others) out_.warn(warning);
    if (!clash.empty()) return refuse(clash);
    const std::string wanted = text::print_hostpci(device->value);
    tell_wanted(wanted);
    if (value_.next && text::canonical_hostpci(*value_.next) == wanted) return wait(*value_.next);
    if (!may_change()) return;
    // In the spelling that the guest runs with, nothing stays pending.
    change(value_.now && text::canonical_hostpci(*value_.now) == wanted ? *value_.now : wanted,
           gpu::remember(memory_, value_.next, wanted));
  }

  text::HostPci described() const {
    text::HostPci out{slot_};
    for (const std::string& text : params_.host)
      for (const std::string& address : text::split(text, ';'))
        out.addresses.push_back(text::parse_pci_address(text::trim(address)).or_fail("parameter 'host'"));
    out.mapping = params_.mapping.value_or("");
    out.mdev = params_.mdev.value_or("");
    out.pcie = params_.pcie;
    out.x_vga = params_.x_vga;
    out.rombar = params_.rombar;
    out.legacy_igd = params_.legacy_igd;
    out.romfile = params_.romfile.value_or("");
    out.keep_driver = params_.driver == Driver::keep;
    if (out.romfile.find_first_of(",;/") != out.romfile.npos)
      throw ModuleError(fmt::format("parameter 'romfile': '{}' is not the name of a file in /usr/share/kvm", out.romfile));
    const auto id = [](const char* name, const std::optional<std::string>& given) {
      if (given && !text::is_hex_id(*given))
        throw ModuleError(fmt::format("parameter '{}': '{}' is not written like 0x10de", name, *given));
      return text::lower(given.value_or(""));
    };
    out.vendor_id = id("vendor_id", params_.vendor_id);
    out.device_id = id("device_id", params_.device_id);
    out.sub_vendor_id = id("sub_vendor_id", params_.sub_vendor_id);
    out.sub_device_id = id("sub_device_id", params_.sub_device_id);
    return out;
  }

  /// A card whole is set although its start still waits for something; the type of a vGPU is not known before a card offers it.
  bool judge_cards(const gpu::Machine& machine, const gpu::StartFacts& start, gpu::StartDevice& device) {
    const bool mediated = params_.mdev.has_value();
    const gpu::Guest guest{params_.vmid, vm_.running, {}};
    const readiness::Outlook outlook = readiness::outlook(host_, machine, device.alternatives, mediated, &guest);
    outlook.tell(out_);
    if (mediated) return outlook.good() && choose_type(device, start, machine);
    for (const text::PciMapping& mapping : start.mappings)
      if (mapping.id == device.value.mapping && mapping.mdev)
        out_.warn(fmt::format("the mapping '{}' is for mediated devices, but no mdev is named: the guest gets the first free device whole",
                              mapping.id));
    return !out_.refusal();
  }

  bool choose_type(gpu::StartDevice& device, const gpu::StartFacts& start, const gpu::Machine& machine) {
    const auto choice = gpu::choose_mdev(*params_.mdev, device.alternatives, machine.gpus);
    if (!choice) {
      refuse(fmt::format("no guest on {} can get the vGPU type '{}': {}", node_, *params_.mdev, choice.error().message));
      return false;
    }
    if (device.value.keep_driver && choice->framework != gpu::Framework::vendor_vfio) {
      refuse("driver=keep makes Proxmox VE create no mediated device; leave it out");
      return false;
    }
    if (choice->framework == gpu::Framework::vendor_vfio && start.pve < catalogue::MajorMinor{8, 3})
      out_.warn("vGPUs on NVIDIA's vendor VFIO need the package qemu-server 8.2.5 or later");
    for (const std::string& warning : choice->warnings) out_.warn(warning);
    device.value.mdev = choice->id;
    Answer answer;
    answer.mdev = MdevAnswer{choice->id, choice->name};
    out_.report(answer);
    return true;
  }

  // --- what is taken back -----------------------------------------------------------------------------------------------------
  void absent() {
    const bool emptied = !params_.mapping && params_.host.empty();  // whoever filled it
    const auto& next = value_.next;
    std::optional<std::string> wanted = next;
    if (emptied)
      wanted = std::nullopt;
    else if (memory_ && memory_->wrote(next))
      wanted = memory_->before;
    else if (next && gpu::same_device(*next, described()))
      out_.warn(
          fmt::format("{} of guest {} stays '{}': this module did not set it on this node; to empty the slot, name it without a device",
                      key_, params_.vmid, *next));
    tell_wanted(wanted);
    if (wanted == next) {
      forget();
      return wait(next);
    }
    if (!may_change()) return;
    change(wanted, std::nullopt);
    forget();
  }

  void forget() {
    out_.ensure_note(gpu::hostpci_note(params_.vmid, slot_), std::nullopt, fmt::format("memory of {} of guest {}", key_, params_.vmid));
  }

  // --- the change -------------------------------------------------------------------------------------------------------------
  bool may_change() {
    differs_ = true;
    if (!vm_.lock.empty()) {
      refuse(
          fmt::format("guest {} is locked ({}): something works on it; wait for it, or after making sure that nothing does: qm unlock {}",
                      params_.vmid, vm_.lock, params_.vmid));
    } else if (vm_.running && params_.running == Running::refuse) {
      refuse(
          fmt::format("guest {} runs, and {} is not changed under it; shut it down first, or give running=pending for a change that counts "
                      "from its next start on",
                      params_.vmid, key_));
    } else {
      return true;
    }
    return false;
  }

  /// `memory` is kept before the change.
  void change(const std::optional<std::string>& wanted, const std::optional<gpu::HostPciMemory>& memory) {
    Step step = cluster::vm_option_step(vm_, params_.vmid, key_, value_.next, wanted);
    if (memory) step.note_before = NoteChange{gpu::hostpci_note(params_.vmid, slot_), gpu::to_json(*memory)};
    out_.effect(std::move(step));
    wait(wanted);
  }

  /// A running guest keeps what it was started with.
  void wait(const std::optional<std::string>& wanted) {
    if (!vm_.running || value_.now == wanted) return;
    out_.later({"guest_restart",
                fmt::format("guest {} runs with {} as {}; that changes when it is shut down and started again, or with: qm reboot {} "
                            "(a reboot from inside is not enough)",
                            params_.vmid, value_.now ? fmt::format("'{}'", *value_.now) : "nothing", key_, params_.vmid)});
  }

  const Params& params_;
  const HostView& host_;
  Plan& out_;
  const unsigned slot_;
  const std::string key_;
  Reader reader_;
  std::string node_;
  cluster::Vm vm_;
  text::GuestOption value_;
  std::optional<gpu::HostPciMemory> memory_;
  bool differs_ = false;
};

void plan(const Params& params, const HostView& host, Plan& out) {
  if (params.vmid < 100) throw ModuleError(fmt::format("parameter 'vmid': {} is no guest; they are numbered from 100", params.vmid));
  if (params.slot.value_or(0) < 0 || params.slot.value_or(0) > 15)
    throw ModuleError(fmt::format("parameter 'slot': {} is not one of 0 to 15", *params.slot));
  const bool device = params.mapping || !params.host.empty();
  if (params.state == State::present && !device) throw ModuleError("a device is needed: name a mapping, or an address with host");
  if (params.state == State::absent && !device && !params.slot)
    throw ModuleError("state=absent needs the device that was set, or the slot that is to be emptied");
  HostPciPlanner(params, host, out).run();
}

const ModuleDoc doc{
    .name = "hostpci",
    .summary = "PCI device of a guest",
    .description = {"Puts a device into one of the sixteen slots C(hostpci0) to C(hostpci15) of a guest or template of this node: through "
                    "a cluster-wide "
                    "resource mapping, or by its address; whole, or a vGPU of it by the name of its type.",
                    "The value is compared as a whole after parsing, so that the order of keys and spelled-out defaults are no difference, "
                    "and a key that "
                    "the task does not give is taken away. It is written with C(qm set) and the digest of the configuration.",
                    "Refused, before anything is changed: what would keep the guest from starting (a mapping without an entry for this "
                    "node or with one that does not fit the hardware, a vGPU type that no card here offers, C(pcie) without the machine "
                    "type q35, a device twice, be it through mappings, more slots than a mapping has cards), what this release does not "
                    "know, a guest that is locked, runs, or is on another node.",
                    "What the GPU lacks is told as C(diagnose) tells it. Refused is what nothing brings, such as a group with disks of the "
                    "host; RV(pending_on) what a boot, a driver or C(sriov) brings: a card whole is set all the same, a vGPU is not.",
                    "Refused too is a slot, written without a function, that holds more than one card: virtual functions, or the USB "
                    "controllers beside a processor's graphics.",
                    "V(absent) with a device takes back what this module set in the slot: what others had there before comes back, and "
                    "what others put there since stays. V(absent) with O(slot) and no device empties the slot, whoever filled it."},
    .examples = R"(- name: A whole GPU of the pool a4000 for a workstation
  pve.gpu.hostpci:
    vmid: 210
    mapping: a4000
    pcie: true

- name: A vGPU for a template
  pve.gpu.hostpci:
    vmid: 9000
    mapping: a40
    mdev: NVIDIA A40-8Q
    pcie: true

- name: Proxmox VE 7, by address; the guest may go on running with what it has
  pve.gpu.hostpci:
    vmid: 103
    host: "0000:81:00.0"
    mdev: GRID P4-1Q
    running: pending

- name: Nothing in the second slot
  pve.gpu.hostpci:
    vmid: 210
    slot: 1
    state: absent
)",
    .answer = answer_of<Answer>,
    .notes = {"A guest's owner may be a desktop broker: name guests and templates one by one, not all of a pool.",
              "With RV(pending_on) V(guest_restart) the guest runs with another device than the one it will have.",
              "The former value is kept in C(/var/lib/pve-gpu) of this node. It does not move along with the guest.",
              "Proxmox VE itself does not see that two guests name the same device until both shall run."},
};

}  // namespace
}  // namespace hostpci

template <>
struct EnumNames<hostpci::Running> {
  static constexpr std::pair<hostpci::Running, const char*> values[] = {{hostpci::Running::refuse, "refuse"},
                                                                        {hostpci::Running::pending, "pending"}};
};
template <>
struct EnumNames<hostpci::Driver> {
  static constexpr std::pair<hostpci::Driver, const char*> values[] = {{hostpci::Driver::vfio, "vfio"}, {hostpci::Driver::keep, "keep"}};
};

PVEGPU_MODULE(
    hostpci, hostpci::Params, hostpci::doc,
    Spec<hostpci::Params>{}
        .param("vmid", &hostpci::Params::vmid, {.doc = "Number of the guest or template.", .required = true})
        .param("slot", &hostpci::Params::slot, {.doc = "The N of C(hostpciN), 0 to 15; 0 when it is not given."})
        .param("mapping", &hostpci::Params::mapping, {.doc = "Resource mapping (Proxmox VE 8 and later) with an entry for this node."})
        .param(
            "host", &hostpci::Params::host,
            {.doc =
                 "Address of the device: V(0000:41:00) for all of its functions, V(0000:41:00.0) for one. Several are passed together, as "
                 "V(0000:c5:00.0) and V(0000:c5:00.1) of a processor's graphics."})
        .param(
            "mdev", &hostpci::Params::mdev,
            {.doc = "vGPU type, by its name (V(NVIDIA A40-8Q)) or as Proxmox VE writes it (V(nvidia-562)). Numbers differ between driver "
                    "branches, names do not. It is looked up in what the card offers now."})
        .param("pcie", &hostpci::Params::pcie, {.doc = "On a PCI Express port. The guest's machine type must be q35."})
        .param("x_vga", &hostpci::Params::x_vga, {.doc = "As the guest's primary display; it gets no emulated one unless C(vga) is set."})
        .param("rombar", &hostpci::Params::rombar, {.doc = "Whether the guest sees the device's ROM."})
        .param("romfile", &hostpci::Params::romfile, {.doc = "ROM to show instead, a file of C(/usr/share/kvm)."})
        .param("legacy_igd", &hostpci::Params::legacy_igd,
               {.doc = "An Intel iGPU as the guest's only display. Needs the machine type i440fx and C(vga: none)."})
        .param("vendor_id", &hostpci::Params::vendor_id, {.doc = "Vendor id that the guest sees instead, as V(0x10de)."})
        .param("device_id", &hostpci::Params::device_id, {.doc = "Device id that the guest sees instead."})
        .param("sub_vendor_id", &hostpci::Params::sub_vendor_id, {.doc = "Subsystem vendor id that the guest sees instead."})
        .param("sub_device_id", &hostpci::Params::sub_device_id, {.doc = "Subsystem device id that the guest sees instead."})
        .param("driver", &hostpci::Params::driver,
               {.doc = "V(keep) leaves the device with the driver that it has (Proxmox VE 9.1 and later), V(vfio) binds it to vfio-pci at "
                       "the guest's start."})
        .param(
            "running", &hostpci::Params::running,
            {.doc =
                 "What to do when the guest runs and something is to be changed: refuse, or leave it pending until it is started again."})
        .param("state", &hostpci::Params::state, {.doc = "Whether the guest shall have the device."})
        .mutually_exclusive({"mapping", "host"})
        .identified_by({"vmid", "slot"}),
    hostpci::plan)

}  // namespace pvegpu
