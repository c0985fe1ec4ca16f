// SPDX-License-Identifier: MIT
// Whole cards for guests.
#include "common/passthrough/passthrough.hpp"

#include "common/facts/card_functions.hpp"
#include "common/facts/holders.hpp"
#include "common/facts/host_loss.hpp"
#include "common/facts/scan.hpp"
#include "common/facts/select.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::gpu {
namespace {

using readiness::Condition;
using readiness::Question;

constexpr const char* pci_root = "/sys/bus/pci/devices/";

class Chooser {
 public:
  Chooser(Reader& reader, const Machine& facts, const CardWish& wish, const std::vector<text::VfioClaim>& recorded)
      : reader_(reader), facts_(facts), wish_(wish), recorded_(recorded) {}

  CardChoice run() {
    for (const text::PciAddress& address : wish_.devices) choose_listed(address);
    for (const Gpu& gpu : facts_.gpus) choose_meant(gpu);
    if (!wish_.model.empty() && !model_seen_)
      refuse(fmt::format("this host has no GPU of the model '{}'; it has {}", wish_.model, known()));
    std::sort(out_.cards.begin(), out_.cards.end(), [](const Card& a, const Card& b) { return a.address < b.address; });
    for (const Card& card : out_.cards) check_host_needs(card);
    for (const Card& card : out_.cards) check_group(card);
    if (out_.cards.empty()) refuse(fmt::format("no card of this host is to be taken; it has {}", known()));
    return std::move(out_);
  }

 private:
  void refuse(std::string reason) {
    if (!out_.refusal) out_.refusal = std::move(reason);
  }

  std::string known() const {
    std::string text;
    for (const Gpu& gpu : facts_.gpus)
      text += fmt::format("{}{} ({}{})", text.empty() ? "" : ", ", gpu.address, gpu.name, gpu.boot_vga ? ", the boot display" : "");
    return text.empty() ? "no GPU" : text;
  }

  bool chosen(const std::string& address) const {
    return std::any_of(out_.cards.begin(), out_.cards.end(), [&](const Card& card) {
      return std::any_of(card.functions.begin(), card.functions.end(), [&](const Function& f) { return f.address == address; });
    });
  }

  // --- which ----------------------------------------------------------------------------------------------------------------
  void choose_listed(const text::PciAddress& listed) {
    if (const std::string moved = moved_from(listed); !moved.empty()) return refuse(moved);
    for (const Gpu& gpu : facts_.gpus)
      if (is_of_card(gpu, listed)) {
        if (!chosen(gpu.address)) add_gpu(gpu, true);
        return;
      }
    Card card;
    for (const PciDevice& device : facts_.devices)
      if (listed.covers(device.address)) card.functions.push_back(read_function(reader_, device));
    if (card.functions.empty())
      return refuse(fmt::format("there is no PCI device at {}; the GPUs of this host are {}", listed.str(), known()));
    const Function& first = card.functions.front();
    if (is_vf(listed))
      return refuse(fmt::format("{} is a virtual function, which Proxmox VE binds by itself; list whole cards", listed.str()));
    if (is_bridge_class(first.pci_class))
      return refuse(
          fmt::format("{} can't be given to a guest; list the card behind it", described(reader_.host(), *facts_.device(first.address))));
    card.address = first.address;
    card.name = class_words(first.pci_class);
    if (!chosen(card.address)) out_.cards.push_back(std::move(card));
  }

  bool is_listed(const std::string& address) const {
    return std::any_of(wish_.devices.begin(), wish_.devices.end(),
                       [&](const text::PciAddress& each) { return each.function && each.covers(address); });
  }

  bool is_vf(const text::PciAddress& listed) const { return listed.function && reader_.host().exists(pci_root + listed.str() + "/physfn"); }

