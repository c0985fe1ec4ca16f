// SPDX-License-Identifier: MIT
// vgpu: are the wanted vGPU types offered, on all three frameworks, and what does a broker see of them. It changes nothing on the host:
// types are assigned when a guest starts, and Proxmox VE refuses a VF that has one already (PVE-FACTS 3).
#include "common/core/module.hpp"
#include "common/driver/nvidia.hpp"
#include "common/readiness/judge.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

using catalogue::Verdict;
using catalogue::VgpuClass;
using gpu::Framework;

struct Params {
  std::vector<std::string> types, boards;
};

/// A card that does not offer what is wanted: what brings it ("" when nothing does by itself), and the sentence.
struct Lack {
  std::string pending_on, reason;
};

const gpu::VgpuType* offered(const gpu::Gpu& card, const std::string& name) {
  for (const gpu::VgpuType& type : card.vgpu_types)
    if (type.name == name) return &type;
  return nullptr;
}

std::string listed(const std::vector<std::string>& names) {
  constexpr std::size_t most = 12;
  if (names.empty()) return "none";
  const std::vector<std::string> first(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(std::min(most, names.size())));
  return fmt::format("{}{}", fmt::join(first, ", "), names.size() > most ? fmt::format(" and {} more", names.size() - most) : "");
}

std::vector<std::string> names_of(const gpu::Gpu& card) {
  std::vector<std::string> out;
  for (const gpu::VgpuType& type : card.vgpu_types) out.push_back(type.name);
  return out;
}

/// Of the catalogue; another spelling of the same type too ("P4-1Q", "A40-4Q").
std::vector<std::string> similar_types(const gpu::Gpu& card, const std::string& wanted) {
  std::vector<std::string> out;
  const auto last_word = [](const std::string& name) { return text::lower(name.substr(name.rfind(' ') + 1)); };
  if (!card.boards.empty())
    for (const auto& type : catalogue::types_of(card.boards[0]))
      if (last_word(std::string(type.name)) == last_word(wanted)) out.emplace_back(type.name);
  return out;
}

struct TypeAnswer {
  std::string name;
  std::optional<std::string> id;
  bool offered = false;
  std::optional<std::int64_t> available;

  static void fields(Reply<TypeAnswer>& out) {
    out.field("name", &TypeAnswer::name, {.doc = "Name."});
    out.field("id", &TypeAnswer::id, {.doc = "As a guest's C(mdev=) takes it, null when it is not offered."});
    out.field("offered", &TypeAnswer::offered, {.doc = "Whether the card offers it."});
    out.field("available", &TypeAnswer::available, {.doc = "How many more can be made now."});
  }
};

struct CardAnswer {
  std::string address;
  std::string board;
  Framework framework = Framework::none;
  std::vector<TypeAnswer> types;
  std::vector<std::string> offers;
  bool ready = false;
  std::optional<std::string> reason;

  static void fields(Reply<CardAnswer>& out) {
    out.field("address", &CardAnswer::address, {.doc = "PCI address."});
    out.field("board", &CardAnswer::board, {.doc = "Name."});
    out.field("framework", &CardAnswer::framework,
              {.doc = "Where its types are, one of V(none), V(mdev), V(mdev_on_vfs), V(vendor_vfio)."});
    out.field("types", &CardAnswer::types, {.doc = "The wanted types that are this board's."});
    out.field("offers", &CardAnswer::offers, {.doc = "All types that it offers."});
    out.field("ready", &CardAnswer::ready, {.doc = "It offers what is wanted."});
    out.field("reason", &CardAnswer::reason, {.doc = "Why not, null when it does."});
  }
};

struct BrokerAnswer {
  bool mdevctl_installed = false;
  std::vector<std::string> mdev_parents;
  bool mapping_required = false;
  std::string sees;

  static void fields(Reply<BrokerAnswer>& out) {
    out.field("mdevctl_installed", &BrokerAnswer::mdevctl_installed, {.doc = "Whether the program is there."});
    out.field("mdev_parents", &BrokerAnswer::mdev_parents, {.doc = "Devices that it lists, as far as they are of the selected cards."});
    out.field("mapping_required", &BrokerAnswer::mapping_required,
              {.doc = "Some cards use vendor VFIO, which C(mdevctl) does not show, so a resource mapping is needed."});
    out.field("sees", &BrokerAnswer::sees, {.doc = "The same as a sentence."});
  }
};

struct Answer {
  bool ready = false;
  std::vector<CardAnswer> cards;
  BrokerAnswer broker;

  static void fields(Reply<Answer>& out) {
    out.field("ready", &Answer::ready, {.doc = "All selected cards offer what is wanted of them."});
    out.field("cards", &Answer::cards, {.doc = "The selected cards."});
    out.field("broker", &Answer::broker, {.doc = "What a desktop broker that runs C(mdevctl types) sees."});
  }
};

