// SPDX-License-Identifier: MIT
// sriov_service: the VFs of the chosen cards at every boot, before guests start, by one owner.
#include "common/core/choices.hpp"
#include "common/core/module.hpp"
#include "common/sriov/boot_units.hpp"
#include "common/sriov/owners.hpp"
#include "common/text/pci_address.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <set>

namespace pvegpu {
namespace sriov_service {
namespace {

enum class Conflicts { refuse, take_over };

struct Params {
  std::string device;
  std::string vfs = "max";
  State state = State::present;
  Conflicts conflicts = Conflicts::refuse;
  std::int64_t patience = 60;
};

}  // namespace
}  // namespace sriov_service

template <>
struct EnumNames<sriov_service::Conflicts> {
  static constexpr std::pair<sriov_service::Conflicts, const char*> values[] = {{sriov_service::Conflicts::refuse, "refuse"},
                                                                                {sriov_service::Conflicts::take_over, "take_over"}};
};

namespace sriov_service {
namespace {

using Kind = gpu::BootOwner::Kind;

const std::string units = gpu::unit_directory;
constexpr const char* comment = "# pve.gpu: ";  // before a line that this module took over

std::optional<std::string> nothing(const std::string&) { return std::nullopt; }
std::optional<std::string> without_comments(const std::string& bytes) {
  std::string out;
  for (const std::string& line : text::lines(bytes)) out += (line.starts_with(comment) ? line.substr(std::strlen(comment)) : line) + "\n";
  return out;
}

struct Conflicting {
  std::string file;
  std::int64_t line = 0;
  std::string text;

  static void fields(Reply<Conflicting>& out) {
    out.field("file", &Conflicting::file, {.doc = "The file."});
    out.field("line", &Conflicting::line, {.doc = "The line, 0 for a unit."});
    out.field("text", &Conflicting::text, {.doc = "The line, or the unit's name."});
  }
};

struct CardAnswer {
  std::string address;
  std::string name;
  std::string vfs;
  std::string unit;
  const char* owner = "";

  static void fields(Reply<CardAnswer>& out) {
    out.field("address", &CardAnswer::address, {.doc = "PCI address.", .sample = "0000:41:00.0"});
    out.field("name", &CardAnswer::name, {.doc = "Its name.", .sample = "A40"});
    out.field("vfs", &CardAnswer::vfs, {.doc = "How many, as in O(vfs)."});
    out.field("unit", &CardAnswer::unit, {.doc = "The unit.", .sample = "pve-gpu-sriov-0000-41-00.0.service"});
    out.field("owner", &CardAnswer::owner,
              {.doc = "V(pve.gpu) for a unit of this module, V(shipped) for an instance of an installed template that this module enabled, "
                      "V(others) for one that was enabled already."});
  }
};

struct Answer {
  std::vector<gpu::SriovSkipped> skipped;
  std::optional<std::vector<Conflicting>> conflicting;
  std::vector<CardAnswer> cards;

  static void fields(Reply<Answer>& out) {
    out.field("skipped", &Answer::skipped, {.doc = "Chosen cards that rightly have no VFs."});
    out.field("conflicting", &Answer::conflicting,
              {.doc = "Units and lines of others that make VFs of these cards.",
               .when = "with O(state=present), unless the task is refused before they are looked for"});
    out.field("cards", &Answer::cards, {.doc = "The cards with the unit that makes their VFs; empty with O(state=absent)."});
  }
};

class Planner {
 public:
  Planner(const Params& params, const HostView& host, Plan& out)
      : params_(params), host_(host), out_(out), count_(gpu::parse_vf_count(params.vfs)), ours_(host, out.recorded_files()) {}

