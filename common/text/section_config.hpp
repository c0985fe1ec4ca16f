// SPDX-License-Identifier: MIT
// Reads files of Proxmox VE's SectionConfig kind whose headers are just an id, as /etc/pve/mapping/pci.cfg.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pvegpu::text {

struct ConfigSection {
  std::string id;
  std::vector<std::pair<std::string, std::string>> lines;  ///< key and value (empty for a bare key), in order
  std::size_t begin = 0, end = 0;                          ///< its bytes in the text, the empty line that ends it included
};

struct SectionConfig {
  std::vector<ConfigSection> sections;  ///< of sections with the same id the last one, as Proxmox VE takes it
  std::vector<std::string> warnings;    ///< what Proxmox VE would warn about and lose at its next write
  std::vector<int> comments;            ///< lines: skipped, and lost at its next write too
};

/// As PVE::SectionConfig::parse_config reads it: a section ends at an empty line only (one with blanks in it does not count; a lone
/// "0" does, it is false in Perl), a header inside a section is ignored and what follows belongs to the section before; comments
/// are skipped.
SectionConfig parse_section_config(std::string_view text);

}  // namespace pvegpu::text
