// SPDX-License-Identifier: MIT
// What a source's text says against it: certain (APT can't have packages from it) or doubtful (a mirror may have ways of its own).
#include "common/apt/offer.hpp"

#include "common/apt/update_output.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <set>

namespace pvegpu::apt {
namespace {

constexpr const char* methods = "/usr/lib/apt/methods";
constexpr const char* trusted_keys = "/etc/apt/trusted.gpg.d";

bool has(const std::vector<std::string>& all, const std::string& one) { return std::find(all.begin(), all.end(), one) != all.end(); }

/// Why APT can't fetch from this URI at all; empty when it can.
std::string fault_of_uri(const std::string& uri, const HostView& host) {
  const std::string scheme = uri.substr(0, uri.find(':'));
  if ((scheme == "http" || scheme == "https") && host_of(uri).empty())
    return fmt::format("its URI {} names no host: write {}://HOST/PATH", without_login(uri), scheme);
  if (host.exists(methods) && !host.exists(fmt::format("{}/{}", methods, scheme)))
    return fmt::format("APT has no method for its URI {}: name a mirror by http:// or https://", without_login(uri));
  // Where these two have their archives. `/debian` alone is the older spelling of `/debian/pve` (proxmox-apt, standard.rs).
  const std::string name = host_of(uri), path = path_of(uri);
  if ((name == "download.proxmox.com" || name == "enterprise.proxmox.com") && path != "debian" && path != "debian/pve" &&
      (!path.starts_with("debian/ceph-") || path.find('/', 7) != path.npos))
    return fmt::format("{} has no packages at /{}: they are at /debian/pve and /debian/ceph-RELEASE", name, path);
  return {};
}

/// Without Signed-By APT trusts the keys of trusted.gpg.d. Which key a file has we can't tell, but Debian's own are not Proxmox's.
std::string fault_of_key(const text::AptSource& source, const Release& release, const HostView& host) {
  if (source.trusted == true) return {};
  const std::string keyring = text::split(source.signed_by, ',')[0];
  if (!keyring.empty()) {
    if (keyring[0] != '/' || host.exists(keyring)) return {};  // a fingerprint, a key within the stanza
    return fmt::format("its keyring {} is missing, without which APT can't verify Proxmox's packages: {}", keyring,
                       keyring == release.keyring ? release.keyring_cure : fmt::format("let Signed-By name {}", release.keyring));
  }
  if (host.exists("/etc/apt/trusted.gpg")) return {};
  for (const std::string& name : host.list_dir(trusted_keys).value_or({}))
    if (!name.starts_with("debian-archive-") && (name.ends_with(".gpg") || name.ends_with(".asc"))) return {};
  if (release.format == text::AptFormat::deb822)
    return fmt::format("it has no Signed-By, and {} no key of Proxmox: give it Signed-By {}", trusted_keys, release.keyring);
  return fmt::format("{} is missing, without which APT can't verify Proxmox's packages: {}", release.keyring, release.keyring_cure);
}

/// Why APT can't have packages from this source, whatever the archive has; empty when it may.
std::string certain_fault(const text::AptSource& source, const Release& release, const HostView& host) {
  if (!has(source.types, "deb")) return "it is for source packages only: a channel needs the type deb";
  if (!source.amd64) return "it leaves out the architecture amd64: take that option out";
  if (source.trusted == false) return "it says Trusted: no, so that APT installs nothing from it: take that option out";
  for (const std::string& uri : source.uris)
    if (const std::string fault = fault_of_uri(uri, host); !fault.empty()) return fault;
  return fault_of_key(source, release, host);
}

/// What makes it doubtful that an archive of Proxmox is there; empty when nothing does.
std::string doubt(const std::string& uri, const std::string& suite, const std::string& component, const Release& release) {
  const auto parts = text::split(path_of(uri), '/');
  for (std::size_t i = 0; i + 1 < parts.size(); ++i)
    if (parts[i] == "dists" || parts[i].starts_with("ceph-") || (parts[i] == "pve" && i > 0 && parts[i - 1] == "debian") ||
        parts[i] == parts[i + 1])
      return fmt::format("its URI {} goes on after '{}', as if the path was there twice", without_login(uri), parts[i]);
  if (parts.back() == release.codename) return fmt::format("its URI {} ends in the suite", without_login(uri));
  if (suite != release.codename) return fmt::format("Proxmox has no suite {}, only {}", suite, release.codename);
  const std::string ceph = ceph_of(uri);
  if (!ceph.empty() && is_ceph_release(ceph) && !has(release.ceph, ceph))
    return fmt::format("Proxmox VE {} has no Ceph {}", release.pve, ceph);
  const auto known = components_of(release, ceph);
  if (!has(known, component))
    return fmt::format("{} has no component {} for {}, but {}", ceph.empty() ? "Proxmox VE" : "Ceph " + ceph, component, release.codename,
                       fmt::join(known, ", "));
  return {};
}

/// Of Proxmox by its components, or by where it is: those may be what is wrong with it.
bool of_proxmox(const ActiveSource& active) {
  if (active.archive == Archive::proxmox || active.archive == Archive::ceph) return true;
  return active.archive == Archive::other && std::any_of(active.source.uris.begin(), active.source.uris.end(), [](const auto& uri) {
           return path_of(uri).ends_with("debian/pve") || text::contains(path_of(uri), "debian/ceph-");
         });
}

template <class Visit>
void for_each_part(const text::AptSource& source, const Visit& visit) {
  for (const auto& uri : source.uris)
    for (const auto& suite : source.suites)
      for (const auto& component : source.components) visit(uri, suite, component);
}

std::string shown(const std::optional<bool>& trusted) { return !trusted ? "none" : *trusted ? "yes" : "no"; }

}  // namespace

Offer offer_of(const WishedChannel& wished, const std::vector<ActiveSource>& active, const Release& release, const HostView& host) {
  Offer out;
  out.wish.channel =
      fmt::format("the channel {} of {}", name_of(wished.channel), wished.archive == Archive::ceph ? "Ceph " + wished.ceph : "Proxmox VE");
  out.wish.codename = release.codename;
  std::vector<std::string> ruled_out;
  for (const ActiveSource& each : active) {
    if (each.archive != wished.archive || ceph_of(each.source) != wished.ceph) continue;
    const std::string fault = certain_fault(each.source, release, host);
    bool wanted = false;
    for_each_part(each.source, [&](const auto& uri, const auto& suite, const auto& component) {
      if (suite != release.codename || channel_of(each.source, component) != wished.channel) return;
      wanted = true;
      if (fault.empty())
        out.wish.candidates.push_back({each.place, source_name(uri, suite), component, doubt(uri, suite, component, release)});
    });
    if (wanted && !fault.empty()) ruled_out.push_back(fmt::format("{}: {}", each.place, fault));
  }
  if (out.wish.candidates.empty())
    out.ruled_out = fmt::format("no active source can offer {}: {}", out.wish.channel, fmt::join(ruled_out, " | "));
  return out;
}

std::string contradiction(const std::vector<ActiveSource>& active, const Release& release) {
  // debReleaseIndex::SetSignedBy and SetTrusted (apt-pkg/deb/debmetaindex.cc). Of Signed-By the first value counts; after it, until
  // APT 2.6, even none was another one. Of Trusted the first is compared, set or not. Tried on APT 2.2, 2.6 and 3.0.
  std::map<std::string, std::pair<std::string, text::AptSource>> first;
  for (const ActiveSource& each : active)
    for (const auto& uri : each.source.uris)
      for (const auto& suite : each.source.suites) {
        const std::string name = source_name(uri, suite);
        auto [entry, is_first] = first.try_emplace(name, each.place, each.source);
        if (is_first) continue;
        auto& [place, before] = entry->second;
        const auto tell = [&](const char* option, const std::string& a, const std::string& b) {
          return fmt::format(
              "{} and {} give {} two values of {} ({} and {}), so that APT reads no source at all: give both the same, "
              "or switch one of them off",
              place, each.place, name, option, a.empty() ? "none" : a, b.empty() ? "none" : b);
        };
        if (before.trusted != each.source.trusted) return tell("Trusted", shown(before.trusted), shown(each.source.trusted));
        if (before.signed_by.empty()) {
          before.signed_by = each.source.signed_by;
          if (!before.signed_by.empty()) place = each.place;
        } else if (before.signed_by != each.source.signed_by && (release.pve < 9 || !each.source.signed_by.empty())) {
          return tell("Signed-By", before.signed_by, each.source.signed_by);
        }
      }
  return {};
}

std::vector<std::string> faults(const std::vector<ActiveSource>& active, const Release& release, const HostView& host,
                                const std::function<const Policy&()>& policy) {
  std::vector<std::string> out;
  const auto tell = [&](const std::string& place, const std::string& what) {
    const std::string line = fmt::format("{}: {}", place, what);
    if (!what.empty() && !has(out, line)) out.push_back(line);
  };
  // A source for other architectures or of source packages may stand beside the one for this host.
  const auto stands_beside = [&](const text::AptSource& source) {
    return std::any_of(active.begin(), active.end(), [&](const ActiveSource& other) {
      return has(other.source.types, "deb") && other.source.amd64 && other.source.suites == source.suites &&
             normal(other.source.uris[0]) == normal(source.uris[0]);
    });
  };
  for (const ActiveSource& each : active) {
    if (!of_proxmox(each)) continue;
    if ((!has(each.source.types, "deb") || !each.source.amd64) && stands_beside(each.source)) continue;
    if (each.source.trusted == true) tell(each.place, "it says Trusted: yes, so that APT verifies nothing that comes from it");
    const std::string fault = certain_fault(each.source, release, host);
    tell(each.place, fault);
    if (!fault.empty()) continue;
    for_each_part(each.source, [&](const auto& uri, const auto& suite, const auto& component) {
      const std::string what = doubt(uri, suite, component, release);
      if (!what.empty() && !policy().find(source_name(uri, suite), component, release.codename)) tell(each.place, what);
    });
  }
  return out;
}

}  // namespace pvegpu::apt
