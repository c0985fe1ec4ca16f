// SPDX-License-Identifier: MIT
// vfio: chosen cards kept free for guests, by address and by what they are.
#include "common/boot/cmdline.hpp"
#include "common/core/choices.hpp"
#include "common/core/module.hpp"
#include "common/passthrough/binding.hpp"
#include "common/facts/holders.hpp"
#include "common/facts/host_use.hpp"
#include "common/passthrough/passthrough.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

enum class Bind { at_start, boot };
enum class BootDisplay { refuse, allow };

struct Params {
  std::vector<std::string> devices;
  std::string model;
  bool all = false;
  Bind bind = Bind::at_start;
  BootDisplay boot_display = BootDisplay::refuse;
  bool ignore_msrs = false;
  State state = State::present;
  FollowUps follow_ups = FollowUps::now;
};

constexpr const char* options_file = "/etc/modprobe.d/pve-gpu-vfio.conf";
constexpr const char* vfio_driver = "vfio-pci";
const text::KernelParameter no_firmware_console{"initcall_blacklist", "sysfb_init"};

using readiness::Condition;
using Claims = std::vector<text::VfioClaim>;

std::optional<std::string> nothing(const std::string&) { return std::nullopt; }

struct FunctionAnswer {
  std::string address;
  std::string words;
  std::string id;
  std::string subsystem_id;
  std::optional<std::string> driver;
  bool kept_free = false;
  std::string former_driver;
  std::optional<std::int64_t> iommu_group;
  std::vector<std::string> reset_methods;
  bool rom = false;

  static void fields(Reply<FunctionAnswer>& out) {
    out.field("address", &FunctionAnswer::address, {.doc = "Address of the function."});
    out.field("class", &FunctionAnswer::words, {.doc = "What it is."});
    out.field("id", &FunctionAnswer::id, {.doc = "Vendor and device."});
    out.field("subsystem_id", &FunctionAnswer::subsystem_id, {.doc = "Vendor and device of the board."});
    out.field("driver", &FunctionAnswer::driver, {.doc = "The driver that has it now."});
    out.field("kept_free", &FunctionAnswer::kept_free,
              {.doc = "Whether the host's drivers are kept away from it; with O(bind=at_start) only from display and sound."});
    out.field("former_driver", &FunctionAnswer::former_driver,
              {.doc = "The driver that it had, and that V(absent) gives back.", .null_if_empty = true});
    out.field("iommu_group", &FunctionAnswer::iommu_group, {.doc = "Its IOMMU group."});
    out.field(
        "reset_methods", &FunctionAnswer::reset_methods,
        {.doc = "How the kernel can reset it between guests, the first one first; empty if it can't, or does not tell (before 5.15)."});
    out.field("rom", &FunctionAnswer::rom, {.doc = "Whether it shows an expansion ROM."});
  }
};

struct CardAnswer {
  std::string address;
  std::string name;
  bool boot_display = false;
  std::optional<std::int64_t> guest;
  std::vector<FunctionAnswer> functions;

  static void fields(Reply<CardAnswer>& out) {
    out.field("address", &CardAnswer::address, {.doc = "Address of the first function."});
    out.field("name", &CardAnswer::name, {.doc = "Board or model."});
    out.field("boot_display", &CardAnswer::boot_display, {.doc = "Whether the firmware shows the host's console on it."});
    out.field("guest", &CardAnswer::guest, {.doc = "The running guest that has it."});
    out.field("functions", &CardAnswer::functions, {.doc = "What the card consists of, such as display, sound and USB-C."});
  }
};

struct LeftAnswer {
  std::string address;
  std::string reason;

  static void fields(Reply<LeftAnswer>& out) {
    out.field("address", &LeftAnswer::address, {.doc = "Address of the GPU or function."});
    out.field("reason", &LeftAnswer::reason, {.doc = "Why it is not taken."});
  }
};

struct Answer {
  std::vector<CardAnswer> cards;
  std::vector<LeftAnswer> left_alone;

