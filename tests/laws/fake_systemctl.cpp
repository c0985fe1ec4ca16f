// SPDX-License-Identifier: MIT
// systemctl on the host in memory.
#include "tests/laws/fake_systemctl.hpp"

#include "common/text/unit_file.hpp"

namespace pvegpu {
namespace {

const std::string own = "/etc/systemd/system/";
const std::string active = "/run/fake-units/";  ///< a file for each that was started

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
  const bool there = file_of(host, unit).has_value(), runs = host.exists(active + unit);
  const char* file_state = !there ? "" : is_enabled(host, unit) ? "enabled" : links_of(host, unit).empty() ? "static" : "disabled";
  return {0, false,
          fmt::format("LoadState={}\nActiveState={}\nSubState={}\nUnitFileState={}\n", there ? "loaded" : "not-found",
                      runs ? "active" : "inactive", runs ? "exited" : "dead", file_state),
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
    now.file(active + argv.back(), "");
    return {};
  });
  host.program("systemctl stop", [](FakeHost& now, const std::vector<std::string>& argv) -> CommandResult {
    if (now.exists(active + argv.back())) now.gone(active + argv.back());
    return {};
  });
}

}  // namespace pvegpu
