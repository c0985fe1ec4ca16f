// SPDX-License-Identifier: MIT
// systemctl on the host in memory.
#include "tests/laws/fake_systemctl.hpp"

#include "common/base/strings.hpp"
#include "common/text/unit_file.hpp"

namespace pvegpu {
namespace {

const std::string own = "/etc/systemd/system/";
const std::string states = "/run/rack-units/";  ///< a file for each with its active state and sub-state (tests/rack/cardstate.py)

/// The file of a unit or of its template.
std::optional<std::string> file_of(const FakeHost& host, const std::string& unit) {
  std::vector<std::string> names = {unit};
  if (const auto at = unit.find('@'); at != unit.npos) names.push_back(unit.substr(0, at + 1) + unit.substr(unit.rfind('.')));
  for (const std::string& name : names)
    for (const std::string& place : {own, std::string("/usr/lib/systemd/system/"), std::string("/lib/systemd/system/")})
      if (host.exists(place + name)) return place + name;
  return std::nullopt;
}

std::vector<std::string> links_of(const FakeHost& host, const std::string& unit) {
  std::vector<std::string> out;
  if (const auto file = file_of(host, unit))
    for (const std::string& target : text::unit_values(text::parse_unit_file(host.bytes(*file)), "Install", "WantedBy"))
      out.push_back(own + target + ".wants/" + unit);
  return out;
}

bool is_enabled(const FakeHost& host, const std::string& unit) {
  for (const std::string& link : links_of(host, unit))
    if (host.stat(link, Links::keep)) return true;
  return false;
}

CommandResult show(const FakeHost& host, const std::string& unit) {
  if (host.read_link(own + unit).value_or("") == "/dev/null")
    return {0, false, "LoadState=masked\nActiveState=inactive\nSubState=dead\nUnitFileState=masked\n", ""};
  const bool there = file_of(host, unit).has_value();
  auto state = text::words(host.read_file(states + unit).value_or(""));
  if (state.size() != 2) state = {"inactive", "dead"};
  const char* file_state = !there ? "" : is_enabled(host, unit) ? "enabled" : links_of(host, unit).empty() ? "static" : "disabled";
  return {0, false,
          fmt::format("LoadState={}\nActiveState={}\nSubState={}\nUnitFileState={}\n", there ? "loaded" : "not-found", state[0], state[1],
                      file_state),
          ""};
}

CommandResult missing(const char* verb, const std::string& unit) {
  return {1, false, "", fmt::format("Failed to {} unit: Unit file {} does not exist.\n", verb, unit)};
}

}  // namespace

void model_systemctl(FakeHost& host) {
  host.dir(own + "multi-user.target.wants");
  host.answer("systemctl show", [](const FakeHost& now, const std::vector<std::string>& argv) { return show(now, argv.back()); });
  host.program("systemctl enable", [](FakeHost& now, const std::vector<std::string>& argv) -> CommandResult {
    const std::string& unit = argv.back();
    const auto file = file_of(now, unit);
    if (!file) return missing("enable", unit);
    for (const std::string& link : links_of(now, unit)) now.link(link, *file);
    now.make_products("systemctl daemon-reload");  // it reloads by itself
    return {};
  });
  host.program("systemctl disable", [](FakeHost& now, const std::vector<std::string>& argv) -> CommandResult {
    const std::string& unit = argv.back();
    if (!file_of(now, unit)) return missing("disable", unit);
    for (const std::string& link : links_of(now, unit))
      if (now.stat(link, Links::keep)) now.gone(link);
    now.make_products("systemctl daemon-reload");
    return {};
  });
  host.program("systemctl start", [](FakeHost& now, const std::vector<std::string>& argv) -> CommandResult {
    if (!file_of(now, argv.back())) return missing("start", argv.back());
    now.file(states + argv.back(), "active exited\n");
    return {};
  });
  host.program("systemctl stop", [](FakeHost& now, const std::vector<std::string>& argv) -> CommandResult {
    if (now.exists(states + argv.back())) now.gone(states + argv.back());
    return {};
  });
}

}  // namespace pvegpu