  void present() {
    const gpu::SriovChoice choice = gpu::choose_sriov_cards(host_, params_.device, count_);
    answer_.skipped = choice.skipped;
    if (!choice.refusal.empty()) {
      out_.refuse(choice.refusal);
    } else if (choice.cards.empty()) {
      for (const gpu::SriovSkipped& card : choice.skipped)
        if (params_.device != "all") {
          const std::string sentence = fmt::format("{} ({}): {}", card.address, card.name, card.reason);
          card.healthy ? out_.warn(sentence) : out_.refuse(sentence);
        }
      if (params_.device == "all") out_.warn("no card of this host gets VFs: see skipped for the reasons");
    }
    std::vector<gpu::SriovCard> ready;
    for (const gpu::SriovCard& card : choice.cards) {
      wished_.insert(card.gpu.address);
      if (card.wait)
        out_.later(*card.wait);
      else
        ready.push_back(card);
    }
    owners_ = gpu::find_boot_owners(host_, gpu::boot_dropin);
    std::vector<Wish> wishes;
    for (const gpu::SriovCard& card : ready) wishes.push_back(choose_unit(card));
    const auto foreign = conflicting(ready);
    const bool takes_units = std::any_of(foreign.begin(), foreign.end(), [](const gpu::BootOwner* owner) { return owner->line == 0; });
    // A unit that was taken over starts again when the script is gone.
    if (takes_units || ours_.has_switch_off() || std::any_of(wishes.begin(), wishes.end(), [](const Wish& wish) { return !wish.theirs; }))
      out_.ensure_file(gpu::boot_script, gpu::boot_script_text(), {.meta = {.mode = 0755}});
    take_over(foreign);
    for (const Wish& wish : wishes) make(wish);
    if (params_.device == "all" && choice.refusal.empty())
      for (const std::string& address : ours_.own_cards())
        if (!wished_.count(address)) remove_own(address);
    report(wishes);
  }

  void absent() {
    std::set<std::string> cards = chosen_for_absence();
    bool left = false;
    for (const std::string& address : ours_.own_cards()) cards.count(address) ? remove_own(address) : void(left = true);
    for (const auto& [unit, address] : ours_.enabled())
      if (cards.count(address)) {
        gpu::want_at_boot(out_, unit, false);
        withdraw(gpu::dropin_of(unit));
      } else {
        left = true;
      }
    if (!left) {
      for (const std::string& file : ours_.files())
        if (ours_.is_switch_off(file))
          withdraw(file);
        else if (!file.starts_with(units) && file != gpu::boot_script)
          out_.withdraw(file, without_comments);
      out_.withdraw(gpu::boot_script, nothing);
    }
    report({});
  }

 private:
  /// A card and the unit that makes its VFs.
  struct Wish {
    gpu::SriovCard card;
    std::string unit;
    bool own = false;     ///< our unit file; else a template of others
    bool theirs = false;  ///< others enabled it: nothing to do
  };

  Wish choose_unit(const gpu::SriovCard& card) const {
    const std::string& address = card.gpu.address;
    const bool nvidia = card.tool == gpu::SriovTool::nvidia_script;
    if (nvidia) {
      for (const gpu::BootOwner& owner : owners_)
        if (owner.kind == Kind::shipped && owner.may_concern(address, true) && !host_.exists(gpu::dropin_of(owner.text)))
          return {card, owner.text, false, true};
      for (const char* name : gpu::shipped_templates)
        if (host_.exists(gpu::dropin_of(gpu::instance_of(name, address)))) return {card, gpu::instance_of(name, address), false, false};
    }
    const Wish own{card, gpu::boot_unit_name(address), true, false};
    if (!nvidia || host_.exists(units + own.unit)) return own;
    for (const char* name : gpu::shipped_templates)
      if (gpu::has_unit_file(host_, fmt::format("{}@.service", name))) return {card, gpu::instance_of(name, address), false, false};
    return own;
  }

  void make(const Wish& wish) {
    const std::string& address = wish.card.gpu.address;
    if (!wish.own && ours_.own_cards().count(address)) remove_own(address);  // an interrupted run may have left its record alone
    if (wish.theirs) return;
    const FileOptions reload{.meta = {}, .then = {follow_up_daemon_reload()}};
    if (wish.own)
      out_.ensure_file(units + wish.unit, gpu::boot_unit_text(wish.card, count_, params_.patience), reload);
    else
      out_.ensure_file(gpu::dropin_of(wish.unit), gpu::shipped_dropin_text(wish.card, count_, params_.patience), reload);
    gpu::want_at_boot(out_, wish.unit, true);
  }