  static void fields(Reply<Answer>& out) {
    out.field("cards", &Answer::cards, {.doc = "The chosen cards as they are now."});
    out.field("left_alone", &Answer::left_alone,
              {.doc = "The GPUs, and functions in the slot of a GPU that are no part of its card, that are not taken, with the reason."});
    out.also<boot::CmdlineAnswer>(
        {.doc = "See C(kernel_cmdline).", .when = "when the kernel command line is changed for the boot display"});
  }
};

class Planner {
 public:
  Planner(const Params& params, const HostView& host, Plan& out)
      : params_(params), host_(host), out_(out), reader_(host), facts_(gpu::require_machine(host)) {
    for (const std::string& each : params.devices) listed_.push_back(text::parse_pci_address(each).or_fail("parameter 'devices'"));
    recorded_ = text::parse_vfio_script(host.read_file(text::vfio_script_file).value_or(""));
  }

  void run() {
    gpu::CardChoice choice;
    Claims wanted;
    if (params_.state == State::present) {
      choice = choose();
      if (choice.refusal) return (void)out_.refuse(*choice.refusal);
      // It is loaded by its name: by our script in the initramfs, or by Proxmox VE when a guest starts (PVE::QemuServer::PCI).
      const auto& boot = facts_.facts.boot;
      const BlockVerdict verdict = judge_blocks(host_, boot, vfio_driver, facts_.facts.has_driver("vfio_pci"), true);
      if (!verdict.refusal.empty()) return (void)out_.refuse(verdict.refusal);
      kept_away_ = verdict.wait;
      wanted = gpu::claims_of(choice.cards, recorded_, params_.bind == Bind::boot);
    } else {
      for (const text::VfioClaim& old : recorded_)
        if (!is_listed(old.address)) wanted.push_back(old);
      if (!params_.devices.empty()) tell_other_holders();
    }
    if (params_.follow_ups == FollowUps::later) out_.put_off_next_boot_work();
    give_back(wanted);
    plan_files(wanted);
    plan_cmdline(choice.cards);
    for (const gpu::Card& card : choice.cards) take(card, wanted);
    report(choice, wanted);
  }

 private:
  gpu::CardChoice choose() {
    if (params_.devices.empty() && params_.model.empty() && !params_.all)
      throw ModuleError("which cards? Give devices, model or all; the module host_info lists the cards of a host");
    gpu::CardWish wish{
        .devices = {}, .model = params_.model, .all = params_.all, .allow_boot_display = params_.boot_display == BootDisplay::allow};
    wish.devices = listed_;
    return gpu::choose_cards(reader_, facts_, wish, recorded_);
  }

  bool is_listed(const std::string& address) const { return params_.devices.empty() || gpu::is_listed(facts_, listed_, address); }

  /// Cards that are named and that others hold for vfio-pci: giving back what this module took changes nothing about them.
  void tell_other_holders() {
    for (const gpu::Gpu& gpu : facts_.gpus) {
      if (gpu.driver != vfio_driver || !is_listed(gpu.address)) continue;
      for (const gpu::Holder& holder : gpu::read_holders(reader_, gpu))
        if (!holder.ours)
          return (void)out_.warn(fmt::format("{} ({}) stays on vfio-pci: {} ({}); take that line away ('{}'), then reboot", gpu.address,
                                             gpu.name, holder.how(), holder.where(), holder.text));
    }
  }

  // --- back to the host -----------------------------------------------------------------------------------------------------
  void give_back(const Claims& wanted) {
    for (const text::VfioClaim& old : recorded_) {
      if (std::find(wanted.begin(), wanted.end(), old) != wanted.end()) continue;
      const PciDevice* device = facts_.device(old.address);
      const auto now = device ? std::optional(gpu::read_function(reader_, *device)) : std::nullopt;
      if (!now || !(now->ids == old.ids)) {
        gone_.push_back(fmt::format("the card for guests at {} was {}, but {}; its record goes, the host is left as it is", old.address,
                                    old.ids.str(), now ? "now it is " + now->ids.str() : std::string("now nothing is there")));
        continue;
      }
      const auto former = old.former.empty() ? std::nullopt : std::optional(old.former);
      const bool moves = now->driver == vfio_driver ? former != vfio_driver : !now->driver && former;
      if (moves && refuse_guest({*now})) return;
      if (!old.had_override && now->driver_override == vfio_driver) out_.ensure_override(old.address, std::nullopt);
      if (!moves) continue;
      const bool there = former && gpu::is_registered(host_, *former);
      out_.ensure_bound(old.address, there ? former : std::nullopt);
      if (former && !there)
        gone_.push_back(fmt::format("{} belongs to the driver {}, which is not loaded: modprobe {} brings it, or the next boot",
                                    old.address, old.former, old.former));
    }
  }

