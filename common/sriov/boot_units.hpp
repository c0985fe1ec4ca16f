// SPDX-License-Identifier: MIT
// The units that make VFs at boot by our doing: our own, those of others that we enabled, those that we keep from starting.
#pragma once

#include "common/core/plan.hpp"
#include "common/sriov/unit.hpp"

#include <set>

namespace pvegpu::gpu {

inline constexpr const char* unit_directory = "/etc/systemd/system/";

/// Our drop-in in the directory of somebody else's unit.
std::string dropin_of(const std::string& unit);
/// "NAME@ADDRESS.service"
std::string instance_of(const char* name, const std::string& address);

/// What a module did with units, by the files of which it holds an undo record.
class BootUnits {
 public:
  BootUnits(const HostView& host, std::vector<std::string> files) : host_(host), files_(std::move(files)) {}

  const std::vector<std::string>& files() const { return files_; }
  /// Cards with a unit of ours. One whose record is lost counts by its name.
  std::set<std::string> own_cards() const;
  /// Units of others that we enabled, with their cards.
  std::vector<std::pair<std::string, std::string>> enabled() const;
  /// Whether a file keeps a unit of others from starting; whether any does.
  bool is_switch_off(const std::string& file) const;
  bool has_switch_off() const;

 private:
  const HostView& host_;
  std::vector<std::string> files_;
};

/// By what is in systemd's directories: what systemd itself says of the unit changes when the step before writes its file.
void want_at_boot(Plan& out, const std::string& unit, bool wanted);

}  // namespace pvegpu::gpu