  void remove_own(const std::string& address) {
    const std::string unit = gpu::boot_unit_name(address);
    gpu::want_at_boot(out_, unit, false);
    withdraw(units + unit);
  }
  void withdraw(const std::string& file) { out_.withdraw(file, nothing, {.meta = {}, .then = {follow_up_daemon_reload()}}); }

  std::set<std::string> chosen_for_absence() {
    if (params_.device == "all") {
      std::set<std::string> out = ours_.own_cards();
      for (const auto& [unit, address] : ours_.enabled()) out.insert(address);
      return out;
    }
    // A card that was taken out can only be named by its address.
    if (const auto address = text::parse_pci_address(params_.device)) return {address->first_function()};
    const gpu::SriovChoice choice = gpu::choose_sriov_cards(host_, params_.device, {});
    std::set<std::string> out;
    for (const gpu::SriovCard& card : choice.cards) out.insert(card.gpu.address);
    for (const gpu::SriovSkipped& card : choice.skipped) out.insert(card.address);
    if (out.empty()) out_.refuse(choice.refusal);
    return out;
  }

  // --- other owners ------------------------------------------------------------------------------------------------------------
  /// Of these cards; refuses what must not or shall not be taken over.
  std::vector<const gpu::BootOwner*> conflicting(const std::vector<gpu::SriovCard>& ready) {
    std::vector<const gpu::BootOwner*> out;
    std::vector<Conflicting> all;
    for (const gpu::BootOwner& owner : owners_) {
      const bool concerns = std::any_of(ready.begin(), ready.end(), [&](const gpu::SriovCard& card) {
        return owner.may_concern(card.gpu.address, card.tool == gpu::SriovTool::nvidia_script);
      });
      if (owner.kind == Kind::shipped || !concerns) continue;
      out.push_back(&owner);
      all.push_back({owner.file, owner.line, owner.text});
      const std::string place = owner.line == 0 ? owner.text : fmt::format("{} line {}", owner.file, owner.line);
      const auto others = other_cards(owner);
      if (owner.kind == Kind::other)
        out_.refuse(fmt::format("{} makes VFs too: take it out there, two owners get into each other's way", place));
      else if (!others.empty())
        out_.refuse(
            fmt::format("{} makes the VFs of {} too: name all of these cards, or take them out there", place, fmt::join(others, ", ")));
      else if (owner.kind != Kind::guide && params_.conflicts == Conflicts::refuse)
        out_.refuse(fmt::format("{} makes these VFs already: take it out there, or let conflicts=take_over {}", place,
                                owner.line == 0 ? "keep it from starting" : "comment it out"));
    }
    answer_.conflicting = std::move(all);
    return out;
  }

  /// Cards that would lose their VFs with this owner.
  std::set<std::string> other_cards(const gpu::BootOwner& owner) const {
    std::set<std::string> out;
    for (const std::string& card : owner.cards)
      if (!wished_.count(card)) out.insert(card);
    if (owner.all_nvidia && params_.device != "all")
      for (const gpu::SriovCard& card : gpu::choose_sriov_cards(host_, "all", {}).cards)
        if (card.tool == gpu::SriovTool::nvidia_script && !wished_.count(card.gpu.address)) out.insert(card.gpu.address);
    return out;
  }

  void take_over(const std::vector<const gpu::BootOwner*>& foreign) {
    std::map<std::string, std::set<int>> lines;
    for (const gpu::BootOwner* owner : foreign) {
      if (owner->line != 0) {
        lines[owner->file].insert(owner->line);
        continue;
      }
      out_.ensure_file(gpu::dropin_of(owner->text), gpu::switched_off_text(owner->text), {.meta = {}, .then = {follow_up_daemon_reload()}});
    }
    for (const auto& [file, numbers] : lines) {
      std::string content;
      int number = 0;
      for (const std::string& line : text::lines(host_.read_file(file).value_or("")))
        content += (numbers.count(++number) ? comment : "") + line + "\n";
      out_.ensure_file(file, content);
    }
  }

