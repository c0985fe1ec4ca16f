// SPDX-License-Identifier: MIT
// sriov: the wanted number of virtual functions on the chosen cards, now.
#include "common/core/module.hpp"
#include "common/sriov/steps.hpp"

namespace pvegpu {
namespace sriov {
namespace {

struct Params {
  std::string device;
  std::string vfs = "max";
};

struct VfAnswer {
  std::string address;
  std::optional<std::string> driver;

  static void fields(Reply<VfAnswer>& out) {
    out.field("address", &VfAnswer::address, {.doc = "PCI address."});
    out.field("driver", &VfAnswer::driver, {.doc = "The driver that has it, V(null) when none has."});
  }
};

struct CardAnswer {
  std::string address;
  std::string name;
  std::int64_t total = 0;
  std::optional<std::int64_t> wanted;
  const char* tool = "";
  std::vector<VfAnswer> vfs;

  static void fields(Reply<CardAnswer>& out) {
    out.field("address", &CardAnswer::address, {.doc = "PCI address.", .sample = "0000:41:00.0"});
    out.field("name", &CardAnswer::name, {.doc = "Its name.", .sample = "A40"});
    out.field("total", &CardAnswer::total, {.doc = "How many VFs it can have.", .sample = "32"});
    out.field("wanted", &CardAnswer::wanted, {.doc = "How many it shall have, V(null) while something is missing for it.", .sample = "32"});
    out.field("tool", &CardAnswer::tool, {.doc = "What makes them, C(sriov-manage) or C(sriov_numvfs)."});
    out.field("vfs", &CardAnswer::vfs, {.doc = "The VFs that are there."});
  }
};

struct Answer {
  std::vector<CardAnswer> cards;
  std::vector<gpu::SriovSkipped> skipped;

  static void fields(Reply<Answer>& out) {
    out.field("cards", &Answer::cards, {.doc = "The cards that may have VFs; in check mode as they are before the run."});
    out.field("skipped", &Answer::skipped, {.doc = "Chosen cards that rightly have no VFs."});
  }
};

void plan(const Params& params, const HostView& host, Plan& out) {
  const gpu::VfCount count = gpu::parse_vf_count(params.vfs);
  const gpu::SriovChoice choice = gpu::choose_sriov_cards(host, params.device, count);
  Answer answer{{}, choice.skipped};
  for (const gpu::SriovCard& card : choice.cards) {
    CardAnswer told{card.gpu.address, card.gpu.name, card.gpu.sriov.total};
    if (!card.wait) told.wanted = card.wanted;
    told.tool = card.tool == gpu::SriovTool::nvidia_script ? "sriov-manage" : "sriov_numvfs";
    for (const gpu::Vf& vf : card.gpu.sriov.vfs) told.vfs.push_back({vf.address, vf.driver});
    answer.cards.push_back(std::move(told));
  }
  out.report(answer);
  if (!choice.refusal.empty()) {
    out.refuse(choice.refusal);
    return;
  }
  for (const gpu::SriovCard& card : choice.cards) gpu::plan_vfs(out, card);
  if (!choice.cards.empty()) return;
  for (const gpu::SriovSkipped& card : choice.skipped) {
    if (params.device == "all" || count.number == 0) continue;
    const std::string sentence = fmt::format("{} ({}): {}", card.address, card.name, card.reason);
    card.healthy ? out.warn(sentence) : out.refuse(sentence);
  }
  if (params.device == "all" && count.number != 0) out.warn("no card of this host gets VFs: see skipped for the reasons");
}

const ModuleDoc doc{
    .name = "sriov",
    .summary = "Virtual functions of GPUs",
    .description = {"Makes the wanted number of virtual functions (VFs) on the chosen cards, now; C(sriov_service) does the same "
                    "at each boot.",
                    "NVIDIA cards go through the C(sriov-manage) of the vGPU host driver, all others through C(sriov_numvfs), by way of 0 "
                    "from one number "
                    "to another. How many a card has is read from it. Then it looks whether they are there, and whether NVIDIA's have "
                    "their driver: an exit "
                    "code proves nothing.",
                    "A card that C(sriov-manage) left on C(pci-pf-stub) gets its driver back. VFs that guests use are not taken away: the "
                    "task fails and "
                    "names the guests. A card whose vGPUs are on the card itself is left alone, even if it shows an SR-IOV capability as a "
                    "Tesla T4 may.",
                    "What can't be yet is answered with RV(pending_on): V(reboot) while the IOMMU is off, V(display_mode) while the card's "
                    "display outputs "
                    "are on, V(driver) while the driver is missing that makes VFs."},
    .examples = R"(
- name: All VFs of all GPUs
  pve.gpu.sriov:
    device: all

- name: Seven VFs of the processor's graphics
  pve.gpu.sriov:
    device: "0000:00:02.0"
    vfs: 7

- name: No VFs on the A5000, to pass it through whole
  pve.gpu.sriov:
    device: RTX A5000
    vfs: 0
)",
    .answer = answer_of<Answer>,
    .notes = {"VFs end with the next boot; there is no O(state), since O(vfs=0) takes them away.",
              "Never pass a card through whole while guests use its VFs."},
};

Spec<Params> spec() {
  return Spec<Params>{}
      .param("device", &Params::device,
             {.doc = "The card: a PCI address; a model (V(A40), V(10de:2235)), which means all cards of it; or V(all), all display-class "
                     "devices that have VFs. A device of another class is taken by its address only, and a network card never while it "
                     "carries an address or is part of a bridge or a bond.",
              .required = true})
      .param("vfs", &Params::vfs,
             {.doc = "How many VFs: V(max), or a number. NVIDIA's C(sriov-manage) makes all or none, so another number is refused there."});
}

}  // namespace
}  // namespace sriov

PVEGPU_MODULE(sriov, sriov::Params, sriov::doc, sriov::spec(), sriov::plan)

}  // namespace pvegpu
