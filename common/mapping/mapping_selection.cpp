// SPDX-License-Identifier: MIT
// Entries of a resource mapping.
#include "common/mapping/mapping_selection.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

using text::PciAddress, text::PciMapEntry;

class Selector {
 public:
  Selector(const MappingSelectors& wanted, const MappableHosts& hosts) : wanted_(wanted), hosts_(hosts) {}

  MappingSelection run() {
    // By hand alone, only the nodes that are named are meant.
    if (wanted_.derive() || wanted_.by_hand.empty())
      for (const auto& host : hosts_) add_node(host->node());
    for (const std::string& device : wanted_.devices) add_device(device);
    for (const std::string& card : wanted_.vfs_of) add_vfs(card);
    if (wanted_.model)
      for (const auto& host : hosts_)
        for (const std::string& card : host->cards(*wanted_.model)) add_card(*host, card, "model");
    for (const PlannedCard& card : wanted_.planned) add_planned(card);
    for (const EntryByHand& entry : wanted_.by_hand) add_by_hand(entry);
    return std::move(out_);
  }

 private:
  static PciAddress address(const std::string& text, const char* parameter) {
    return text::parse_pci_address(text).or_fail(fmt::format("parameter '{}'", parameter));
  }

  void add_node(const std::string& node) {
    if (std::find(out_.nodes.begin(), out_.nodes.end(), node) == out_.nodes.end()) out_.nodes.push_back(node);
  }

  void note_hardware(const MappableHost& host, const Mappable& function) {
    (function.mdev ? out_.with_mdev : out_.without_mdev).push_back(fmt::format("{} on {}", function.address, host.node()));
  }

  void add(const MappableHost& host, const PciAddress& address, const Mappable& function) {
    if (wanted_.fingerprints) {
      if (!address.function && function.mdev && !function.siblings.empty())
        throw ModuleError(fmt::format("{} on {} offers mediated devices, which Proxmox VE can't use of a whole card; give the function {}",
                                      address.device, host.node(), function.address));
      refuse_slot(host, address, function, "devices");
      note_hardware(host, function);
      if (!function.mdev) judge_loss(host, {address});
    }
    out_.entries.push_back(map_entry(host.node(), address, function));
  }

  /// Without a function Proxmox VE passes all of the slot.
  static void refuse_slot(const MappableHost& host, const PciAddress& address, const Mappable& function, const char* parameter) {
    if (!address.function && !function.beside.empty())
      throw ModuleError(
          fmt::format("parameter '{}': {} on {} would give a guest all functions of the slot, also {}, which are no part of the card; give "
                      "the function {}",
                      parameter, address.device, host.node(), function.beside, function.address));
  }

  /// A mediated device takes nothing from the host, the rest of a card does.
  void judge_loss(const MappableHost& host, const std::vector<PciAddress>& members) {
    HostLoss loss = host.loss(members);
    if (out_.refusal.empty()) out_.refusal = std::move(loss.needed);
    if (!loss.of_guests.empty()) loss.warnings.push_back(std::move(loss.of_guests));
    for (std::string& warning : loss.warnings)
      if (std::find(out_.warnings.begin(), out_.warnings.end(), warning) == out_.warnings.end())
        out_.warnings.push_back(std::move(warning));
  }

  PciAddress as_whole(PciAddress address) const {
    if (wanted_.whole_device && *wanted_.whole_device) address.function = std::nullopt;
    if (wanted_.whole_device && !*wanted_.whole_device) address.function = address.function.value_or(0);
    return address;
  }

  /// Of several hosts some may lack a device, but not all.
  void add_device(const std::string& device) {
    const PciAddress where = as_whole(address(device, "devices"));
    std::string why;
    bool any = false;
    for (const auto& host : hosts_) {
      const auto function = host->function(where.first_function());
      if (!function && why.empty()) why = function.error().message;
      if (!function && wanted_.fingerprints) continue;
      add(*host, where, function.value_or({}));
      any = true;
    }
    if (!any) throw ModuleError(fmt::format("parameter 'devices': {}", why.empty() ? "there is no host to look at" : why));
  }

