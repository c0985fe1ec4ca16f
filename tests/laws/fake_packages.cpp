// SPDX-License-Identifier: MIT
#include "tests/laws/fake_packages.hpp"

#include "common/apt/policy.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

using Words = std::vector<std::string>;
constexpr const char *books = "/var/lib/dpkg/status", *marks = "/var/lib/apt/extended_states", *holder = "/var/lib/dpkg/lock-frontend.held";
constexpr const char* preamble = "Reading package lists...\nBuilding dependency tree...\nReading state information...\n";

bool has(const Words& all, const std::string& one) { return std::find(all.begin(), all.end(), one) != all.end(); }

/// Stanzas, each "Package: NAME\n…", without the blank line behind.
Words stanzas(const std::string& file) {
  Words out;
  for (const std::string& line : text::lines(file)) {
    if (line.starts_with("Package: ")) out.emplace_back();
    if (!line.empty()) out.back() += line + "\n";
  }
  return out;
}
std::string name_in(const std::string& stanza) { return stanza.substr(9, stanza.find('\n') - 9); }
std::string value_in(const std::string& stanza, const std::string& key) {
  for (const std::string& line : text::lines(stanza))
    if (line.starts_with(key + ": ")) return line.substr(key.size() + 2);
  return {};
}

/// The file without that package's stanza, with the new one, if any, at its end; a file without stanzas is not there.
void put_stanza(FakeHost& world, const char* path, const std::string& name, const std::string& stanza) {
  std::string out;
  for (const std::string& each : stanzas(world.read_file(path).value_or("")))
    if (name_in(each) != name) out += each + "\n";
  if (!stanza.empty()) out += stanza + "\n";
  if (!out.empty())
    world.file(path, out);
  else if (world.exists(path))
    world.gone(path);
}

class Packages {
 public:
  Packages(const FakeHost& host, const json& all) : host_(host), all_(all) {}

  std::string stanza(const std::string& name) const {
    for (const std::string& each : stanzas(host_.read_file(books).value_or("")))
      if (name_in(each) == name) return each;
    return {};
  }
  std::string state(const std::string& name) const {
    const auto words = text::words(value_in(stanza(name), "Status"));
    return words.size() == 3 ? words[2] : "not-installed";
  }
  bool held(const std::string& name) const { return value_in(stanza(name), "Status").starts_with("hold "); }
  bool there(const std::string& name) const { return state(name) != "not-installed" && state(name) != "config-files"; }
  json known(const std::string& name) const { return all_.value(name, json::object()); }

  bool offered(const std::string& name) const {
    if (!all_.contains(name) || !known(name).contains("version")) return false;
    const auto policy = host_.query(Query::apt_policy());
    const auto files = apt::parse_policy(policy ? policy->out : std::string());
    const std::string component = known(name).value("component", "main");
    return std::any_of(files.begin(), files.end(), [&](const auto& file) { return file.component == component; });
  }
  /// The package that this name means, without patterns: the one of that name, else the only one that provides it.
  std::string meant(const std::string& name) const {
    if (offered(name) || there(name)) return name;
    for (const auto& [other, package] : all_.items())
      if (package.value("provides", "") == name && offered(other)) return other;
    return {};
  }
  /// Those that come, the named one last.
  Words coming(const std::string& name) const {
    Words out;
    for (const json& needed : known(name).value("depends", json::array()))
      if (!there(needed.get<std::string>())) out.push_back(needed.get<std::string>());
    if (!there(name)) out.push_back(name);
    return out;
  }
  Words conflicting(const std::string& name) const {
    Words out;
    for (const json& other : known(name).value("removes", json::array()))
      if (there(other.get<std::string>())) out.push_back(other.get<std::string>());
    return out;
  }
  /// These and those that can't be without them.
  Words going(Words names) const {
    std::erase_if(names, [&](const std::string& name) { return !there(name); });
    for (std::size_t i = 0; i < names.size(); ++i)
      for (const auto& [other, package] : all_.items())
        if (there(other) && has(package.value("depends", Words()), names[i]) && !has(names, other)) names.push_back(other);
    return names;
  }

