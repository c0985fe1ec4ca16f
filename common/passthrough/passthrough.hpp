// SPDX-License-Identifier: MIT
// Whole cards for guests: which functions belong to them, what must not be given away, and who has them now.
#pragma once

#include "common/readiness/judge.hpp"
#include "common/text/vfio_script.hpp"

namespace pvegpu::gpu {

/// A PCI function as sysfs shows it now.
struct Function {
  std::string address;
  text::VfioIds ids;
  std::uint16_t pci_class = 0;
  std::optional<std::string> driver, driver_override;
  std::optional<std::int64_t> iommu_group;
  std::vector<std::string> group_members;  ///< the others, bridges left out
  std::vector<std::string> reset_methods;  ///< "flr", "bus" …; empty when the kernel knows none, or does not say (before 5.15)
  bool has_rom = false;
};

/// What is given to guests as one: all functions of a GPU's card, or a device that was listed because it is in a card's IOMMU group.
struct Card {
  std::string address;  ///< of its first function
  std::string name;
  const Gpu* gpu = nullptr;  ///< of Machine::gpus; none for other devices
  std::vector<Function> functions;
};

/// Whether an address means the GPU's card: the slot, or one of the card's functions.
bool is_of_card(const Gpu& gpu, const text::PciAddress& listed);

/// Whether one of these addresses names this function or its card. Of a card that is gone its slot is known.
bool is_listed(const Machine& facts, const std::vector<text::PciAddress>& listed, const std::string& address);

Function read_function(Reader& reader, const PciDevice& device);

struct CardWish {
  std::vector<text::PciAddress> devices;
  std::string model;  ///< name of a board or GPU, in any case; empty: none
  bool all = false;
  bool allow_boot_display = false;
};

struct LeftAlone {
  std::string address, reason;
};

struct CardChoice {
  std::vector<Card> cards;  ///< by address
  std::vector<LeftAlone>
      left_alone;  ///< GPUs that `model` or `all` meant and that are not taken, or that were not meant; what shares a GPU's slot
  std::optional<std::string> refusal;
};

/// `recorded`: what is at an address now must be what was there when it was chosen earlier.
CardChoice choose_cards(Reader& reader, const Machine& facts, const CardWish& wish, const std::vector<text::VfioClaim>& recorded);

/// What is asked about a card that goes to a guest whole.
readiness::Question whole(const HostView& host, const Machine& facts, const Gpu& gpu);

/// What keeps the host's drivers away from these cards. At a guest's start Proxmox VE takes any function from its driver; that harms only
/// with display drivers and their sound, so that only these are claimed unless `all`. What was recorded stays as it is.
std::vector<text::VfioClaim> claims_of(const std::vector<Card>& cards, const std::vector<text::VfioClaim>& recorded, bool all);

/// Why no guest can have the card while the IOMMU is off.
std::string without_iommu(const HostView& host, const Machine& facts, const Card& card);

/// Sentences about "ids=" of others for vfio-pci, in modprobe's files or on the kernel command line, that take functions which are not
/// `claimed`: ids can't tell twins apart.
std::vector<std::string> taken_by_ids(Reader& reader, const Machine& facts, const std::vector<text::VfioClaim>& claimed);

/// The guest that runs with one of the functions at these addresses.
std::optional<std::int64_t> running_guest(const Machine& facts, const std::vector<Function>& functions);

}  // namespace pvegpu::gpu