  bool refuse_guest(const std::vector<gpu::Function>& functions) {
    const auto vmid = gpu::running_guest(facts_, functions);
    if (vmid) out_.refuse(fmt::format("guest {} runs with {}: shut it down first", *vmid, functions.front().address));
    return vmid.has_value();
  }

  // --- at boot --------------------------------------------------------------------------------------------------------------
  void plan_files(const Claims& wanted) {
    const std::vector<FollowUp> then = {follow_up_initramfs()};
    const bool all_gone = wanted.empty();
    // What remains when only some are given back stays as it was asked for.
    const bool load = params_.state == State::present ? params_.bind == Bind::boot : host_.exists(text::vfio_hook_file);
    ensure(text::vfio_script_file, all_gone ? "" : text::print_vfio_script(wanted, load),
           {.meta = {.mode = 0755}, .then = then, .warnings = gone_});
    ensure(text::vfio_hook_file, all_gone || !load ? "" : text::print_vfio_hook(), {.meta = {.mode = 0755}, .then = then});
    if (params_.state == State::absent && !all_gone) return;
    const bool wish = params_.ignore_msrs && params_.state == State::present;
    ensure(options_file, wish ? "# Made by pve.gpu (vfio).\noptions kvm ignore_msrs=1 report_ignored_msrs=0\n" : "",
           {.meta = {}, .then = then});
    out_.reboot_if(wish && host_.read_attr("/sys/module/kvm/parameters/ignore_msrs").value_or("Y") == "N",
                   "the module kvm was loaded without ignore_msrs");
  }

  void ensure(const char* path, const std::string& content, const FileOptions& options) {
    content.empty() ? out_.withdraw(path, nothing, options) : out_.ensure_file(path, content, options);
  }

  /// The firmware's frame buffer holds the memory of the boot display until something takes it away: from Linux 6.0 on vfio-pci does
  /// (vfio_pci_core, "Remove console drivers").
  void plan_cmdline(const std::vector<gpu::Card>& cards) {
    const auto kernel = catalogue::parse_major_minor(host_.kernel_release());
    boot::CmdlineWish wish{.module = "vfio"};
    for (const gpu::Card& card : cards) {
      if (!card.gpu) continue;
      if (const Condition framebuffer = readiness::judge(gpu::whole(host_, facts_, *card.gpu), "no_firmware_framebuffer");
          framebuffer.state == readiness::State::unmet)
        wish.present = text::parse_kernel_cmdline(framebuffer.cure.args["parameters"][0].get<std::string>());
      if (!card.gpu->boot_vga) continue;
      out_.warn(
          fmt::format("{} is the boot display: the console of this host ends on it when vfio-pci takes it; reach the host by "
                      "network or serial line",
                      card.address));
      if (kernel && *kernel < catalogue::MajorMinor{6, 0}) wish.present = {no_firmware_console};
    }
    if (wish.present.empty()) wish.withdrawn = {no_firmware_console};
    const auto files = out_.recorded_files();
    const bool has_been = std::any_of(files.begin(), files.end(), [](const std::string& path) {
      return path.starts_with("/etc/default/grub") || path == "/etc/kernel/cmdline";
    });
    if (!wish.present.empty() || has_been) boot::plan_cmdline(host_, out_, wish);
  }

