// SPDX-License-Identifier: MIT
// Packages. What APT and dpkg print was seen with APT 2.6 and dpkg 1.21 (apt-private/private-install.cc, apt-pkg/deb/debsystem.cc,
// apt-pkg/contrib/fileutl.cc, dpkg src/main/errors.c); that APT 2.2 and 3.0 have the same words is assumed. Words that are not known are
// told as they are.
#include "common/apt/packages.hpp"

#include "common/apt/policy.hpp"
#include "common/base/strings.hpp"
#include "common/text/deb822.hpp"

#include <algorithm>

namespace pvegpu::apt {
namespace {

constexpr const char* updates = "/var/lib/dpkg/updates";
constexpr const char* after_interruption = "dpkg was interrupted in the middle of its work: run dpkg --configure -a, then this task again";
constexpr int lock_patience = 300;  // seconds: apt-daily and unattended-upgrades end

/// What follows these words in each line of what a program said. (What was run stands before the first.)
std::vector<std::string> after(const std::string& said, std::string_view start) {
  std::vector<std::string> out;
  for (const std::string& line : text::lines(said))
    if (const auto at = line.find(start); at != line.npos) out.push_back(text::trim(line.substr(at + start.size())));
  return out;
}

/// "Inst NAME [OLD] (NEW …)", "Remv NAME [OLD]"
Change change_of(const std::vector<std::string>& words) {
  for (std::size_t i = words.size() - 1; i > 1; --i)
    if (words[i][0] == '(') return {words[1], words[i].substr(1)};
  return {words[1], words.size() > 2 ? text::trim(words[2].substr(1, words[2].size() - 2)) : std::string()};
}

Simulation simulate(const HostView& host, const Query& query) {
  Simulation out;
  const auto result = host.query(query);
  if (!result) {
    out.refusal = "APT can't be asked: " + result.error().message;
    return out;
  }
  bool listed = false;
  for (const std::string& line : text::lines(result->out)) {
    const auto words = text::words(line);
    // With --no-remove APT only lists what would go.
    listed = line == "The following packages will be REMOVED:" || (listed && line.starts_with(' '));
    if (listed && line.starts_with(' ') && result->exit_code != 0)
      for (const std::string& name : words) out.goes.push_back({name, ""});
    if (words.size() < 2) continue;
    const Change change = change_of(words);
    const bool again = words.size() > 2 && words[2][0] == '[';
    if (words[0] == "Inst") (again ? out.stays : out.comes).push_back(change);
    if (words[0] == "Remv" || words[0] == "Purg") out.goes.push_back(change);
    if (words[0] == "Conf" && !out.find(change.name)) out.stays.push_back(change);
  }
  const auto errors = after(result->err, "E: ");
  if (result->timed_out)
    out.refusal = "apt-get --simulate did not end in time";
  else if (result->exit_code != 0)
    out.refusal = errors.empty() ? fmt::format("apt-get --simulate ends with exit code {}", result->exit_code)
                                 : fmt::format("{}", fmt::join(errors, "; "));
  return out;
}

}  // namespace

bool Package::is_installed() const { return state == "installed" || state.starts_with("triggers-"); }
bool Package::is_there() const { return state != "not-installed" && state != "config-files"; }
std::string Package::described() const { return is_installed() ? version : fmt::format("{} ({})", version, state); }

Result<std::optional<Package>> find_package(const HostView& host, const std::string& name) {
  const auto books = host.read_file("/var/lib/dpkg/status");
  if (!books && !books.error().not_found()) return books.error();
  const auto stanza = text::stanza_of(books ? std::string_view(*books) : std::string_view(), name);
  const auto status = text::words(text::field_of(stanza, "Status"));  // "install ok installed"
  if (status.size() != 3) return std::optional<Package>();
  const auto states = host.read_file("/var/lib/apt/extended_states");
  const bool automatic = states && text::field_of(text::stanza_of(*states, name), "Auto-Installed") == "1";
  return std::optional(Package{text::field_of(stanza, "Version"), status[2], status[0] == "hold", automatic});
}

std::string dpkg_obstacle(const HostView& host) {
  // debSystem::CheckUpdates: files whose names are numbers.
  for (const std::string& name : host.list_dir(updates).value_or({}))
    if (name.find_first_not_of("0123456789") == name.npos) return after_interruption;
  return {};
}

const Change* Simulation::find(const std::string& name) const {
  for (const auto* list : {&comes, &stays})
    for (const Change& change : *list)
      if (change.name == name) return &change;
  return nullptr;
}

Simulation simulate_install(const HostView& host, const std::string& name) { return simulate(host, Query::apt_would_install(name)); }
Simulation simulate_purge(const HostView& host, const std::vector<std::string>& names) {
  return simulate(host, Query::apt_would_purge(names));
}

std::string not_offered(const HostView& host, const std::string& name, const std::string& cure) {
  const Policy policy(host);
  if (const std::string& why = policy.unknown() + policy.refusal(); !why.empty())
    return fmt::format("the package {} can't be installed: APT does not tell what its sources have: {}", name, why);
  std::vector<std::string> lists;
  for (const PackageFile& file : policy.files()) lists.push_back(text::trim(file.source + " " + file.component));
  std::sort(lists.begin(), lists.end());
  lists.erase(std::unique(lists.begin(), lists.end()), lists.end());
  if (lists.empty())
    return fmt::format(
        "no package source of this host has the package {}: APT has no package lists at all; run apt-get update, then this task again",
        name);
  return fmt::format("no package source of this host has the package {} (APT has lists of {}): {}", name, fmt::join(lists, ", "),
                     cure.empty() ? std::string("add one that has it to /etc/apt/sources.list.d, and run apt-get update") : cure);
}

std::vector<std::string> install_command(const std::string& name) {
  return {"apt-get", "--assume-yes",
          "--quiet", "--no-remove",
          "-o",      "APT::Cmd::Pattern-Only=true",
          "-o",      fmt::format("DPkg::Lock::Timeout={}", lock_patience),
          "-o",      "Dpkg::Options::=--force-confold",
          "install", name};
}

std::vector<std::string> remove_command(const std::vector<std::string>& names, bool keep_configuration) {
  std::vector<std::string> argv = {"apt-get",
                                   "--assume-yes",
                                   "--quiet",
                                   "-o",
                                   "APT::Cmd::Pattern-Only=true",
                                   "-o",
                                   fmt::format("DPkg::Lock::Timeout={}", lock_patience),
                                   keep_configuration ? "remove" : "purge"};
  argv.insert(argv.end(), names.begin(), names.end());
  return argv;
}

std::string explain_failure(const std::string& said) {
  if (text::contains(said, "dpkg was interrupted")) return after_interruption;
  if (text::contains(said, "Could not get lock") || text::contains(said, "dpkg frontend lock")) {
    const auto holder = said.find("held by process ");
    return fmt::format(
        "another program installs packages (/var/lib/dpkg/lock-frontend was taken for {} s{}): wait until it has ended, then run this "
        "again",
        lock_patience, holder == said.npos ? std::string() : ", " + said.substr(holder, said.find_first_of(".\n", holder) - holder));
  }
  const auto unfetched = after(said, "E: Failed to fetch ");
  if (!unfetched.empty())
    return fmt::format("{} can't be fetched; where the package lists are old, apt-get update mends it, else see the network and the mirror",
                       unfetched[0]);
  constexpr std::string_view error = "dpkg: error processing ";
  if (const auto at = said.find(error); at != said.npos) {  // "… package NAME (--configure):" and the reason in the next line
    const auto lines = text::lines(said.substr(at + error.size()));
    return fmt::format("{} {}; dpkg --configure -a tries it again and shows what it says", lines[0],
                       lines.size() > 1 ? text::trim(lines[1]) : "");
  }
  const auto errors = after(said, "E: ");
  return errors.empty() ? said : fmt::format("{}", fmt::join(errors, "; "));
}

}  // namespace pvegpu::apt