  /// An address, or a model: then the cards of it wherever there are any.
  void add_vfs(const std::string& card) {
    const auto where = text::parse_pci_address(card);
    std::string why;
    bool any = false;
    for (const auto& host : hosts_)
      for (const std::string& one : where ? std::vector{where->first_function()} : host->cards(card)) {
        const auto vfs = host->vfs(one);
        if (!vfs) {
          if (why.empty()) why = vfs.error().message;
          continue;
        }
        if (vfs->empty() && wanted_.fingerprints) {
          out_.without_vfs.push_back({host->node(), one, true});
          std::erase(out_.nodes, host->node());  // what it had stays until they are back
        }
        for (const std::string& vf : *vfs) add(*host, address(vf, "vfs_of"), host->function(vf).or_fail("parameter 'vfs_of'"));
        any = true;
      }
    if (any || !wanted_.fingerprints) return;
    if (!where && why.empty() && !hosts_.empty()) why = fmt::format("'{}' is neither an address nor the model of a GPU here", card);
    throw ModuleError(fmt::format("parameter 'vfs_of': {}", why.empty() ? "there is no host to look at" : why));
  }

  /// A card that a guest gets whole is mapped whole: a list of its functions can never validate (PVE::Mapping::PCI::assert_valid compares
  /// every member with one id).
  void add_card(const MappableHost& host, const std::string& card, const char* parameter) {
    const Mappable function = host.function(card).or_fail(fmt::format("parameter '{}'", parameter));
    PciAddress where = address(card, parameter);
    if (wanted_.whole_device.value_or(!function.siblings.empty() && !function.mdev && function.beside.empty()))
      where.function = std::nullopt;
    if (where.function && !function.siblings.empty() && !function.beside.empty() && !function.mdev && wanted_.fingerprints)
      out_.warnings.push_back(fmt::format(
          "only {0} on {1} is mapped, without {2} of the same card: the slot holds more ({3}), and Proxmox VE passes a slot as a whole. A "
          "guest that needs them too gets them by address (module hostpci, host: [\"{0}\", \"{4}\"])",
          function.address, host.node(), fmt::join(function.siblings, ", "), function.beside, fmt::join(function.siblings, "\", \"")));
    add(host, where, function);
  }

  void add_planned(const PlannedCard& card) {
    const auto wrong = [&](const std::string& why) { return ModuleError(fmt::format("parameter 'cards': {}", why)); };
    const std::string where = address(card.address, "cards").first_function();
    const MappableHost* host = known(card.node);
    if (!host && !wanted_.fingerprints) return;
    if (!host) throw wrong(fmt::format("nothing is known of the node {}: give its document in 'hosts'", card.node));
    if (!card.vfs) {
      add_card(*host, where, "cards");
      return;
    }
    const std::vector<std::string> vfs = host->vfs(where).or_fail("parameter 'cards'");
    const auto seats = static_cast<std::size_t>(std::max<std::int64_t>(card.seats, 0));
    if (vfs.empty() && wanted_.fingerprints) {
      out_.without_vfs.push_back({card.node, where, true});
      return;
    }
    if (vfs.size() < seats && wanted_.fingerprints)
      throw wrong(fmt::format("{} on {} has {} virtual functions now and {} seats need one each; make more first (module sriov)", where,
                              card.node, vfs.size(), seats));
    for (std::size_t i = 0; i < std::min(vfs.size(), seats); ++i)
      add(*host, address(vfs[i], "cards"), host->function(vfs[i]).or_fail("parameter 'cards'"));
  }

  const MappableHost* known(const std::string& node) const {
    const auto host = std::find_if(hosts_.begin(), hosts_.end(), [&](const auto& each) { return each->node() == node; });
    return host == hosts_.end() ? nullptr : host->get();
  }