  /// Another card, or none, is where the recorded one was.
  std::string moved_from(const text::PciAddress& listed) const {
    for (const text::VfioClaim& claim : recorded_) {
      if (!listed.covers(claim.address)) continue;
      const PciDevice* there = facts_.device(claim.address);
      const auto now = there ? std::optional(read_function(reader_, *there)) : std::nullopt;
      if (now && now->ids == claim.ids) continue;
      std::string places;
      for (const PciDevice& device : facts_.devices)
        if (device.vendor == claim.ids.vendor && device.device == claim.ids.device && device.address != claim.address &&
            read_function(reader_, device).ids == claim.ids)
          places += (places.empty() ? "" : ", ") + device.address;
      return fmt::format(
          "the card for guests at {} was {}, but {}; {}if another card shall be taken there, run state=absent for that address first",
          claim.address, claim.ids.str(), now ? fmt::format("now it is {}", now->ids.str()) : std::string("now nothing is there"),
          places.empty() ? std::string() : fmt::format("one like it is at {}: list that if it was moved; ", places));
    }
    return {};
  }

  void choose_meant(const Gpu& gpu) {
    if (chosen(gpu.address)) {
      model_seen_ = model_seen_ || is_model(gpu, wish_.model);
      return;
    }
    if (is_model(gpu, wish_.model)) {
      model_seen_ = true;
      add_gpu(gpu, false);
    } else if (wish_.all && gpu.kind != Kind::virtual_display) {
      add_gpu(gpu, false);
    } else {
      out_.left_alone.push_back({gpu.address, "not chosen"});
    }
  }

  void add_gpu(const Gpu& gpu, bool by_address) {
    for (const Neighbour& other : gpu.beside)
      if (!other.is_bridge() && !is_listed(other.address))
        out_.left_alone.push_back({other.address, fmt::format("shares the slot of {}, but is no part of the card ({}); it is only taken by "
                                                              "its own address",
                                                              gpu.address, class_words(other.pci_class))});
    if (const std::string reason = objection(gpu, by_address); !reason.empty()) {
      if (by_address) return refuse(fmt::format("{} ({}): {}", gpu.address, gpu.name, reason));
      out_.left_alone.push_back({gpu.address, reason});
      return;
    }
    Card card{gpu.address, gpu.name, &gpu, {}};
    std::vector<std::string> addresses = {gpu.address};
    for (const Neighbour& other : gpu.functions)
      if (!other.is_bridge()) addresses.push_back(other.address);
    std::sort(addresses.begin(), addresses.end());
    for (const std::string& address : addresses)
      if (const PciDevice* device = facts_.device(address)) card.functions.push_back(read_function(reader_, *device));
    out_.cards.push_back(std::move(card));
  }

  /// What the card lacks, as it is judged. What the next boot brings, and what vfio itself does, is no objection.
  std::string objection(const Gpu& gpu, bool by_address) const {
    const Question question = whole(reader_.host(), facts_, gpu);
    for (const Condition& each : readiness::judge(question)) {
      if (each.rung >= readiness::Rung::mapping) break;
      if (each.state != readiness::State::unmet || each.next_boot) continue;
      const bool of_host = each.rung <= readiness::Rung::iommu || each.name == "vfio_allowed";
      const bool own = each.cure.module == "vfio" || each.name == "no_firmware_framebuffer";
      if (of_host || own || (each.by_choice && each.name != "boot_display")) continue;
      Question exact = question;
      exact.asks_programs = true;
      const Condition told = readiness::judge(exact, each.name);
      std::string why = each.never ? each.cause : fmt::format("{}: {}", told.cause, told.cure.text);
      if (each.name != "boot_display") return why;
      if (!by_address) return each.cause + "; it is only taken by its address, with boot_display=allow";
      if (!wish_.allow_boot_display) return why + ", or set boot_display=allow and reach the host by network or serial line";
    }
    return {};
  }

