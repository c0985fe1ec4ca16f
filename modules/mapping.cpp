// SPDX-License-Identifier: MIT
// mapping: a PCI resource mapping of the cluster, with the entries of one node or of many.
#include "common/catalogue/catalogue.hpp"
#include "common/cluster/cluster_lock.hpp"
#include "common/mapping/mapping_store.hpp"
#include "common/core/choices.hpp"
#include "common/core/module.hpp"
#include "common/inventory/host_info.hpp"
#include "common/mapping/mapping_selection.hpp"
#include "common/readiness/outlook.hpp"
#include "common/base/strings.hpp"
#include "common/text/pve_version.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

using cluster::Purge;

struct Entry {
  gpu::EntryByHand given() const { return {node, path, id, subsystem_id, iommu_group}; }
  static const Spec<Entry>& spec();

  std::string node, path;
  std::optional<std::string> id, subsystem_id;
  std::optional<std::int64_t> iommu_group;
};

enum class Functions { card, vfs };

struct Card {
  gpu::PlannedCard given() const { return {node, address, functions == Functions::vfs, seats}; }
  static const Spec<Card>& spec();

  std::string node, address;
  Functions functions = Functions::card;
  std::int64_t seats = 0;
};

/// What host_info returned of a host.
struct HostDocument {
  std::shared_ptr<gpu::MappableHost> host;
};

struct Params {
  std::string id;
  State state = State::present;
  std::vector<std::string> devices, vfs_of;
  std::optional<std::string> model;
  std::optional<bool> whole_device;
  std::vector<Card> cards;
  std::vector<Entry> entries;
  std::optional<std::vector<HostDocument>> hosts;
  Purge purge = Purge::none;
  std::optional<std::string> description;
  std::optional<bool> mdev, live_migration_capable;
  bool heal = false;
  bool force = false;
};

/// The mapping before and after, with what has to be known to judge it.
struct Change {
  const text::PciMapping* now = nullptr;
  std::optional<text::PciMapping> next;
};

std::optional<std::string> wrong_parameters(const Params& params) {
  if (!text::is_mapping_id(params.id))
    return fmt::format("parameter 'id': Proxmox VE takes a letter and then at least one letter, digit, - or _; '{}' is not that",
                       params.id);
  const std::string text = params.description.value_or("");
  if (std::any_of(text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }))
    return std::string(
        "parameter 'description': use printable ASCII only: Proxmox VE does not give other characters back as they were written");
  if (text.size() > 4096) return std::string("parameter 'description': Proxmox VE takes at most 4096 characters");
  return std::nullopt;
}

/// The release, once it is sure that it has what is asked for.
std::optional<catalogue::MajorMinor> release_of(const HostView& host, const Params& params, Plan& out) {
  const auto version = text::parse_pvecfg(host.read_file("/usr/share/perl5/PVE/pvecfg.pm").value_or(""));
  const auto release = version ? catalogue::parse_major_minor(version->version) : std::nullopt;
  if (!release) {
    out.refuse("this is no node of Proxmox VE: /usr/share/perl5/PVE/pvecfg.pm says no version");
  } else if (release->major < 8) {
    out.refuse(fmt::format("Proxmox VE {} has no resource mappings, 8.0 brought them; give guests the card by its address (module hostpci)",
                           version->version));
  } else if (params.live_migration_capable && *release < catalogue::MajorMinor{8, 4}) {
    out.refuse(fmt::format("parameter 'live_migration_capable': Proxmox VE {} does not know it, 8.4 brought it; update all nodes first",
                           version->version));
  } else {
    return release;
  }
  return std::nullopt;
}

/// VFs that are wanted and not there, where the host itself can't be asked.
void wait_for_vfs(const gpu::MappingSelection& selection, Plan& out) {
  std::vector<std::string> cards;
  for (const gpu::PlannedCard& card : selection.without_vfs) cards.push_back(fmt::format("{} on {}", card.address, card.node));
  if (!cards.empty())
    out.later({"sriov", fmt::format("{} {} no virtual functions yet, which the module sriov makes", fmt::join(cards, ", "),
                                    cards.size() == 1 ? "has" : "have")});
}

struct MappingAnswer {
  std::string id;
  nlohmann::ordered_map<std::string, std::int64_t> nodes;
  std::string description;
  bool mdev = false;
  bool live_migration_capable = false;

