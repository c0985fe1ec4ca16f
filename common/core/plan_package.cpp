// SPDX-License-Identifier: MIT
// The words for Debian packages.
#include "common/apt/packages.hpp"
#include "common/base/strings.hpp"
#include "common/core/journal.hpp"
#include "common/core/plan.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

constexpr std::chrono::seconds patience{3600};  // a mirror, DKMS, an initramfs for each kernel

Result<std::optional<std::string>> package_now(const HostView& host, const std::string& name) {
  const auto package = PVEGPU_TRY(apt::find_package(host, name));
  return package && package->is_there() ? std::optional(package->described()) : std::nullopt;
}

/// What is remembered of a package that a module installed.
struct PackageNote {
  std::vector<std::string> along;  ///< came with it
  bool had_configuration = false;  ///< of the package when it was there before

  static PackageNote from(const json& note) {
    PackageNote out;
    try {
      out.along = note.at("along").get<std::vector<std::string>>();
      out.had_configuration = note.at("had_configuration").get<bool>();
    } catch (const nlohmann::detail::exception&) {
    }  // damaged: then the package alone goes
    return out;
  }
  json to_json() const { return {{"along", along}, {"had_configuration", had_configuration}}; }
};

NoteName note_name(const std::string& module, const std::string& package) { return {module, "package-" + package}; }

std::vector<std::string> names_of(const std::vector<apt::Change>& changes) {
  std::vector<std::string> out;
  for (const apt::Change& change : changes) out.push_back(change.name);
  return out;
}

Programs by_apt(std::vector<std::string> command) {
  return {{std::move(command)}, patience, [](const HostView&, const std::string& said) { return apt::explain_failure(said); }};
}

}  // namespace

std::optional<std::string> Plan::ensure_package(const std::string& name, PackageOptions options) {
  const auto now = apt::find_package(host_, name).or_fail("look at package " + name);
  const auto known = note(note_name(module_, name));
  if (now && now->is_installed()) return now->version;
  const auto refused = [&](std::string why) {
    refuse(std::move(why));
    return std::nullopt;
  };
  if (const std::string why = apt::dpkg_obstacle(host_); !why.empty()) return refused(why);
  if (now && now->held)
    return refused(fmt::format("the package {0} is not installed and on hold: take that back with apt-mark unhold {0}", name));
  if (now && now->is_there() && !known)
    return refused(
        fmt::format("the package {0} is {1}, as others left it: run dpkg --configure -a, or where that does not help apt-get "
                    "install --reinstall {0}, then this task again",
                    name, now->state));
  const apt::Simulation would = apt::simulate_install(host_, name);
  const apt::Change* change = would.find(name);
  if (!would.goes.empty())
    return refused(fmt::format("installing the package {} would remove {}: decide by hand which of them is to stay", name,
                               fmt::join(names_of(would.goes), ", ")));
  const bool unknown =
      text::contains(would.refusal, "Unable to locate package " + name) || text::contains(would.refusal, "no installation candidate");
  // A name that only another package provides is taken for that one.
  if (unknown || (would.refusal.empty() && !change)) return refused(apt::not_offered(host_, name, options.cure));
  if (!would.refusal.empty()) return refused(fmt::format("the package {} can't be installed: {}", name, would.refusal));
  PackageNote ours = known ? PackageNote::from(*known) : PackageNote{{}, now && now->state == "config-files"};
  for (const std::string& other : names_of(would.comes))
    if (other != name && std::find(ours.along.begin(), ours.along.end(), other) == ours.along.end()) ours.along.push_back(other);
  Step step;
  step.target = "package " + name;
  step.desired = change->version;
  step.observe = [name](const HostView& host) { return package_now(host, name); };
  step.note_before = NoteChange{note_name(module_, name), ours.to_json()};
  step.then = std::move(options.then);
  ensure_program(std::move(step), by_apt(apt::install_command(name)));
  return change->version;
}

Plan& Plan::ensure_no_package(const std::string& name, std::vector<FollowUp> then) {
  const auto now = apt::find_package(host_, name).or_fail("look at package " + name);
  const NoteName noted = note_name(module_, name);
  const auto known = note(noted);
  if (!now || !now->is_there()) return ensure_note(noted, std::nullopt, "note of package " + name);
  if (!known) return warn(fmt::format("the package {0} stays: it was not installed by this module; apt-get purge {0} removes it", name));
  if (const std::string why = apt::dpkg_obstacle(host_); !why.empty()) return refuse(why);
  if (now->held) return refuse(fmt::format("the package {0} is on hold and stays: take that back with apt-mark unhold {0}", name));
  const PackageNote ours = PackageNote::from(*known);
  std::vector<std::string> names = {name};
  for (const std::string& other : ours.along) {
    const auto package = apt::find_package(host_, other).or_fail("look at package " + other);
    if (package && package->is_there() && package->automatic && !package->held) names.push_back(other);
  }
  const auto others_that_go = [&](const apt::Simulation& would) {
    std::vector<std::string> out = names_of(would.goes);
    std::erase_if(out, [&](const std::string& other) { return std::find(names.begin(), names.end(), other) != names.end(); });
    return out;
  };
  apt::Simulation would = apt::simulate_purge(host_, names);
  if (names.size() > 1 && !others_that_go(would).empty()) {  // somebody needs what came along
    names = {name};
    would = apt::simulate_purge(host_, names);
  }
  if (!would.refusal.empty()) return refuse(fmt::format("the package {} can't be removed: {}", name, would.refusal));
  if (const auto others = others_that_go(would); !others.empty())
    return refuse(fmt::format("the package {} is needed by {}, which would go with it: remove them first, or leave it", name,
                              fmt::join(others, ", ")));
  Step step;
  step.target = "package " + name;
  step.observe = [name](const HostView& host) { return package_now(host, name); };
  step.note_after = NoteChange{noted, std::nullopt};
  step.then = std::move(then);
  return ensure_program(std::move(step), by_apt(apt::remove_command(names, ours.had_configuration)));
}

}  // namespace pvegpu
