// SPDX-License-Identifier: MIT
// The version of Proxmox VE.
#include "common/text/pve_version.hpp"

#include <charconv>

namespace pvegpu::text {

std::optional<PveVersion> parse_pvecfg(std::string_view text) {
  // `version` as a word: the same file has version_text and version_info.
  const auto sub = text.find("sub version {");
  if (sub == text.npos) return std::nullopt;
  const auto open = text.find('\'', sub);
  if (open == text.npos || open > text.find('}', sub)) return std::nullopt;
  const auto close = text.find('\'', open + 1);
  if (close == text.npos) return std::nullopt;
  PveVersion out{std::string(text.substr(open + 1, close - open - 1)), 0};
  if (std::from_chars(out.version.data(), out.version.data() + out.version.size(), out.major).ec != std::errc()) return std::nullopt;
  return out;
}

}  // namespace pvegpu::text