  static void fields(Reply<MappingAnswer>& out) {
    out.field("id", &MappingAnswer::id, {.doc = "Its name."});
    out.field("nodes", &MappingAnswer::nodes, {.doc = "How many entries each node has in it."});
    out.field("description", &MappingAnswer::description, {.doc = "Its description."});
    out.field("mdev", &MappingAnswer::mdev, {.doc = "Whether it is marked as mediated devices."});
    out.field("live_migration_capable", &MappingAnswer::live_migration_capable, {.doc = "Whether its devices may be migrated live."});
  }
};

struct StaleEntry {
  std::string path;
  std::string problem;

  static void fields(Reply<StaleEntry>& out) {
    out.field("path", &StaleEntry::path, {.doc = "Address, as in the mapping."});
    out.field("problem", &StaleEntry::problem, {.doc = "What does not fit."});
  }
};

struct Answer {
  std::optional<MappingAnswer> mapping;
  std::vector<StaleEntry> stale;

  static void fields(Reply<Answer>& out) {
    out.field("mapping", &Answer::mapping, {.doc = "The mapping as it shall be, null when there shall be none."});
    out.field(
        "stale", &Answer::stale,
        {.doc = "Entries of this node that remain in it and do not fit the hardware, so that Proxmox VE starts no guest with it here."});
  }
};

void report(const Params& params, const Change& change, const gpu::MappableHost& here, bool compared, Plan& out) {
  Answer answer;
  std::vector<StaleEntry>& stale = answer.stale;
  if (change.next) {
    const text::PciMapping& next = *change.next;
    answer.mapping = MappingAnswer{params.id, {}, next.description, next.mdev, next.live_migration_capable};
    for (const text::PciMapEntry& entry : next.entries) {
      ++answer.mapping->nodes[entry.node];
      if (entry.node != here.node()) continue;
      if (const std::string why = why_invalid(entry, next.mdev, here, compared); !why.empty()) stale.push_back({entry.path, why});
    }
  }
  if (!stale.empty())
    out.warn(fmt::format("mapping {}: no guest can start with it on {} while {} of its entries there do not fit the hardware (see 'stale')",
                         params.id, here.node(), stale.size()));
  out.report(answer);
}

void plan(const Params& params, const HostView& host, Plan& out) {
  if (const auto wrong = wrong_parameters(params)) {
    out.refuse(*wrong);
    return;
  }
  const auto release = release_of(host, params, out);
  if (!release) return;
  const auto node = cluster::writable_pmxcfs(host);
  if (!node) {
    out.refuse(node.error().message);
    return;
  }
  const bool present = params.state == State::present;
  const bool compared = !(*release < catalogue::MajorMinor{8, 4});
  const std::shared_ptr<gpu::MappableHost> here = gpu::mappable_here(host, *node);
  gpu::MappableHosts hosts = {here};
  if (params.hosts) {
    hosts.clear();
    for (const HostDocument& document : *params.hosts) hosts.push_back(document.host);
  }
  gpu::MappingSelectors selectors{present, params.devices, params.vfs_of, params.model, params.whole_device, {}, {}};
  for (const Card& card : params.cards) selectors.planned.push_back(card.given());
  for (const Entry& entry : params.entries) selectors.by_hand.push_back(entry.given());
  gpu::MappingSelection selection = gpu::select_entries(selectors, hosts);
  if (!selection.refusal.empty()) {
    out.refuse(selection.refusal);
    return;
  }
  for (std::string& warning : selection.warnings) out.warn(std::move(warning));

  const std::string bytes = cluster::read_pci_cfg(host).or_fail("read the mappings");
  text::PciMappings file = text::parse_pci_mappings(bytes);
  const std::vector<std::string> poisoned = file.poisoned;
  if (!poisoned.empty() && params.heal) {
    out.effect(cluster::heal_step(bytes));
    file = text::parse_pci_mappings(text::without_poison(bytes));
  }

  Change change{file.find(params.id), {}};
  const bool selects = selectors.derive() || !params.entries.empty();
  cluster::MappingWish wish{params.id,         present,      !present && !selects && params.purge == Purge::none,
                            selection.entries, params.purge, selection.nodes};
  if (present) {
    if (params.description) wish.description = text::trim(*params.description);  // as Proxmox VE reads it back
    wish.live_migration_capable = params.live_migration_capable;
    auto flag = gpu::mdev_flag(selection, params.mdev, change.now, compared);
    if (!flag) {
      out.refuse(flag.error().message);
      return;
    }
    wish.mdev = *flag;
    if (params.model && selection.entries.empty()) out.warn(fmt::format("no '{}' was found, so there is nothing to map", *params.model));
  }
  if (present && !params.hosts) readiness::outlook(host, gpu::require_machine(host), selection, *node).tell(out);
  wait_for_vfs(selection, out);
  change.next = cluster::fulfilled(wish, change.now);
  report(params, change, *here, compared, out);
  if (present && !change.now && !change.next) {
    if (!params.model && !params.heal && selection.without_vfs.empty())
      out.refuse(
          fmt::format("there is no mapping {} and one needs an entry: give 'devices', 'vfs_of', 'model', 'cards' or 'entries'", params.id));
    return;
  }
  const auto printed = [](const text::PciMapping* mapping) { return mapping ? text::print_pci_mapping(*mapping) : std::string(); };
  if (printed(change.now) == printed(change.next ? &*change.next : nullptr)) return;

  if (!poisoned.empty() && !params.heal)
    out.refuse(
        fmt::format("{}: section '{}' has no valid entry, and Proxmox VE refuses every write while it is there; correct it by hand, or "
                    "set 'heal' to take it out",
                    cluster::pci_cfg, poisoned[0]));
  if (!host.exists("/etc/pve/mapping")) out.refuse("/etc/pve/mapping is missing; make it as Proxmox VE does: pvecm updatecerts");
  const text::PciMapping* next = change.next ? &*change.next : nullptr;
  if (!params.force)
    if (std::string why = cluster::why_guests_lose(host, params.id, change.now, next); !why.empty()) out.refuse(std::move(why));
  if (std::string why = cluster::why_no_room(host, file, change.now, next); !why.empty()) out.refuse(std::move(why));
  Step step = cluster::mapping_step(wish, change.now);
  if (!file.comments.empty())
    step.warnings.push_back(fmt::format("{}: Proxmox VE drops comments whenever it writes the file: {} in all, the first in line {}",
                                        cluster::pci_cfg, file.comments.size(), file.comments[0]));
  for (const std::string& lost : file.warnings)
    step.warnings.push_back(fmt::format("{}: Proxmox VE drops what it does not take: {}", cluster::pci_cfg, lost));
  out.effect(std::move(step));
}

}  // namespace

