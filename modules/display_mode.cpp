// SPDX-License-Identifier: MIT
// display_mode: the display outputs of a workstation board on or off, by NVIDIA's displaymodeselector (GPU-FACTS 4). Whether they are is
// seen without the tool: a board whose outputs are off is a 3D controller (0302) without an audio function, from the next cold boot on.
#include "common/core/journal.hpp"
#include "common/core/module.hpp"
#include "common/driver/nvidia.hpp"
#include "common/text/display_modes.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

enum class Mode { disabled, enabled_256mb, enabled_8gb };

struct Params {
  std::optional<std::string> tool, sha256;
  bool allow_unverified = false;
  std::vector<std::string> devices;
  Mode mode = Mode::disabled;
  bool again = false;
  driver::Missing missing = driver::Missing::refuse;
};

constexpr const char* kept_dir = "/var/lib/pve-gpu/display_mode";

const char* word_of(Mode mode) {
  switch (mode) {
    case Mode::disabled:
      return "physical_display_disabled";
    case Mode::enabled_256mb:
      return "physical_display_enabled_256MB_bar1";
    case Mode::enabled_8gb:
      return "physical_display_enabled_8GB_bar1";
  }
  return "";
}

/// What the tool was told and when: kept until the card shows it.
struct Note {
  std::string mode, boot_id;
};
NoteName note_of(const gpu::Gpu& card) { return {"display_mode", card.address, fmt::format("{}/{}.json", kept_dir, card.address)}; }
std::optional<Note> read_note(const std::optional<json>& note) {
  if (!note || !note->is_object() || !note->value("mode", json("")).is_string() || !note->value("boot_id", json("")).is_string())
    return std::nullopt;
  return Note{note->value("mode", ""), note->value("boot_id", "")};
}

std::string boot_id(const HostView& host) { return host.read_attr("/proc/sys/kernel/random/boot_id").value_or("unknown"); }

/// The mode that the card shows in this boot; "" when its class says only that the outputs are on.
/// Where BAR1 can be resized its size is a choice of the firmware or the kernel, and says nothing of the mode.
std::string shown_mode(const HostView& host, const gpu::Machine& machine, const gpu::Gpu& card) {
  if (card.pci_class != 0x0300) return word_of(Mode::disabled);
  const gpu::CardState& state = machine.card_state(host, card);
  const gpu::Bar* bar1 = state.bar(1);
  if (state.bar1_resizable == true || !bar1 || !bar1->assigned || bar1->size == 0) return "";
  return word_of(bar1->size > (std::uint64_t{1} << 30) ? Mode::enabled_8gb : Mode::enabled_256mb);
}

std::string why(text::ModeOutcome outcome, const gpu::Gpu& card, const std::string& mode, const CommandResult& done) {
  using text::ModeOutcome;
  const std::string who = fmt::format("{} ({})", card.address, card.name);
  switch (outcome) {
    case ModeOutcome::updated:  // what its exit codes mean is not documented; what is no success in both ways counts as none
      return fmt::format("the tool says that it set {} to {}, and ended with exit code {}: the next run does it again", who, mode,
                         done.exit_code);
    case ModeOutcome::unsupported:
      return fmt::format("{} has no mode {}: the tool says that this board does not support it; nothing was changed", who, mode);
    case ModeOutcome::driver_loaded:
      return "NVIDIA's kernel driver is loaded, with which the tool refuses to work: something loaded it again meanwhile";
    case ModeOutcome::falcon:
      return fmt::format(
          "{}: the card's own controller is stopped (Falcon in HALT or STOP state), as a driver leaves it: reboot, and run "
          "this before any driver is loaded",
          who);
    case ModeOutcome::no_dev_mem:
      return "the kernel keeps /dev/mem closed to the tool: switch Secure Boot off in the BIOS setup while the mode is changed; if it is "
             "off, "
             "put iomem=relaxed on the kernel command line for one boot";
    case ModeOutcome::not_executable:
      return fmt::format("the tool can't be started from {}: the file system is mounted noexec, or the file is no program for this host",
                         kept_dir);
    case ModeOutcome::aborted:
      return "the tool asked a question that it should not ask with --auto: this version is not known; nothing was changed";
    case ModeOutcome::unknown:
      break;
  }
  const auto lines = text::lines(text::trim(done.out + "\n" + done.err));
  return fmt::format("the tool did not say that it succeeded (exit code {}): {}", done.exit_code,
                     lines.empty() ? std::string("no output") : lines.back());
}

