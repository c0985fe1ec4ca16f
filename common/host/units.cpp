// SPDX-License-Identifier: MIT
#include "common/host/units.hpp"

#include "common/base/strings.hpp"

namespace pvegpu {

std::string unit_property(std::string_view shown, std::string_view name) {
  for (const std::string& line : text::lines(shown))
    if (line.size() > name.size() && line.starts_with(name) && line[name.size()] == '=') return line.substr(name.size() + 1);
  return {};
}

std::string unit_state(const HostView& host, const std::string& unit) {
  const auto shown = host.query(Query::unit_state(unit));
  // systemd calls a unit that it does not know inactive
  if (!shown || unit_property(shown->out, "LoadState") == "not-found") return {};
  return unit_property(shown->out, "ActiveState");
}

std::optional<bool> unit_runs(const HostView& host, const std::string& unit) {
  for (const char* slice : {"/sys/fs/cgroup/system.slice/", "/sys/fs/cgroup/systemd/system.slice/"})  // v2, and v1 beside it
    if (host.exists(slice + unit)) return true;
  const std::string state = unit_state(host, unit);
  return state.empty() ? std::nullopt : std::optional(state == "active");
}

}  // namespace pvegpu