  void add_by_hand(const EntryByHand& given) {
    const auto wrong = [&](const std::string& why) { return ModuleError(fmt::format("parameter 'entries': {}", why)); };
    if (!text::is_node_name(given.node)) throw wrong(fmt::format("'{}' is no name of a node", given.node));
    add_node(given.node);
    PciMapEntry entry;
    entry.node = given.node;
    for (const std::string& member : text::split(given.path, ';')) entry.members.push_back(address(member, "entries"));
    std::vector<std::string> paths;
    for (const PciAddress& member : entry.members) paths.push_back(member.str());
    entry.path = fmt::format("{}", fmt::join(paths, ";"));
    check_list(entry);
    const MappableHost* host = known(given.node);
    if (given.id) {
      for (const auto& [name, value] : {std::pair("id", given.id), std::pair("subsystem_id", given.subsystem_id)})
        if (value && !text::is_pci_id(text::lower(*value))) throw wrong(fmt::format("{} '{}' is not like 10de:2235", name, *value));
      entry.id = text::lower(*given.id);
      entry.subsystem_id = text::lower(given.subsystem_id.value_or(""));
      if (given.iommu_group.value_or(-1) >= 0) entry.iommu_group = given.iommu_group;
    } else if (wanted_.fingerprints) {
      if (!host)
        throw wrong(
            fmt::format("nothing is known of the node {}: give the id of {} (and subsystem_id, iommu_group), or its document in "
                        "'hosts'",
                        given.node, entry.path));
      const Mappable function = host->function(entry.members[0].first_function()).or_fail("parameter 'entries'");
      refuse_slot(*host, entry.members[0], function, "entries");
      note_hardware(*host, function);
      entry.id = function.id;
      entry.subsystem_id = function.subsystem_id;
      entry.iommu_group = function.iommu_group;
      for (const PciAddress& member : entry.members) {
        const Mappable other = host->function(member.first_function()).or_fail("parameter 'entries'");
        if (other.id != function.id || other.subsystem_id != function.subsystem_id)
          throw wrong(fmt::format("'{}': {} is a {}, {} a {}, and Proxmox VE compares all of them with one id; make an entry for each",
                                  entry.path, function.address, function.id, other.address, other.id));
      }
    }
    if (host && wanted_.fingerprints)
      if (const auto function = host->function(entry.members[0].first_function()); function && !function->mdev)
        judge_loss(*host, entry.members);
    entry.text = text::print_map_entry(entry);
    out_.entries.push_back(std::move(entry));
  }

  static void check_list(const PciMapEntry& entry) {
    for (std::size_t i = 1; i < entry.members.size(); ++i)
      if (entry.members[i].device == entry.members[0].device)
        throw ModuleError(
            fmt::format("parameter 'entries': '{}' lists functions of one card, and Proxmox VE compares each of them with the one "
                        "id of the entry, so that no guest would start; write the whole card: '{}'",
                        entry.path, entry.members[0].device));
  }

  const MappingSelectors& wanted_;
  const MappableHosts& hosts_;
  MappingSelection out_;
};

}  // namespace

Result<std::optional<bool>> mdev_flag(const MappingSelection& selection, std::optional<bool> wished, const text::PciMapping* now,
                                      bool compared) {
  const auto &with = selection.with_mdev, &without = selection.without_mdev;
  if (with.empty() && without.empty()) return wished;
  if (!with.empty() && !without.empty())
    return Error{
        fmt::format("one mapping can't hold both: {} offers mediated devices and {} does not; make two mappings", with[0], without[0])};
  const bool hardware = !with.empty();
  if (wished && compared && *wished != hardware)
    return Error{
        hardware ? fmt::format("parameter 'mdev': {} offers mediated devices now, so Proxmox VE wants the mapping to say so; set it, or "
                               "take the card from the driver that offers them",
                               with[0])
                 : fmt::format("parameter 'mdev': {} offers no mediated devices now: of a card with SR-IOV map its virtual functions "
                               "(vfs_of), else look whether the vGPU driver runs",
                               without[0])};
  if (wished) return wished;
  if (now && compared && now->mdev != hardware)
    for (const PciMapEntry& entry : now->entries)
      if (std::find(selection.nodes.begin(), selection.nodes.end(), entry.node) == selection.nodes.end())
        return Error{
            fmt::format("mapping {} has mdev {:d} with entries of {}, but {} {} mediated devices; put unlike cards in mappings of their "
                        "own, or set 'mdev'",
                        now->id, now->mdev, entry.node, hardware ? with[0] : without[0], hardware ? "offers" : "offers no")};
  return std::optional(hardware);
}

MappingSelection select_entries(const MappingSelectors& selectors, const MappableHosts& hosts) { return Selector(selectors, hosts).run(); }

}  // namespace pvegpu::gpu