  // --- what must stay -------------------------------------------------------------------------------------------------------
  void check_host_needs(const Card& card) {
    if (card.gpu) return;  // judged
    for (const Function& function : card.functions)
      if (const PciDevice* device = facts_.device(function.address))
        if (std::string need = why_needed(reader_.host(), *device); !need.empty()) refuse(std::move(need));
  }

  /// Proxmox VE takes all members of a group from the host but bridges when a guest starts (PVE::QemuServer::PCI).
  void check_group(const Card& card) {
    if (card.gpu) return judge_group(*card.gpu);
    for (const Function& function : card.functions) {
      if (facts_.facts.iommu.active.value_or(false) && !function.iommu_group)
        refuse(
            fmt::format("{} is in no IOMMU group, so no guest can have it", described(reader_.host(), *facts_.device(function.address))));
      for (const std::string& member : function.group_members) {
        if (chosen(member)) continue;
        const PciDevice* device = facts_.device(member);
        if (!device) continue;
        const std::string need = why_needed(reader_.host(), *device);
        refuse(
            fmt::format("the IOMMU group {} of {} also holds {}, which a guest would take from the host along with it: put the card in "
                        "another slot{}",
                        *function.iommu_group, function.address, described(reader_.host(), *device),
                        need.empty() ? fmt::format(", or list {} too if the host can do without it", member) : "; " + need));
      }
    }
  }

  void judge_group(const Gpu& gpu) {
    readiness::Question question = whole(reader_.host(), facts_, gpu);
    for (const Card& card : out_.cards)
      for (const Function& function : card.functions) question.along.push_back(function.address);
    for (const char* name : {"iommu_group", "group_alone"})
      if (const Condition each = readiness::judge(question, name); each.state == readiness::State::unmet)
        refuse(readiness::told(each, fmt::format("{} ({})", gpu.address, gpu.name)) +
               (each.by_choice ? ": list it in devices too, if the host can do without it" : ""));
  }

  Reader& reader_;
  const Machine& facts_;
  const CardWish& wish_;
  const std::vector<text::VfioClaim>& recorded_;
  CardChoice out_;
  bool model_seen_ = false;
};

}  // namespace

bool is_of_card(const Gpu& gpu, const text::PciAddress& listed) {
  if (listed.covers(gpu.address)) return true;
  return std::any_of(gpu.functions.begin(), gpu.functions.end(), [&](const Neighbour& own) { return listed.covers(own.address); });
}

bool is_listed(const Machine& facts, const std::vector<text::PciAddress>& listed, const std::string& address) {
  const auto own = text::parse_pci_address(address).or_fail("recorded address");
  const auto gpu = std::find_if(facts.gpus.begin(), facts.gpus.end(), [&](const Gpu& each) { return is_of_card(each, own); });
  return std::any_of(listed.begin(), listed.end(), [&](const text::PciAddress& each) {
    if (each.covers(address)) return true;
    return gpu != facts.gpus.end() ? is_of_card(*gpu, each) : each.device == own.device && !facts.device(address);
  });
}

Function read_function(Reader& reader, const PciDevice& device) {
  const std::string dir = pci_root + device.address;
  const auto id = [&](const char* name) {
    return static_cast<std::uint16_t>(std::strtoul(reader.attr(dir + "/" + name, "ids of a device").value_or("0").c_str(), nullptr, 16));
  };
  Function out;
  out.address = device.address;
  out.ids = {device.vendor, device.device, id("subsystem_vendor"), id("subsystem_device")};
  out.pci_class = device.device_class;
  out.driver = reader.link_name(dir + "/driver", "driver");
  out.driver_override = reader.attr(dir + "/driver_override", "driver override");
  if (out.driver_override == "(null)" || out.driver_override == "") out.driver_override.reset();  // the kernel's words for none
  if (const auto group = reader.link_name(dir + "/iommu_group", "IOMMU group")) {
    std::int64_t number = 0;
    std::from_chars(group->data(), group->data() + group->size(), number);
    out.iommu_group = number;
    for (const std::string& member :
         reader.list(dir + "/iommu_group/devices", "members of an IOMMU group").value_or(std::vector<std::string>())) {
      const std::string member_class = reader.attr(pci_root + member + "/class", "class of a device").value_or("");
      if (member != device.address && !member_class.starts_with("0x06")) out.group_members.push_back(member);
    }
  }
  out.reset_methods = text::words(reader.attr(dir + "/reset_method", "reset methods").value_or(""));
  out.has_rom = reader.host().exists(dir + "/rom");
  return out;
}

