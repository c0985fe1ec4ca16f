// SPDX-License-Identifier: MIT
// Reads files of Proxmox VE's SectionConfig kind whose headers are "TYPE: ID": storage.cfg, replication.cfg, ha/resources.cfg.
#pragma once

#include "common/text/section_config.hpp"

namespace pvegpu::text {

struct TypedSection {
  std::string type, id;
  std::vector<std::pair<std::string, std::string>> lines;  ///< key and value (empty for a bare key), in order

  /// nullptr when there is none.
  const std::string* find(std::string_view key) const;
  /// As Proxmox VE reads a boolean: a bare key is true.
  bool flag(std::string_view key) const;
};

/// Sections whose header is something else are left out.
std::vector<TypedSection> parse_typed_config(std::string_view text);

}  // namespace pvegpu::text