  CommandResult would_install(const std::string& asked) const {
    if (const auto policy = host_.query(Query::apt_policy()); policy && policy->exit_code != 0) return {100, false, "", policy->err};
    const std::string name = meant(asked);
    if (name.empty()) return {100, false, preamble, fmt::format("E: Unable to locate package {}\n", asked)};
    std::string out = preamble;
    if (const Words gone = conflicting(name); !gone.empty())
      return {100, false, out + fmt::format("The following packages will be REMOVED:\n  {}\n0 upgraded\n", fmt::join(gone, " ")),
              "E: Packages need to be removed but remove is disabled.\n"};
    const Words come = coming(name);
    for (const char* verb : {"Inst", "Conf"})
      for (const std::string& each : come)
        out += fmt::format("{} {} ({} Debian:12/stable [amd64])\n", verb, each, known(each).at("version").get<std::string>());
    if (come.empty() && state(name) != "installed")
      out += fmt::format("Conf {} ({} Debian:12/stable [amd64])\n", name, value_in(stanza(name), "Version"));
    return {0, false, out, ""};
  }
  CommandResult would_purge(const Words& names) const {
    const Words gone = going(names);
    std::string out = fmt::format("{}The following packages will be REMOVED:\n  {}*\n", preamble, fmt::join(gone, "* "));
    for (const std::string& each : gone) out += fmt::format("Purg {} [{}]\n", each, value_in(stanza(each), "Version"));
    return {0, false, out, ""};
  }
  /// Why neither is done.
  std::string obstacle() const {
    for (const std::string& name : host_.list_dir("/var/lib/dpkg/updates").value_or({}))
      if (name.find_first_not_of("0123456789") == name.npos)
        return "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. \n";
    if (const auto process = host_.read_attr(holder))
      return fmt::format(
          "Waiting for cache lock: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process {}...\n"
          "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?\n",
          *process);
    return {};
  }

 private:
  const FakeHost& host_;
  const json& all_;
};

std::string bytes_of(const std::string& text) {
  if (!text.starts_with("hex:")) return text;
  std::string out;
  for (std::size_t i = 4; i + 1 < text.size(); i += 2) out += static_cast<char>(std::strtoul(text.substr(i, 2).c_str(), nullptr, 16));
  return out;
}

CommandResult install(FakeHost& world, const json& all, const std::string& asked) {
  const Packages packages(world, all);
  if (const std::string why = packages.obstacle(); !why.empty()) return {100, false, "", why};
  CommandResult would = packages.would_install(asked);
  if (would.exit_code != 0) return would;
  const std::string name = packages.meant(asked);
  if (packages.held(name)) return {100, false, "", "E: Held packages were changed and -y was used without --allow-change-held-packages.\n"};
  Words come = packages.coming(name);
  if (come.empty()) come = {name};
  for (const std::string& each : come)
    if (const json why = packages.known(each).value("fetch", json()); why.is_string())
      return {100, false, preamble,
              fmt::format("E: Failed to fetch {}\nE: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?\n",
                          why.get<std::string>())};
  for (const std::string& each : come) {
    const json known = packages.known(each);
    const bool fails = known.contains("configure");
    put_stanza(world, books, each,
               fmt::format("Package: {}\nStatus: install ok {}\nArchitecture: amd64\nVersion: {}\n", each,
                           fails ? "half-configured" : "installed", known.at("version").get<std::string>()));
    const json files = known.value("files", json::object());
    for (const auto& [path, bytes] : files.items()) world.file(path, bytes_of(bytes.get<std::string>()));
    if (each != name) put_stanza(world, marks, each, fmt::format("Package: {}\nArchitecture: amd64\nAuto-Installed: 1\n", each));
    if (fails)
      return {
          100, false, preamble,
          fmt::format(
              "{}\ndpkg: error processing package {} (--configure):\n installed {} package post-installation script subprocess returned "
              "error exit status 1\nErrors were encountered while processing:\n {}\nE: Sub-process /usr/bin/dpkg returned an error code "
              "(1)\n",
              known["configure"].get<std::string>(), each, each, each)};
  }
  return {0, false, preamble, ""};
}

CommandResult remove(FakeHost& world, const json& all, bool purge, const Words& names) {
  const Packages packages(world, all);
  if (const std::string why = packages.obstacle(); !why.empty()) return {100, false, "", why};
  const Words gone = packages.going(names);
  for (const std::string& each : gone)
    if (packages.held(each))
      return {100, false, "", "E: Held packages were changed and -y was used without --allow-change-held-packages.\n"};
  for (const std::string& each : gone) {
    const json files = packages.known(each).value("files", json::object());
    const std::string version = value_in(packages.stanza(each), "Version");
    for (const auto& [path, bytes] : files.items()) world.take(path, "/lib");
    put_stanza(world, marks, each, "");
    put_stanza(world, books, each,
               purge ? std::string()
                     : fmt::format("Package: {}\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: {}\n", each, version));
  }
  return {0, false, preamble, ""};
}

/// The words behind the verb.
Words behind(const Words& argv, const std::string& verb) { return {std::find(argv.begin(), argv.end(), verb) + 1, argv.end()}; }

}  // namespace

void add_packages(FakeHost& host, const json& packages) {
  host.answer("apt-get --simulate", [packages](const FakeHost& world, const Words& argv) {
    return has(argv, "purge") ? Packages(world, packages).would_purge(behind(argv, "purge"))
                              : Packages(world, packages).would_install(argv.back());
  });
  host.program("apt-get --assume-yes", [packages](FakeHost& world, const Words& argv) {
    if (has(argv, "install")) return install(world, packages, argv.back());
    const bool purge = has(argv, "purge");
    return remove(world, packages, purge, behind(argv, purge ? "purge" : "remove"));
  });
}

}  // namespace pvegpu