CardChoice choose_cards(Reader& reader, const Machine& facts, const CardWish& wish, const std::vector<text::VfioClaim>& recorded) {
  return Chooser(reader, facts, wish, recorded).run();
}

readiness::Question whole(const HostView& host, const Machine& facts, const Gpu& gpu) {
  return {.host = host, .machine = facts, .gpu = &gpu, .way = readiness::Way::passthrough};
}

std::vector<text::VfioClaim> claims_of(const std::vector<Card>& cards, const std::vector<text::VfioClaim>& recorded, bool all) {
  std::vector<text::VfioClaim> out;
  for (const Card& card : cards)
    for (const Function& function : card.functions) {
      if (!all && !(card.gpu && (is_gpu_class(function.pci_class) || function.pci_class == 0x0403))) continue;
      const auto known = std::find_if(recorded.begin(), recorded.end(), [&](const text::VfioClaim& old) {
        return old.address == function.address && old.ids == function.ids;
      });
      out.push_back(known != recorded.end() ? *known
                                            : text::VfioClaim{function.address, function.ids, function.driver.value_or(""),
                                                              function.driver_override == "vfio-pci"});
    }
  return out;
}

std::string without_iommu(const HostView& host, const Machine& facts, const Card& card) {
  if (card.gpu)
    for (const char* name : {"iommu_table", "command_line", "iommu_on"})
      if (const Condition each = readiness::judge(whole(host, facts, *card.gpu), name); each.state == readiness::State::unmet)
        return readiness::told(each, fmt::format("{} ({})", card.address, card.name));
  return fmt::format("the IOMMU is off, so no guest can have {} yet: {}", card.address,
                     facts.facts.iommu.cause.empty() ? std::string("see the module iommu") : facts.facts.iommu.cause);
}

std::vector<std::string> taken_by_ids(Reader& reader, const Machine& facts, const std::vector<text::VfioClaim>& claimed) {
  std::vector<std::string> out;
  for (const IdList& list : read_id_lists(reader)) {
    if (list.holder.driver != "vfio-pci" || list.holder.ours) continue;
    for (const PciDevice& device : facts.devices) {
      const bool ours = std::any_of(claimed.begin(), claimed.end(), [&](const text::VfioClaim& c) { return c.address == device.address; });
      if (ours || !list.names({device.vendor, device.device})) continue;
      const auto ids = read_function(reader, device).ids;
      if (list.takes({ids.vendor, ids.device, ids.subsystem_vendor, ids.subsystem_device}))
        out.push_back(fmt::format("ids={} in {} takes {} for vfio-pci too, which was not chosen; take that line out, it is not needed",
                                  list.ids, list.holder.where(), device.address));
    }
  }
  return out;
}

std::optional<std::int64_t> running_guest(const Machine& facts, const std::vector<Function>& functions) {
  for (const Function& function : functions) {
    for (const Gpu& gpu : facts.gpus)
      for (const Use& use : gpu.used_by.value_or(std::vector<Use>()))
        if (use.running && gpu.address == function.address) return use.vmid;
    for (const text::PciReservation& held : facts.guests.reservations)
      if (const auto address = text::parse_pci_address(held.address); address && address->covers(function.address)) return held.vmid;
  }
  return std::nullopt;
}

}  // namespace pvegpu::gpu
