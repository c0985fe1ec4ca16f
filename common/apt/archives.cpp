// SPDX-License-Identifier: MIT
// Tables of releases and the rules by which sources are recognised.
#include "common/apt/archives.hpp"

#include "common/text/pve_version.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::apt {
namespace {

const Release releases[] = {
    {7,
     "bullseye",
     text::AptFormat::one_line,
     "pvetest",
     "/etc/apt/trusted.gpg.d/proxmox-release-bullseye.gpg",
     "download https://enterprise.proxmox.com/debian/proxmox-release-bullseye.gpg to that path",
     "main contrib",
     {"octopus", "pacific", "quincy"}},
    {8,
     "bookworm",
     text::AptFormat::one_line,
     "pvetest",
     "/etc/apt/trusted.gpg.d/proxmox-release-bookworm.gpg",
     "download https://enterprise.proxmox.com/debian/proxmox-release-bookworm.gpg to that path",
     "main contrib non-free-firmware",
     {"quincy", "reef", "squid"}},
    {9,
     "trixie",
     text::AptFormat::deb822,
     "pve-test",
     "/usr/share/keyrings/proxmox-archive-keyring.gpg",
     "install the package proxmox-archive-keyring, or download https://enterprise.proxmox.com/debian/proxmox-archive-keyring-trixie.gpg to "
     "that path",
     "main contrib non-free-firmware",
     {"squid", "tentacle"}},
};

/// KEY=VALUE or KEY="VALUE" of os-release(5).
std::string os_release_value(const std::string& file, std::string_view key) {
  for (const std::string& line : text::lines(file)) {
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != '=') continue;
    std::string value = text::trim(line.substr(key.size() + 1));
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'')) value = value.substr(1, value.size() - 2);
    return value;
  }
  return {};
}

bool in_domain(const std::string& host, const std::string& domain) { return host == domain || host.ends_with("." + domain); }

std::string last_part(const std::string& uri) {
  const std::string path = normal(uri);
  return path.substr(path.rfind('/') + 1);
}

bool any_of(const std::vector<std::string>& all, const auto& test) { return std::any_of(all.begin(), all.end(), test); }

}  // namespace

std::string host_of(const std::string& uri) {
  const auto scheme = uri.find("://");
  if (scheme == uri.npos) return {};
  std::string host = uri.substr(scheme + 3);
  host = host.substr(0, host.find('/'));
  if (const auto at = host.rfind('@'); at != host.npos) host = host.substr(at + 1);
  return text::lower(host.substr(0, host.find(':')));
}

std::string path_of(const std::string& uri) {
  const auto scheme = uri.find("://");
  const auto begin = scheme == uri.npos ? uri.find(':') : uri.find('/', scheme + 3);
  return begin == uri.npos ? std::string() : normal(uri.substr(begin + 1));
}

const char* name_of(Channel channel) {
  return channel == Channel::enterprise ? "enterprise" : channel == Channel::test ? "test" : "no-subscription";
}

const Release& release_of(const HostView& host) {
  const std::string os = host.read_file("/etc/os-release").or_fail("find out which release this host runs");
  const std::string id = os_release_value(os, "ID"), codename = os_release_value(os, "VERSION_CODENAME");
  for (const Release& release : releases) {
    if (id != "debian" || codename != release.codename) continue;
    const auto pvecfg = host.read_file("/usr/share/perl5/PVE/pvecfg.pm");
    const auto pve = pvecfg ? text::parse_pvecfg(*pvecfg) : std::nullopt;
    if (pve && pve->major != release.pve)
      throw ModuleError(fmt::format("this host has the Debian of Proxmox VE {} ({}) but pve-manager {}: finish the upgrade, then run again",
                                    release.pve, codename, pve->version));
    return release;
  }
  throw ModuleError(
      fmt::format("/etc/os-release says ID={} VERSION_CODENAME={}: package sources can be managed on Proxmox VE 7, 8 and 9 "
                  "and on the Debian below them (bullseye, bookworm, trixie)",
                  id, codename));
}

