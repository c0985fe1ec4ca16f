// SPDX-License-Identifier: MIT
// The lists that APT has are one file, a line each: "URI SUITE COMPONENT CODENAME".
#include "tests/laws/fake_apt.hpp"

#include "tests/laws/fake_packages.hpp"

#include "common/text/apt_sources.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

using Words = std::vector<std::string>;
constexpr const char* lists = "/var/lib/apt/lists/have";

bool has(const Words& all, const std::string& one) { return std::find(all.begin(), all.end(), one) != all.end(); }

/// As APT prints it.
std::string shown(std::string uri) {
  const auto scheme = uri.find("://"), at = uri.find('@');
  if (scheme != uri.npos && at != uri.npos && at < uri.find('/', scheme + 3)) uri.erase(scheme + 3, at - scheme - 2);
  while (uri.ends_with('/')) uri.pop_back();
  return uri;
}

class Apt {
 public:
  Apt(const FakeHost& host, const json& description) : host_(host), description_(description) {
    Words paths{"/etc/apt/sources.list"};
    for (const std::string& name : host.list_dir("/etc/apt/sources.list.d").value_or({}))
      paths.push_back("/etc/apt/sources.list.d/" + name);
    for (const std::string& path : paths) {
      const bool deb822 = path.ends_with(".sources");
      if (!deb822 && !path.ends_with(".list")) continue;
      const text::AptSources file(deb822 ? text::AptFormat::deb822 : text::AptFormat::one_line, host.read_file(path).value_or(""));
      if (file.problem() && file.problem()->refused) error_ = fmt::format("E: Malformed entry 1 in list file {} (URI parse)\n", path);
      for (const text::AptSource& source : file.all())
        if (source.enabled) add(source);
    }
    if (!error_.empty()) error_ += "E: The list of sources could not be read.\n";
  }

  /// Fetches: the lists that are there then, what is printed.
  CommandResult update(std::string& have) const {
    if (!error_.empty()) return {100, false, "", error_};
    CommandResult out;
    Words now;
    int number = 0;
    for (const Release& release : releases_) {
      const std::string name = fmt::format("{} {}", release.uri, release.suite);
      const std::string fault = fault_of(release);
      if (fault == "404") {
        out.out +=
            fmt::format("Ign:{0} {2} InRelease\nErr:{1} {2} Release\n  404  Not Found [IP: 192.0.2.1 80]\n", number + 1, number + 2, name);
        out.err += fmt::format("E: The repository '{} Release' does not have a Release file.\n", name);
        number += 2;
      } else if (fault == "key") {
        const std::string reason =
            "The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 0123456789ABCDEF";
        out.out += fmt::format("Get:{0} {1} InRelease [2,771 B]\nErr:{0} {1} InRelease\n  {2}\n", ++number, name, reason);
        out.err += fmt::format("W: GPG error: {0} InRelease: {1}\nE: The repository '{0} InRelease' is not signed.\n", name, reason);
      } else {
        out.out += fmt::format("Hit:{} {} InRelease\n", ++number, name);
      }
      if (!fault.empty()) {
        out.exit_code = 100;
        for (const std::string& line : text::lines(have))  // old ones stay in use
          if (line.starts_with(name + " ")) now.push_back(line);
        continue;
      }
      for (const std::string& component : release.components)
        if (has(components(release), component))
          now.push_back(fmt::format("{} {} {}", name, component, codename(name, release.suite)));
        else if (release.amd64)
          out.err += fmt::format(
              "W: Skipping acquire of configured file '{0}/binary-amd64/Packages' as repository '{1} InRelease' doesn't have "
              "the component '{0}' (component misspelt in sources.list?)\n",
              component, name);
    }
    out.out += "Reading package lists...\n";
    std::sort(now.begin(), now.end());
    have = fmt::format("{}\n", fmt::join(now, "\n"));
    return out;
  }

  CommandResult policy() const {
    if (!error_.empty()) return {100, false, "", error_};
    std::string out = "Package files:\n 100 /var/lib/dpkg/status\n     release a=now\n";
    const Words have = text::lines(host_.read_file(lists).value_or(""));
    for (const Release& release : releases_)
      for (const std::string& component : release.components)
        for (const std::string& line : have)
          if (release.amd64 && line.starts_with(fmt::format("{} {} {} ", release.uri, release.suite, component)))
            out +=
                fmt::format("{:4} {} {}/{} amd64 Packages\n     release o=Proxmox,a=stable,n={},l=Proxmox Debian Repository,c={},b=amd64\n",
                            description_.value("priority", json::object()).value(component, 500), release.uri, release.suite, component,
                            text::words(line).back(), component);
    return {0, false, out + "Pinned packages:\n", ""};
  }

 private:
  /// One Release file: what its sources ask for together.
  struct Release {
    std::string uri, suite, signed_by;
    std::optional<bool> trusted;
    Words components;
    bool amd64 = false;
  };