struct CardAnswer {
  std::string address;
  std::string board;
  std::uint16_t pci_class = 0;
  std::string mode;
  std::optional<std::string> set;

  static void fields(Reply<CardAnswer>& out) {
    out.field("address", &CardAnswer::address, {.doc = "PCI address."});
    out.field("board", &CardAnswer::board, {.doc = "Name."});
    out.field("class", &CardAnswer::pci_class, {.doc = "PCI class, V(0300) with outputs, V(0302) without."});
    out.field("mode", &CardAnswer::mode,
              {.doc = "The mode that it shows in this boot, null when the outputs are on and the size of BAR1 is not told.",
               .null_if_empty = true});
    out.field("set", &CardAnswer::set, {.doc = "The mode that was written and is still to be seen, null when there is none."});
  }
};

struct Answer {
  std::vector<CardAnswer> cards;

  static void fields(Reply<Answer>& out) { out.field("cards", &Answer::cards, {.doc = "The named cards as they were found."}); }
};

class ModePlanner {
 public:
  ModePlanner(const Params& params, const HostView& host, Plan& out)
      : params_(params), host_(host), out_(out), hardware_(gpu::require_machine(host)), wanted_(word_of(params.mode)) {}

  void run() {
    const auto cards = driver::select_boards(hardware_, params_.devices, "devices");
    std::vector<const gpu::Gpu*> todo;
    Answer answer;
    for (const gpu::Gpu* card : cards) {
      const std::string shown = shown_mode(host_, hardware_, *card);
      const auto note = read_note(out_.note(note_of(*card)));
      answer.cards.push_back({card->address, card->name, card->pci_class, shown, note ? std::optional(note->mode) : std::nullopt});
      if (!plan_card(*card, shown, note)) todo.push_back(card), await(*card);
    }
    out_.report(answer);
    if (todo.empty() || out_.refusal()) {
      if (out_.refusal()) return;
      if (!awaiting_.empty()) cold_boot();
      forget_tool(false);
      return;
    }
    for (const gpu::Gpu* card : todo)
      if (!may_change(*card)) return;
    if (!has_tool() || tool_.missing || !frees_cards(todo)) return;
    out_.ensure_copy(tool_.file, tool_.copy);  // our own copy is what runs: the user's file could change after it was looked at
    for (const gpu::Gpu* card : todo) change(*card);
    forget_tool(true);
    cold_boot();
  }

 private:
  bool refuse(std::string reason) {
    out_.refuse(std::move(reason));
    return false;
  }

  void await(const gpu::Gpu& card) { awaiting_.push_back(fmt::format("{} ({})", card.address, card.name)); }

  /// The same words before and after the change.
  void cold_boot() {
    const std::string cold =
        fmt::format("{}: {} is in effect from the next power-on: power the host off and on (a warm reboot may not be enough)",
                    fmt::join(awaiting_, ", "), wanted_);
    out_.reboot_if(true, cold);
    out_.later({"reboot", cold});
  }

  /// True: nothing is to be changed on this card.
  bool plan_card(const gpu::Gpu& card, const std::string& shown, const std::optional<Note>& note) {
    const bool on_wanted = wanted_ != word_of(Mode::disabled);
    const bool done = shown == wanted_ || (shown.empty() && on_wanted && (!note || note->mode == wanted_));
    if (done && (!note || note->boot_id != boot_id(host_))) {
      if (shown.empty())
        out_.warn(fmt::format("{}: its outputs are on, and which of the two sizes of BAR1 it has can't be told; it is left as it is",
                              card.address));
      if (note) out_.ensure_note(note_of(card), std::nullopt, "note of the display mode of " + card.address);
      return true;
    }
    if (!note || note->mode != wanted_) return done && !note;
    if (note->boot_id == boot_id(host_)) {
      await(card);
      return true;
    }
    if (params_.again) return false;
    refuse(
        fmt::format("{} ({}) was set to {} before the last boot and is still of class {}: power the host off and on; if that was done, "
                    "again=true runs the tool once more",
                    card.address, card.name, wanted_, gpu::hex4(card.pci_class)));
    return true;
  }