template <>
struct EnumNames<Purge> {
  static constexpr std::pair<Purge, const char*> values[] = {{Purge::none, "none"}, {Purge::node, "node"}, {Purge::all, "all"}};
};
template <>
struct EnumNames<Functions> {
  static constexpr std::pair<Functions, const char*> values[] = {{Functions::card, "card"}, {Functions::vfs, "vfs"}};
};
/// A dict whose members are host_info's to document. The answer repeats the name of the node only.
template <>
struct params::Type<HostDocument> {
  static Shape shape() { return {"dict"}; }
  static Result<HostDocument> parse(const json& value) {
    const json document = PVEGPU_TRY(parse_dict(value));
    const gpu::HostInfo told = reply_of<gpu::HostInfo>().read(document);
    const bool whole = document.contains("gpus") && document["gpus"].is_array();
    try {
      return HostDocument{gpu::mappable_of(whole ? told.host.node.value_or("") : "", {told.gpus.begin(), told.gpus.end()})};
    } catch (const ModuleError& error) {
      return Error{error.what()};
    }
  }
  static json print(const HostDocument& value) { return {{"host", {{"node", value.host->node()}}}}; }
};

const Spec<Card>& Card::spec() {
  static const Spec<Card> value = Spec<Card>{}
                                      .param("node", &Card::node, {.doc = "Name of the node.", .required = true})
                                      .param("address", &Card::address, {.doc = "PCI address of the GPU.", .required = true})
                                      .param("functions", &Card::functions, {.doc = "The GPU itself, or its virtual functions."})
                                      .param("seats", &Card::seats, {.doc = "With V(vfs), how many of them."});
  return value;
}

const Spec<Entry>& Entry::spec() {
  static const Spec<Entry> value =
      Spec<Entry>{}
          .param("node", &Entry::node, {.doc = "Name of the node.", .required = true})
          .param(
              "path", &Entry::path,
              {.doc =
                   "Address of a function, V(0000:41:00.0), or of a whole card, V(0000:41:00). Several with V(;) between them are passed "
                   "together: they are no alternatives.",
               .required = true})
          .param("id", &Entry::id,
                 {.doc = "Vendor and device, V(10de:2235). Without it all of the fingerprint is looked up, on this node or in O(hosts)."})
          .param("subsystem_id", &Entry::subsystem_id, {.doc = "Vendor and device of the subsystem; with O(entries[].id)."})
          .param("iommu_group", &Entry::iommu_group, {.doc = "IOMMU group; with O(entries[].id). V(-1), as Proxmox VE lists it, is none."});
  return value;
}