  void add(const text::AptSource& source) {
    for (const std::string& uri : source.uris)
      for (const std::string& suite : source.suites) {
        auto at =
            std::find_if(releases_.begin(), releases_.end(), [&](const Release& r) { return r.uri == shown(uri) && r.suite == suite; });
        if (at == releases_.end()) at = releases_.insert(at, {shown(uri), suite, source.signed_by, source.trusted, {}});
        // From APT 3.0 on none is no other one.
        const bool other_key = !at->signed_by.empty() && at->signed_by != source.signed_by && (!apt3_ || !source.signed_by.empty());
        if (other_key || at->trusted != source.trusted)
          error_ = fmt::format("E: Conflicting values set for option {} regarding source {}/ {}\n", other_key ? "Signed-By" : "Trusted",
                               at->uri, suite);
        if (!source.signed_by.empty()) at->signed_by = source.signed_by;
        if (!has(source.types, "deb") || !source.amd64) continue;
        at->amd64 = true;
        for (const std::string& component : source.components)
          if (!has(at->components, component)) at->components.push_back(component);
      }
  }

  /// What an archive answers: nothing, "404" or "key".
  std::string fault_of(const Release& release) const {
    for (const json& gone : description_.value("gone", json::array()))
      if (release.uri.starts_with(gone.get<std::string>())) return "404";
    const bool ours = text::contains(release.uri, "/pve") || text::contains(release.uri, "/ceph-");
    if (ours && components(release).empty()) return "404";
    if (release.trusted == true || !ours) return {};
    if (release.signed_by.starts_with('/')) return host_.exists(release.signed_by) ? "" : "key";
    if (!release.signed_by.empty()) return {};
    const auto names = host_.list_dir("/etc/apt/trusted.gpg.d").value_or({});
    return std::any_of(names.begin(), names.end(), [](const std::string& name) { return name.starts_with("proxmox-"); }) ? "" : "key";
  }

  /// What Proxmox has at .../debian/pve and .../debian/ceph-RELEASE, on every host. Others have what is asked for.
  Words components(const Release& release) const {
    const std::string name = fmt::format("{} {}", release.uri, release.suite);
    if (const json own = description_.value("has", json::object()); own.contains(name)) return own[name].get<Words>();
    static const std::map<std::string, Words> archives{{"pve bullseye", {"pve-enterprise", "pve-no-subscription", "pvetest"}},
                                                       {"pve bookworm", {"pve-enterprise", "pve-no-subscription", "pvetest"}},
                                                       {"pve trixie", {"pve-enterprise", "pve-no-subscription", "pve-test"}},
                                                       {"ceph-octopus bullseye", {"main", "test"}},
                                                       {"ceph-pacific bullseye", {"main", "test"}},
                                                       {"ceph-quincy bullseye", {"main", "test"}},
                                                       {"ceph-quincy bookworm", {"enterprise", "no-subscription", "test", "main"}},
                                                       {"ceph-reef bookworm", {"enterprise", "no-subscription", "test"}},
                                                       {"ceph-squid bookworm", {"enterprise", "no-subscription", "test"}},
                                                       {"ceph-squid trixie", {"enterprise", "no-subscription", "test"}},
                                                       {"ceph-tentacle trixie", {"enterprise", "no-subscription", "test"}}};
    const Words parts = text::split(release.uri, '/');
    if (parts.back() != "pve" && !parts.back().starts_with("ceph-")) return release.components;
    const auto at = archives.find(fmt::format("{} {}", parts.back(), release.suite));
    const bool twice = std::count(parts.begin(), parts.end(), "debian") > 1 || std::count(parts.begin(), parts.end(), "pve") > 1;
    return at == archives.end() || twice ? Words() : at->second;
  }

  std::string codename(const std::string& name, const std::string& suite) const {
    return description_.value("codename", json::object()).value(name, suite.substr(0, suite.find('-')));
  }

  const FakeHost& host_;
  const json& description_;
  std::vector<Release> releases_;
  bool apt3_ = text::contains(host_.read_file("/etc/os-release").value_or(""), "trixie");
  std::string error_;
};

}  // namespace

void add_apt(FakeHost& host, const json& description) {
  host.program("apt-get update", [description](FakeHost& world, const std::vector<std::string>&) {
    std::string have = world.read_file(lists).value_or("");
    const CommandResult result = Apt(world, description).update(have);
    world.file(lists, have).make_products("apt-get update");
    return result;
  });
  if (!description.value("missing", false)) {
    host.answer("apt-cache policy", [description](const FakeHost& world, const auto&) { return Apt(world, description).policy(); });
    add_packages(host, description.value("packages", json::object()));
  }
  if (description.value("fresh", false)) return;
  std::string have;
  (void)Apt(host, description).update(have);
  host.file(lists, have);
}

}  // namespace pvegpu