  // --- now ------------------------------------------------------------------------------------------------------------------
  void take(const gpu::Card& card, const Claims& wanted) {
    if (!facts_.facts.iommu.active.value_or(false)) {
      out_.reboot_if(true, "the IOMMU is off");
      out_.later({"reboot", gpu::without_iommu(host_, facts_, card)});
      return;
    }
    if (!kept_away_.empty()) {
      out_.reboot_if(true, kept_away_);
      out_.later({"reboot", kept_away_});
      return;
    }
    std::vector<gpu::Function> kept;
    for (const gpu::Function& function : card.functions)
      if (std::any_of(wanted.begin(), wanted.end(), [&](const text::VfioClaim& c) { return c.address == function.address; }))
        kept.push_back(function);
    const auto is_hosts = [](const gpu::Function& function) { return function.driver && function.driver != vfio_driver; };
    const bool moves = std::any_of(kept.begin(), kept.end(), is_hosts);
    if (moves && refuse_guest(card.functions)) return;
    for (const gpu::Function& function : kept) {
      if (!is_hosts(function)) continue;
      auto reason = gpu::busy(host_, *function.driver);
      if (card.gpu && card.gpu->boot_vga) reason = "it shows the console";
      if (!reason) continue;
      out_.reboot_if(true, fmt::format("{} still has the driver {}", function.address, *function.driver));
      out_.later({"reboot", fmt::format("{} keeps the driver {} until the next boot: {}", function.address, *function.driver, *reason)});
      return;
    }
    for (const gpu::Function& function : kept) out_.ensure_override(function.address, vfio_driver);
    const bool bind = params_.bind == Bind::boot && gpu::is_registered(host_, vfio_driver);
    for (const gpu::Function& function : kept)
      if (bind || is_hosts(function)) out_.ensure_bound(function.address, bind ? std::optional(vfio_driver) : std::nullopt);
  }

  // --- what is told ---------------------------------------------------------------------------------------------------------
  void report(const gpu::CardChoice& choice, const Claims& wanted) {
    Answer answer;
    for (const gpu::Card& card : choice.cards) answer.cards.push_back(tell(card, wanted));
    for (const gpu::LeftAlone& each : choice.left_alone) answer.left_alone.push_back({each.address, each.reason});
    out_.report(answer);
    if (params_.state == State::present)
      for (std::string& sentence : gpu::taken_by_ids(reader_, facts_, wanted)) out_.warn(std::move(sentence));
  }

  CardAnswer tell(const gpu::Card& card, const Claims& wanted) {
    CardAnswer out{card.address, card.name, card.gpu && card.gpu->boot_vga, gpu::running_guest(facts_, card.functions), {}};
    for (const gpu::Function& f : card.functions) {
      const auto own = std::find_if(wanted.begin(), wanted.end(), [&](const text::VfioClaim& c) { return c.address == f.address; });
      const bool kept = own != wanted.end();
      out.functions.push_back({f.address, gpu::class_words(f.pci_class), fmt::format("{:04x}:{:04x}", f.ids.vendor, f.ids.device),
                               fmt::format("{:04x}:{:04x}", f.ids.subsystem_vendor, f.ids.subsystem_device), f.driver, kept,
                               kept ? own->former : std::string(), f.iommu_group, f.reset_methods, f.has_rom});
    }
    const gpu::Function& first = card.functions.front();
    if (card.gpu && card.gpu->is_amd() && !first.reset_methods.empty() && first.reset_methods.front() == "bus")
      out_.warn(
          fmt::format("{} ({}) can only be reset with its bus: many Radeons before the RX 6000 do not come back from that when a "
                      "guest stops, until the host is rebooted",
                      card.address, card.name));
    if (card.gpu && card.gpu->boot_vga)
      out_.warn(fmt::format(
          "{}: the firmware has run the ROM of its boot display; if a guest shows no picture, give it a ROM file (romfile)", card.address));
    if (card.gpu)
      if (const Condition need = readiness::judge(gpu::whole(host_, facts_, *card.gpu), "host_spares_it");
          need.state == readiness::State::unmet)
        out_.warn(readiness::told(need, fmt::format("{} ({})", card.address, card.name)));
    for (const gpu::Function& function : card.functions)
      if (const auto need = gpu::console_need(host_, function.address); need && !card.gpu)
        out_.warn(fmt::format("the console of this host ends when {} goes to a guest: {}", function.address, *need));
    return out;
  }

