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

void plan(const Params& params, const HostView& host, Plan& out) {
  const gpu::VfCount count = gpu::parse_vf_count(params.vfs);
  const gpu::SriovChoice choice = gpu::choose_sriov_cards(host, params.device, count);
  json cards = json::array(), skipped = json::array();
  for (const gpu::SriovCard& card : choice.cards) {
    json vfs = json::array();
    for (const gpu::Vf& vf : card.gpu.sriov.vfs)
      vfs.push_back({{"address", vf.address}, {"driver", vf.driver ? json(*vf.driver) : json()}});
    cards.push_back({{"address", card.gpu.address},
                     {"name", card.gpu.name},
                     {"total", card.gpu.sriov.total},
                     {"wanted", card.wait ? json() : json(card.wanted)},
                     {"tool", card.tool == gpu::SriovTool::nvidia_script ? "sriov-manage" : "sriov_numvfs"},
                     {"vfs", std::move(vfs)}});
  }
  for (const gpu::SriovSkipped& card : choice.skipped)
    skipped.push_back({{"address", card.address}, {"name", card.name}, {"reason", card.reason}});
  out.report("cards", std::move(cards));
  out.report("skipped", std::move(skipped));
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
    .returns = R"(
cards:
  description: The cards that may have VFs; in check mode as they are before the run.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: PCI address.
      type: str
      sample: "0000:41:00.0"
    name:
      description: Its name.
      type: str
      sample: A40
    total:
      description: How many VFs it can have.
      type: int
      sample: 32
    wanted:
      description: How many it shall have, V(null) while something is missing for it.
      type: int
      sample: 32
    tool:
      description: What makes them, C(sriov-manage) or C(sriov_numvfs).
      type: str
    vfs:
      description: The VFs that are there.
      type: list
      elements: dict
      contains:
        address:
          description: PCI address.
          type: str
        driver:
          description: The driver that has it, V(null) when none has.
          type: str
skipped:
  description: Chosen cards that rightly have no VFs.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: PCI address.
      type: str
    name:
      description: Its name.
      type: str
    reason:
      description: Why it gets none.
      type: str
)",
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