class TypeCheck {
 public:
  TypeCheck(const Params& params, const HostView& host, Plan& out)
      : params_(params), host_(host), out_(out), machine_(gpu::require_machine(host)) {}

  void run() {
    const auto cards = driver::select_boards(machine_, params_.boards, "boards");
    if (cards.empty()) {
      report(cards, {}, false);
      out_.refuse("no NVIDIA card of this host does vGPU");
      return;
    }
    if (!every_type_has_a_board(cards)) {
      report(cards, {}, false);
      return;
    }
    std::vector<CardAnswer> verdicts;
    std::vector<Lack> lacks;
    for (const gpu::Gpu* card : cards) {
      const auto wanted = wanted_of(*card);
      const auto lack = judge(*card, wanted);
      if (!lack) tell_sizes(*card, wanted);
      verdicts.push_back(verdict(*card, wanted, lack));
      if (lack) lacks.push_back(*lack);
    }
    report(cards, std::move(verdicts), lacks.empty());
    for (const Lack& lack : lacks)  // what nothing brings comes first
      if (lack.pending_on.empty()) out_.refuse(lack.reason);
    for (const Lack& lack : lacks)
      if (!lack.pending_on.empty()) out_.later({lack.pending_on, lack.reason});
  }

 private:
  /// A type may be of this card as far as the catalogue and the card itself know.
  bool may_have(const gpu::Gpu& card, const std::string& type) const {
    if (offered(card, type)) return true;
    if (card.boards.empty()) return !catalogue::find_type(type);
    return std::any_of(card.boards.begin(), card.boards.end(),
                       [&](const catalogue::Board& board) { return catalogue::offers(board, type) == Verdict::yes; });
  }

  std::vector<std::string> wanted_of(const gpu::Gpu& card) const {
    std::vector<std::string> out;
    for (const std::string& type : params_.types)
      if (may_have(card, type)) out.push_back(type);
    return out;
  }

  bool every_type_has_a_board(const std::vector<const gpu::Gpu*>& cards) {
    for (const std::string& type : params_.types) {
      if (std::any_of(cards.begin(), cards.end(), [&](const gpu::Gpu* card) { return may_have(*card, type); })) continue;
      std::vector<std::string> names, similar;
      for (const gpu::Gpu* card : cards) {
        names.push_back(card->name);
        for (const std::string& name : similar_types(*card, type))
          if (std::find(similar.begin(), similar.end(), name) == similar.end()) similar.push_back(name);
      }
      std::sort(names.begin(), names.end());
      names.erase(std::unique(names.begin(), names.end()), names.end());
      const auto known = catalogue::find_type(type);
      out_.refuse(fmt::format("'{}' is no vGPU type of {}: {}", type, fmt::join(names, ", "),
                              !similar.empty() ? fmt::format("it is written '{}'", fmt::join(similar, "' or '"))
                              : known          ? fmt::format("it is one of {}", known->board)
                                               : std::string("see vgpu_types of host_info for their names")));
      return false;
    }
    return true;
  }

  std::optional<Lack> judge(const gpu::Gpu& card, const std::vector<std::string>& wanted) const {
    const std::string who = fmt::format("{} ({})", card.address, card.name);
    const readiness::Question question{.host = host_, .machine = machine_, .gpu = &card, .way = readiness::Way::nvidia_vgpu};
    if (const auto unmet = readiness::first_unmet(question, readiness::Rung::mapping)) {
      const std::string none = card.vgpu_types.empty() ? who + " offers no vGPU types" : who;
      const auto wait = readiness::wait_for(*unmet, none);
      return Lack{wait ? wait->on : std::string(), readiness::told(*unmet, none)};
    }
    std::vector<std::string> missing;
    for (const std::string& type : wanted)
      if (!offered(card, type)) missing.push_back(type);
    if (missing.empty()) return std::nullopt;
    const std::string offers = listed(names_of(card));
    if (const auto known = catalogue::find_type(missing[0]); known && known->backing == catalogue::Backing::mig)
      return Lack{"", fmt::format("{} does not offer {}: it is a MIG type, which is there only in MIG mode and with a free GPU instance "
                                  "(nvidia-smi -mig 1); it offers {}",
                                  who, fmt::join(missing, ", "), offers)};
    readiness::Question wish = question;
    wish.vgpu_type = missing[0];
    if (const auto unmet = readiness::first_unmet(wish, readiness::Rung::mapping);
        unmet && unmet->cause.find("is not offered") == std::string::npos)
      return Lack{"", fmt::format("{}; it offers {}", readiness::told(*unmet, who), offers)};
    return Lack{"", fmt::format("{} does not offer {}: driver {} has no such type for it; it offers {}", who, fmt::join(missing, ", "),
                                machine_.facts.nvidia.version.value_or("(version unknown)"), offers)};
  }