  const Params& params_;
  const HostView& host_;
  Plan& out_;
  Reader reader_;
  const gpu::Machine facts_;
  std::vector<text::PciAddress> listed_;  ///< params_.devices
  Claims recorded_;
  std::string kept_away_;          ///< what keeps vfio-pci away until the next boot, "" when nothing does
  std::vector<std::string> gone_;  ///< of cards that can't be given back as they were: told with their record's end
};

void plan(const Params& params, const HostView& host, Plan& out) { Planner(params, host, out).run(); }

}  // namespace

template <>
struct EnumNames<Bind> {
  static constexpr std::pair<Bind, const char*> values[] = {{Bind::at_start, "at_start"}, {Bind::boot, "boot"}};
};
template <>
struct EnumNames<BootDisplay> {
  static constexpr std::pair<BootDisplay, const char*> values[] = {{BootDisplay::refuse, "refuse"}, {BootDisplay::allow, "allow"}};
};

PVEGPU_MODULE(
    vfio, Params,
    (ModuleDoc{
        .name = "vfio",
        .summary = "Cards kept free for passthrough, by address and by what they are",
        .description =
            {"Keeps the drivers of the host away from the chosen cards, now where nothing is in the way and else from the next boot on, so "
             "that guests can have them. The parameters name all such cards of the host: a card that an earlier task chose and this one "
             "does not goes back to its driver.",
             "A script in the initramfs does it before the drivers are loaded, for each function by its address and only if the device "
             "there "
             "still has the recorded ids: twins are told apart, and a card that was moved to another slot, or another one in its place, is "
             "never seized.",
             "All functions of a card go together: its display, sound, USB-C. The graphics of a processor shares its slot with other "
             "devices, "
             "such as USB controllers, which stay with the host and are named in RV(left_alone). The task is refused if the IOMMU group "
             "holds anything else that O(devices) does not "
             "list, bridges aside, if the host needs a device for its disks or network, and if a running guest has a card whose driver "
             "would change."},
        .examples = R"(- name: All cards of the server but the boot display
  pve.gpu.vfio:
    all: true

- name: One of two equal cards, with vfio-pci from boot on
  pve.gpu.vfio:
    devices: ["0000:65:00"]
    bind: boot

- name: Back to the host's drivers
  pve.gpu.vfio:
    state: absent
)",
        .answer = answer_of<Answer>,
        .notes = {"The IOMMU is the work of the module C(iommu), also where interrupts can't be remapped.",
                  "Virtual functions are not for this module: Proxmox VE binds them by itself."},
    }),
    Spec<Params>{}
        .param(
            "devices", &Params::devices,
            {.doc =
                 "Addresses such as C(0000:41:00), C(0000:41:00.0) or C(41:00). One function of a GPU means its whole card; what else is "
                 "in its slot, as in that of a processor's graphics, is taken by its own address only. Devices that "
                 "share the IOMMU group of a card are listed here too. With O(state=absent) only these are given back."})
        .param("model", &Params::model, {.doc = "All cards of this model (V(A40), V(NVIDIA A40), V(10de:2235)), but the boot display."})
        .param(
            "all", &Params::all,
            {.doc =
                 "All GPUs but the boot display, the display of a management controller and those that have virtual functions or vGPUs."})
        .param("bind", &Params::bind,
               {.doc = "V(at_start) keeps the display and sound drivers of the host away; Proxmox VE binds the card when a guest starts. "
                       "V(boot) binds all its functions to C(vfio-pci) from the initramfs on."})
        .param("boot_display", &Params::boot_display,
               {.doc = "V(allow) gives away the display on which the firmware shows the host's console, if O(devices) lists it. It takes "
                       "hold with the next boot."})
        .param(
            "ignore_msrs", &Params::ignore_msrs,
            {.doc = "Whether KVM ignores model-specific registers that it does not know, without a message. Some Windows guests with GPUs "
                    "need it."})
        .param("state", &Params::state, {.doc = "V(absent) gives cards back to the drivers that they had."})
        .param("follow_ups", &Params::follow_ups,
               {.doc = "When C(update-initramfs) runs. V(later) leaves it to the module C(follow_ups)."}),
    plan)

}  // namespace pvegpu