  bool may_change(const gpu::Gpu& card) {
    const std::string who = fmt::format("{} ({})", card.address, card.name);
    if (const catalogue::Board* board = card.board()) {
      if (board->display_mode == catalogue::DisplayMode::none)
        return refuse(fmt::format("{} has no display mode to choose: only some workstation boards and A40, L40, L40S have", who));
      if (board->display_mode == catalogue::DisplayMode::other_tool)
        return refuse(fmt::format("{} takes NVIDIA's gpumodeswitch, not displaymodeselector", who));
    }
    if (params_.mode == Mode::disabled) {
      if (card.boot_vga)
        return refuse(
            fmt::format("{} is the boot display: with its outputs off the host has no console; let the firmware use another card", who));
      if (const auto connected = card.connected_displays(); !connected.empty())
        return refuse(fmt::format("a display is connected to {} ({}): unplug it", who, fmt::join(connected, ", ")));
    }
    if (const auto users = gpu::running_users({&card}); !users.empty())
      return refuse(
          fmt::format("{}: shut {} down before the card's firmware is written", fmt::join(users, ", "), users.size() == 1 ? "it" : "them"));
    const std::string lockdown = hardware_.facts.boot.lockdown.value_or("none");
    if (lockdown != "none")
      return refuse(
          fmt::format("the kernel is locked down ({}), because of Secure Boot, and closes /dev/mem, through which the tool reaches the "
                      "card: switch Secure Boot off in the BIOS setup while the mode is changed",
                      lockdown));
    return true;
  }

  bool has_tool() {
    if (!params_.tool) return refuse(fmt::format("parameter 'tool' is missing: NVIDIA's displaymodeselector is needed to set {}", wanted_));
    const std::string& tool = *params_.tool;
    if (tool[0] != '/') throw ModuleError(fmt::format("parameter 'tool': '{}' is no absolute path on the host", tool));
    tool_ = driver::check_user_file(host_, tool, params_.sha256, params_.allow_unverified, kept_dir, params_.missing);
    if (!tool_.refusal.empty()) return refuse(tool_.refusal);
    if (driver::plan_wait(tool_, {}, out_)) {
      cold_boot();
    }
    return true;
  }

  /// No driver holds the cards, and NVIDIA's is not loaded at all: the tool looks for its module.
  bool frees_cards(const std::vector<const gpu::Gpu*>& cards) {
    const auto modules = driver::loaded_nvidia_modules(host_);
    for (const gpu::Gpu& gpu : hardware_.gpus)
      if (!modules.empty() && gpu.is_nvidia() && gpu.sriov.enabled > 0)
        return refuse(fmt::format("{} ({}) has {} enabled: take them away first (module sriov, vfs=0)", gpu.address, gpu.name,
                                  gpu::counted(gpu.sriov.enabled, "VF")));
    for (const std::string& name : modules) {
      const auto users = std::atoll(host_.read_attr(fmt::format("/sys/module/{}/refcnt", name)).value_or("0").c_str());
      const auto holders = host_.list_dir(fmt::format("/sys/module/{}/holders", name)).value_or({});
      if (users > static_cast<long long>(holders.size()))
        return refuse(
            fmt::format("the driver {} is in use by {} besides other modules and can't be unloaded: find them with fuser -v /dev/nvidia*, "
                        "or reboot without it",
                        name, gpu::counted(users - static_cast<long long>(holders.size()), "program")));
    }
    if (!modules.empty()) {
      std::vector<const gpu::Gpu*> all;
      for (const gpu::Gpu& gpu : hardware_.gpus)
        if (gpu.is_nvidia()) all.push_back(&gpu);
      if (const auto users = gpu::running_users(all); !users.empty())
        return refuse(
            fmt::format("{}: shut {} down, NVIDIA's driver has to be unloaded", fmt::join(users, ", "), users.size() == 1 ? "it" : "them"));
      driver::plan_unload(host_, {}, out_);
    }
    for (const gpu::Gpu* card : cards)
      if (card->driver && card->driver != "nvidia") out_.ensure_bound(card->address, std::nullopt);
    return true;
  }