  /// All sizes are offered until a guest has one of them.
  void tell_sizes(const gpu::Gpu& card, const std::vector<std::string>& wanted) {
    std::map<std::int64_t, std::string> sizes;
    for (const std::string& name : wanted)
      if (const gpu::VgpuType* type = offered(card, name); type && type->framebuffer_mb) sizes.emplace(*type->framebuffer_mb, name);
    const std::string one = sizes.size() < 2 ? "" : readiness::one_size_at_a_time(card);
    if (one.empty()) return;
    std::vector<std::string> names;
    for (const auto& [size, name] : sizes) names.push_back(name);
    out_.warn(
        fmt::format("{} ({}) {}: of {} it has those of the first guest that starts", card.address, card.name, one, fmt::join(names, ", ")));
  }

  CardAnswer verdict(const gpu::Gpu& card, const std::vector<std::string>& wanted, const std::optional<Lack>& lack) const {
    CardAnswer out{card.address, card.name, card.framework, {}, names_of(card), !lack, {}};
    if (lack) out.reason = lack->reason;
    for (const std::string& name : wanted) {
      TypeAnswer told{name};
      if (const gpu::VgpuType* type = offered(card, name)) told = {name, type->id, true, type->available};
      out.types.push_back(std::move(told));
    }
    return out;
  }

  void report(const std::vector<const gpu::Gpu*>& cards, std::vector<CardAnswer> verdicts, bool ready) {
    std::vector<std::string> parents, without;
    for (const gpu::Gpu* card : cards) {
      if (card->vgpu_types.empty()) continue;
      if (card->framework == Framework::mdev) parents.push_back(card->address);
      if (card->framework == Framework::mdev_on_vfs)
        for (const gpu::Vf& vf : card->sriov.vfs) parents.push_back(vf.address);
      if (card->framework == Framework::vendor_vfio) without.push_back(card->address);
    }
    const bool tool = host_.exists("/usr/sbin/mdevctl") || host_.exists("/usr/bin/mdevctl");
    std::string sees = "nothing yet: no card offers types";
    if (!without.empty() && parents.empty())
      sees =
          "'mdevctl types' is empty, and rightly so: these cards use vendor VFIO, which has no mediated devices; a broker needs a resource "
          "mapping";
    else if (!without.empty())
      sees = fmt::format("'mdevctl types' lists {} only; {} use vendor VFIO and need a resource mapping", fmt::join(parents, ", "),
                         fmt::join(without, ", "));
    else if (!parents.empty() && tool)
      sees = fmt::format("'mdevctl types' lists the types of {}", gpu::counted(static_cast<std::int64_t>(parents.size()), "device"));
    else if (!parents.empty())
      sees = "a broker that runs 'mdevctl types' sees nothing, because mdevctl is not installed: install the package mdevctl";
    out_.report(Answer{ready, std::move(verdicts), {tool, parents, !without.empty(), sees}});
    if (!parents.empty() && !tool) out_.warn(sees);
  }

  const Params& params_;
  const HostView& host_;
  Plan& out_;
  gpu::Machine machine_;
};

void plan(const Params& params, const HostView& host, Plan& out) { TypeCheck(params, host, out).run(); }

}  // namespace

PVEGPU_MODULE(
    vgpu, Params,
    (ModuleDoc{
        .name = "vgpu",
        .summary = "The wanted NVIDIA vGPU types are offered",
        .description =
            {"Checks that cards offer the wanted vGPU types, by name, wherever this kernel and driver show them: mediated devices on the "
             "card, "
             "mediated devices on its virtual functions, or vendor VFIO.",
             "What an earlier step of the same playbook or a reboot brings is C(pending_on) C(driver), C(sriov) or C(reboot). What nothing "
             "brings by itself fails with the reason.",
             "A type with nothing available is offered all the same: the card is full, or is in use for another size.",
             "It changes nothing: Proxmox VE assigns a type when a guest starts, and refuses a virtual function that has one before."},
        .examples = R"(- name: Desktops of 1 and 2 GB on the P4
  pve.gpu.vgpu:
    types: [GRID P4-1Q, GRID P4-2Q]

- name: The A5000 offers something
  pve.gpu.vgpu:
    boards: [RTX A5000]
)",
        .answer = answer_of<Answer>,
    }),
    Spec<Params>{}
        .param(
            "types", &Params::types,
            {.doc = "Names of vGPU types, as C(GRID P4-1Q) or C(NVIDIA A40-4Q). Each selected card must offer those that are its board's. "
                    "Without any, each card must offer something."})
        .param("boards", &Params::boards, {.doc = "Cards, by address or by name of the board; by default all that do vGPU."}),
    plan)

}  // namespace pvegpu
