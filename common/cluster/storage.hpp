// SPDX-License-Identifier: MIT
// The cluster's storages: /etc/pve/storage.cfg.
#pragma once

#include "common/host/reader.hpp"

namespace pvegpu::cluster {

struct Storage {
  std::string id, type;
  bool shared = false;  ///< what is on it is the same on all its nodes
  bool disabled = false;
  std::vector<std::string> nodes;  ///< empty: all

  bool is_on(const std::string& node) const;
  /// Proxmox VE can copy a guest's disks of such a storage to another node.
  bool can_be_copied() const;
};

class Storages {
 public:
  explicit Storages(std::vector<Storage> all) : all_(std::move(all)) {}
  /// nullptr when there is none.
  const Storage* find(std::string_view id) const;

 private:
  std::vector<Storage> all_;
};

Storages read_storages(Reader& reader);

}  // namespace pvegpu::cluster