  void change(const gpu::Gpu& card) {
    Step step;
    step.target = "display mode of " + card.address;
    const std::string shown = shown_mode(host_, hardware_, card);
    if (!shown.empty()) step.current = shown;
    step.desired = wanted_;
    step.apply = [this_card = card, copy = tool_.copy, wanted = wanted_](Host& host) -> Result<> {
      const CommandResult list = PVEGPU_TRY(host.run({{copy, "--list"}, std::chrono::seconds(120)}));
      const auto adapters = text::parse_display_adapters(list.out);
      const auto adapter = std::find_if(adapters.begin(), adapters.end(),
                                        [&](const text::DisplayAdapter& each) { return each.address == this_card.address; });
      if (adapter == adapters.end() || list.exit_code != 0) {
        const auto outcome = text::judge_mode_change(list.out + "\n" + list.err);
        if (adapter != adapters.end() || outcome != text::ModeOutcome::unknown) return Error{why(outcome, this_card, wanted, list)};
        return Error{fmt::format("the tool's list of adapters has no {}: {}", this_card.address, text::trim(list.out + list.err))};
      }
      const CommandResult done =
          PVEGPU_TRY(host.run({{copy, "--gpumode", wanted, "-i", std::to_string(adapter->index), "--auto"}, std::chrono::seconds(600)}));
      const auto outcome = text::judge_mode_change(done.out + "\n" + done.err);
      if (outcome != text::ModeOutcome::updated || done.exit_code != 0) return Error{why(outcome, this_card, wanted, done)};
      return {};
    };
    step.note_after = NoteChange{note_of(card), json{{"mode", wanted_}, {"boot_id", boot_id(host_)}}};
    out_.effect(std::move(step));
  }

  /// The copy of the tool is not kept: it is not needed again.
  void forget_tool(bool after_use) { out_.ensure_no_copies(kept_dir, {.target = "copy of the tool", .after_use = after_use}); }

  const Params& params_;
  const HostView& host_;
  Plan& out_;
  gpu::Machine hardware_;
  std::string wanted_;
  driver::UserFile tool_;
  std::vector<std::string> awaiting_;  ///< cards whose mode is, or will be, set and not in effect
};

void plan(const Params& params, const HostView& host, Plan& out) { ModePlanner(params, host, out).run(); }

}  // namespace

template <>
struct EnumNames<Mode> {
  static constexpr std::pair<Mode, const char*> values[] = {{Mode::disabled, "physical_display_disabled"},
                                                            {Mode::enabled_256mb, "physical_display_enabled_256MB_bar1"},
                                                            {Mode::enabled_8gb, "physical_display_enabled_8GB_bar1"}};
};

PVEGPU_MODULE(
    display_mode, Params,
    (ModuleDoc{
        .name = "display_mode",
        .summary = "Display outputs of NVIDIA workstation boards on or off",
        .description =
            {"Boards such as the RTX A5000 and A6000 make vGPUs only while their display outputs are switched off. That is a setting in "
             "the "
             "card's firmware, which NVIDIA's displaymodeselector writes, and which the card shows from the next power-on.",
             "The state is read without the tool: a board whose outputs are off is a 3D controller (class 0302). The tool is run only to "
             "change something, for one card at a time, before any NVIDIA driver is there. It is not needed once the mode is set.",
             "It refuses the boot display, a card with a display connected, a card that a running guest has, and a kernel that is locked "
             "down."},
        .examples = R"(- name: Outputs of the A5000 off
  pve.gpu.display_mode:
    tool: /root/displaymodeselector
    sha256: 1f0e8cd3b1b6a2d0f6b6a7a5a8f7c7f3c1a9a3e3b5d4c2b1a0f9e8d7c6b5a493
    devices: ["0000:65:00.0"]
    mode: physical_display_disabled
)",
        .answer = answer_of<Answer>,
        .notes = {"The tool is not in this collection: NVIDIA gives it to its customers only. 1.72 or later for Blackwell.",
                  "The module does not reboot. A warm reboot may not be enough for the card to read its firmware again."},
    }),
    Spec<Params>{}
        .param("tool", &Params::tool, {.doc = "displaymodeselector on the host. Needed only where a mode has to be changed."})
        .param("sha256", &Params::sha256, {.doc = "SHA-256 of O(tool). Required with it unless O(allow_unverified=true)."})
        .param("allow_unverified", &Params::allow_unverified, {.doc = "Run the tool without knowing that it is the right one."})
        .param("devices", &Params::devices, {.doc = "The cards, by address or by name of the board.", .required = true})
        .param("mode", &Params::mode, {.doc = "The mode that the cards shall have.", .required = true})
        .param("missing", &Params::missing,
               {.doc = "What to do while O(tool) is needed and not on the host: refuse, or wait, that is answer RV(pending_on) V(file). "
                       "For check "
                       "mode, in which an earlier task only said that it would bring it."})
        .param("again", &Params::again, {.doc = "Run the tool again for a card that was set before the last boot and does not show it."}),
    plan)

}  // namespace pvegpu
