// SPDX-License-Identifier: MIT
// Storages. Rules: pve-storage's Plugin.pm (parse_config, @SHARED_STORAGE); what can be copied: qemu-server's QemuMigrate.pm.
#include "common/cluster/storage.hpp"

#include "common/base/strings.hpp"
#include "common/text/typed_config.hpp"

#include <algorithm>

namespace pvegpu::cluster {
namespace {

bool is_one_of(std::string_view value, std::initializer_list<std::string_view> all) {
  return std::find(all.begin(), all.end(), value) != all.end();
}

}  // namespace

bool Storage::is_on(const std::string& node) const {
  return !disabled && (nodes.empty() || std::find(nodes.begin(), nodes.end(), node) != nodes.end());
}

bool Storage::can_be_copied() const { return is_one_of(type, {"dir", "btrfs", "zfspool", "lvmthin", "lvm"}); }

const Storage* Storages::find(std::string_view id) const {
  const auto it = std::find_if(all_.begin(), all_.end(), [&](const Storage& storage) { return storage.id == id; });
  return it == all_.end() ? nullptr : &*it;
}

Storages read_storages(Reader& reader) {
  std::vector<Storage> out;
  for (const text::TypedSection& section : text::parse_typed_config(reader.file("/etc/pve/storage.cfg", "storages").value_or(""))) {
    Storage storage;
    storage.id = section.id;
    storage.type = section.type;
    storage.disabled = section.flag("disable");
    // glusterfs: until Proxmox VE 8
    storage.shared = section.flag("shared") ||
                     is_one_of(section.type, {"iscsi", "nfs", "cifs", "rbd", "cephfs", "iscsidirect", "zfs", "drbd", "pbs", "glusterfs"});
    if (const std::string* nodes = section.find("nodes"))
      for (const std::string& part : text::split(*nodes, ','))
        if (const std::string node = text::trim(part); !node.empty()) storage.nodes.push_back(node);
    if (storage.id == "local") storage.nodes.clear();  // it is on all nodes whatever the file says
    out.push_back(std::move(storage));
  }
  if (std::none_of(out.begin(), out.end(), [](const Storage& storage) { return storage.id == "local"; })) {
    Storage local;
    local.id = "local";
    local.type = "dir";
    out.push_back(std::move(local));
  }
  return Storages(std::move(out));
}

}  // namespace pvegpu::cluster