PVEGPU_MODULE(
    mapping, Params,
    (ModuleDoc{
        .name = "mapping",
        .summary = "A PCI resource mapping of the cluster",
        .description =
            {"Gives cards a name that guests on any node can use: a resource mapping of Proxmox VE (8.0 or later) with an entry for each "
             "card, or each virtual function. One task may write the entries of all nodes (O(hosts)), or each node its own; then many may "
             "run at once.",
             "Fingerprints are what the hardware says now, so running the task again after a BIOS change or a moved card corrects them. "
             "Entries of others stay unless O(purge) says otherwise.",
             "It writes through the API with the digest of the file, so nothing is lost that others write at the same time. A mapping that "
             "a guest uses is not taken away from under it.",
             "What this node's GPUs lack is told as C(diagnose) tells it: refused is what nothing brings, such as an IOMMU group with "
             "disks "
             "of the host, since a guest gets a group as a whole; RV(pending_on) what a boot, a driver or C(sriov) brings. Refused too is "
             "a "
             "slot, written without a function, that holds more than one card, such as the virtual functions of a GPU or the USB "
             "controllers of a processor with graphics."},
        .examples = R"(- name: This node's cards, for guests that get one whole
  pve.gpu.mapping:
    id: a4000
    model: RTX A4000

- name: The virtual functions of all nodes' cards, written once for the cluster
  pve.gpu.mapping:
    id: a40
    description: A40, desktops
    vfs_of: ["0000:41:00.0", "0000:81:00.0"]
    hosts: "{{ ansible_play_hosts | map('extract', hostvars, 'gpu_host') | list }}"
    purge: all
  run_once: true

- name: This node's entries out of it
  pve.gpu.mapping:
    id: a40
    state: absent
    purge: node
)",
        .answer = answer_of<Answer>,
        .notes = {"Proxmox VE keeps no comments and no unknown keys in C(pci.cfg) when it writes it. A warning says what that costs.",
                  "C(state=absent) does not bring back an entry or a description that was replaced."},
    }),
    Spec<Params>{}
        .param("id", &Params::id, {.doc = "Name of the mapping: a letter, then letters, digits, V(-) and V(_).", .required = true})
        .param("state", &Params::state,
               {.doc = "V(absent) takes out the entries that are selected, with O(purge=node) all of the node, and with neither the whole "
                       "mapping. The last entry takes the mapping along."})
        .param(
            "devices", &Params::devices,
            {.doc =
                 "Cards by address: V(0000:41:00.0) is one function, V(0000:41:00) all functions of the card, if the slot has no others."})
        .param("vfs_of", &Params::vfs_of,
               {.doc = "Cards by address or by model, whose virtual functions are mapped. Where a card has none yet, the task "
                       "answers C(pending_on=sriov), and what is mapped of that node stays."})
        .param(
            "model", &Params::model,
            {.doc = "All GPUs of a model (V(A40), V(NVIDIA A40), V(10de:2235)). A card with several functions is mapped whole, unless it "
                    "offers mediated devices itself or its slot has other functions too: virtual ones, or those of a processor with "
                    "graphics. Then the GPU's own function is mapped."})
        .param("whole_device", &Params::whole_device,
               {.doc = "Whether O(devices) and O(model) mean the whole card, whatever is written or found."})
        .param("cards", &Params::cards,
               {.doc = "GPUs of nodes as RV(pve.gpu.pools#module:mappings[].entries) lists them: each with as many virtual functions as it "
                       "has seats, or whole."})
        .param("entries", &Params::entries, {.doc = "Entries by hand."})
        .param("hosts", &Params::hosts,
               {.doc = "What C(host_info) returned of one or more nodes: O(devices), O(vfs_of), O(model) and O(cards) are looked up there "
                       "instead of on this node."})
        .param("purge", &Params::purge,
               {.doc = "Which entries go that are not selected: none, those of the nodes that are looked at or named, or all."})
        .param("description", &Params::description, {.doc = "Printable ASCII. An empty one is taken away."})
        .param(
            "mdev", &Params::mdev,
            {.doc = "Whether the mapping is marked as mediated devices. Without it, as the selected hardware is. From Proxmox VE 8.4 on no "
                    "guest starts if the two differ."})
        .param("live_migration_capable", &Params::live_migration_capable,
               {.doc = "Whether guests may be migrated live with these devices. Proxmox VE 8.4 or later."})
        .param(
            "heal", &Params::heal,
            {.doc = "Take out sections without a valid entry, which make Proxmox VE refuse every write. Only this edits the file itself, "
                    "under the lock of Proxmox VE."})
        .param("force", &Params::force, {.doc = "Take a mapping or entries away although a guest uses them."})
        .identified_by({"id"}),
    plan)

}  // namespace pvegpu