std::string fault_of_url(const std::string& url) {
  for (const char c : url)
    if (static_cast<unsigned char>(c) <= ' ' || c == 127) return "has white space or control characters";
  for (const char c : url)
    if (static_cast<unsigned char>(c) >= 128 || std::string_view("\"'<>[]{}|\\^`#").find(c) != std::string_view::npos)
      return fmt::format("has characters that must be percent-encoded in a URL");
  const auto scheme = url.find("://");
  if (scheme == url.npos) return "has no scheme like http://";
  const std::string name = url.substr(0, scheme);
  if (name == "file") return url.size() > 7 && url[7] == '/' ? "" : "names no absolute path after file://";
  if (name != "http" && name != "https") return fmt::format("has the scheme {}, which is not one of http, https and file", name);
  if (host_of(url).empty()) return "names no host";
  if (url.find('@') != url.npos && url.find('@') < std::min(url.find('/', scheme + 3), url.size()))
    return "holds a password, which belongs into /etc/apt/auth.conf.d";
  return {};
}

std::string normal(std::string uri) {
  while (uri.ends_with('/')) uri.pop_back();
  return uri;
}

std::optional<Channel> channel_of(const text::AptSource& source, const std::string& component) {
  const bool ceph = !ceph_of(source).empty();
  std::optional<Channel> channel;
  if (component == "pve-enterprise" || (ceph && component == "enterprise")) channel = Channel::enterprise;
  // Ceph's `main` means the no-subscription channel, where there is one: see components_of().
  if (component == "pve-no-subscription" || (ceph && (component == "no-subscription" || component == "main")))
    channel = Channel::no_subscription;
  if (component == "pvetest" || component == "pve-test" || (ceph && component == "test")) channel = Channel::test;
  // Whatever it is called, that server asks for a subscription.
  if (channel && any_of(source.uris, [](const auto& uri) { return host_of(uri) == "enterprise.proxmox.com"; }))
    channel = Channel::enterprise;
  return channel;
}

std::string component_of(const Release& release, Archive archive, Channel channel) {
  if (archive == Archive::ceph) return release.pve == 7 && channel != Channel::test ? "main" : name_of(channel);
  return channel == Channel::test ? release.test_component : fmt::format("pve-{}", name_of(channel));
}

std::vector<std::string> components_of(const Release& release, const std::string& ceph) {
  if (ceph.empty()) return {"pve-enterprise", "pve-no-subscription", release.test_component};
  if (release.pve == 7) return {"main", "test"};
  std::vector<std::string> out{"enterprise", "no-subscription", "test"};
  // Older than these three: it stayed as another name of no-subscription for Quincy on Proxmox VE 8, and for nothing else.
  if (release.pve == 8 && ceph == "quincy") out.push_back("main");
  return out;
}

bool is_ceph_release(const std::string& ceph) {
  return std::any_of(std::begin(releases), std::end(releases),
                     [&](const Release& r) { return std::find(r.ceph.begin(), r.ceph.end(), ceph) != r.ceph.end(); });
}

std::string ceph_of(const std::string& uri) {
  const std::string part = last_part(uri);
  return part.starts_with("ceph-") ? part.substr(5) : std::string();
}

std::string ceph_of(const text::AptSource& source) {
  for (const std::string& uri : source.uris)
    if (const std::string ceph = ceph_of(uri); !ceph.empty()) return ceph;
  return {};
}

std::string codename_of(const std::string& suite) {
  return suite.ends_with('/') ? std::string() : suite.substr(0, suite.find_first_of("-/"));
}

Classifier::Classifier(const std::vector<text::AptSource>& sources, std::vector<std::string> mirrors) : debian_(std::move(mirrors)) {
  for (std::string& uri : debian_) uri = normal(uri);
  for (const text::AptSource& source : sources)
    for (const std::string& uri : source.uris) {
      const std::string part = last_part(uri);
      for (const std::string& suite : source.suites)
        if ((part == "debian" && (suite.ends_with("-updates") || suite.ends_with("-backports"))) ||
            (part == "debian-security" && suite.ends_with("-security")))
          debian_.push_back(normal(uri));
    }
}

Archive Classifier::archive_of(const text::AptSource& source) const {
  if (any_of(source.components, [](const auto& c) { return c.starts_with("pve-") || c == "pvetest"; })) return Archive::proxmox;
  if (!ceph_of(source).empty() && any_of(source.components, [&](const auto& c) { return channel_of(source, c).has_value(); }))
    return Archive::ceph;
  const bool debian =
      source.signed_by.starts_with("/usr/share/keyrings/debian-archive-") || any_of(source.uris, [&](const auto& uri) {
        return in_domain(host_of(uri), "debian.org") || std::find(debian_.begin(), debian_.end(), normal(uri)) != debian_.end();
      });
  if (!debian) return Archive::other;
  return any_of(source.suites, [](const auto& suite) { return suite.ends_with("-security"); }) ? Archive::debian_security : Archive::debian;
}

}  // namespace pvegpu::apt