  void report(const std::vector<Wish>& wishes) {
    for (const Wish& wish : wishes)
      answer_.cards.push_back({wish.card.gpu.address, wish.card.gpu.name, count_.str(), wish.unit,
                               wish.own      ? "pve.gpu"
                               : wish.theirs ? "others"
                                             : "shipped"});
    out_.report(answer_);
  }

  const Params& params_;
  const HostView& host_;
  Plan& out_;
  const gpu::VfCount count_;
  const gpu::BootUnits ours_;
  std::set<std::string> wished_;
  std::vector<gpu::BootOwner> owners_;
  Answer answer_;
};

void plan(const Params& params, const HostView& host, Plan& out) {
  if (params.state == State::absent) {
    Planner(params, host, out).absent();
    return;
  }
  if (params.vfs == "0") throw ModuleError("parameter 'vfs': without VFs there is nothing to do at boot; state=absent takes the unit away");
  if (params.patience < 1 || params.patience > 600)
    throw ModuleError("parameter 'patience': it is from 1 to 600 seconds; guests wait for it");
  Planner(params, host, out).present();
}

const ModuleDoc doc{
    .name = "sriov_service",
    .summary = "Virtual functions of GPUs at every boot",
    .description =
        {"Makes the virtual functions (VFs) of the chosen cards at every boot, before Proxmox VE starts guests; C(sriov) makes them now.",
         "For each card one unit: oneshot, after NVIDIA's vGPU daemons, before C(pve-guests.service), which waits for it but starts all "
         "the "
         "same when it fails. It tries again until O(patience) is over, gives a card back that C(sriov-manage) left on C(pci-pf-stub), and "
         "looks whether the VFs are there, with their drivers. It needs nothing but the host itself.",
         "There is one owner for each card. Where Proxmox VE's C(pve-nvidia-sriov@.service) or NVIDIA's C(nvidia-sriov-manage@.service) is "
         "installed, its instance for the card is enabled, with a drop-in that waits and looks; where it is enabled already, for the card "
         "or "
         "for C(ALL), it is left to it. A unit that only runs C(sriov-manage -e), as guides have it written by hand, is kept from starting "
         "by "
         "a drop-in. Other units and lines that make VFs are told with file and line, see O(conflicts).",
         "O(state=absent) takes back what this module did: other units start again, lines are as they were. The VFs of now stay."},
    .examples = R"(
- name: All VFs of all GPUs, at every boot
  pve.gpu.sriov_service:
    device: all

- name: Seven VFs of the processor's graphics, instead of what a guide wrote to sysfs.conf
  pve.gpu.sriov_service:
    device: "0000:00:02.0"
    vfs: 7
    conflicts: take_over

- name: No VFs at boot any more
  pve.gpu.sriov_service:
    device: all
    state: absent
)",
    .answer = answer_of<Answer>,
    .notes = {"A card that was moved to another slot makes its unit fail with that reason, rather than another card getting VFs."},
};

Spec<Params> spec() {
  return Spec<Params>{}
      .param("device", &Params::device,
             {.doc = "The card: a PCI address; a model (V(A40), V(10de:2235)), which means all cards of it; or V(all), all display-class "
                     "devices that have VFs. With O(state=absent) V(all) also means cards that are not there any more.",
              .required = true})
      .param("vfs", &Params::vfs, {.doc = "How many VFs: V(max), or a number; for NVIDIA cards all or none."})
      .param("state", &Params::state, {.doc = "Whether there shall be VFs at boot."})
      .param(
          "conflicts", &Params::conflicts,
          {.doc =
               "What to do with units and lines of C(/etc/sysfs.conf), C(/etc/sysfs.d) and C(/etc/tmpfiles.d) that make these VFs: refuse "
               "with file and line, or take over, that is keep the unit from starting, comment the line out. Udev rules, cron and "
               "C(/etc/rc.local) are refused in any case."})
      .param("patience", &Params::patience, {.doc = "For how many seconds it is tried at boot. Guests start that much later at most."});
}

}  // namespace
}  // namespace sriov_service

PVEGPU_MODULE(sriov_service, sriov_service::Params, sriov_service::doc, sriov_service::spec(), sriov_service::plan)

}  // namespace pvegpu
