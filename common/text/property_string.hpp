// SPDX-License-Identifier: MIT
// Proxmox VE's property strings: "mapping=a40,mdev=nvidia-562,pcie=1".
#pragma once

#include "common/base/result.hpp"

#include <optional>
#include <vector>

namespace pvegpu::text {

class Properties {
 public:
  void add(std::string key, std::string value) { pairs_.emplace_back(std::move(key), std::move(value)); }
  /// nullptr when there is none.
  const std::string* find(std::string_view key) const;
  const std::vector<std::pair<std::string, std::string>>& pairs() const { return pairs_; }

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

/// A part without "=" is the value of `default_key`; empty parts are skipped; a key twice is an error, as in Proxmox VE's
/// own parser (PVE::JSONSchema::parse_property_string).
Result<Properties> parse_property_string(std::string_view text, std::string_view default_key = {});

}  // namespace pvegpu::text
