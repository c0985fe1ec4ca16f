// SPDX-License-Identifier: MIT
// What Proxmox and Debian offer for each release, and which of their archives a source belongs to.
// Facts: pve-manager PVE/Ceph/Releases.pm and PVE/CLI/pveceph.pm of stable-7, stable-8 and master; proxmox-apt
// src/repositories/standard.rs; https://pve.proxmox.com/wiki/Package_Repositories.
#pragma once

#include "common/host/host.hpp"
#include "common/text/apt_sources.hpp"

namespace pvegpu::apt {

/// In the order in which packages move, oldest first.
enum class Channel { enterprise, no_subscription, test };
const char* name_of(Channel channel);

enum class Archive { other, debian, debian_security, proxmox, ceph };

struct Release {
  int pve;
  const char* codename;
  text::AptFormat format;      ///< that Proxmox writes
  const char* test_component;  ///< of the archive `pve`
  const char* keyring;         ///< with the key of Proxmox's archive
  const char* keyring_cure;    ///< what to do where it is missing
  const char* debian_components;
  std::vector<std::string> ceph;  ///< releases that are offered, oldest first
};

/// The release that the host runs. Throws ModuleError on hosts that are neither Proxmox VE nor Debian, or between two releases.
const Release& release_of(const HostView& host);

/// Where an archive is, when the user names no mirror.
inline constexpr const char* proxmox_base = "http://download.proxmox.com/debian";
inline constexpr const char* enterprise_base = "https://enterprise.proxmox.com/debian";
inline constexpr const char* debian_keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Why this can't be the URL of a mirror: "has no scheme"; empty when it can.
std::string fault_of_url(const std::string& url);
/// "host" of "http://user@host:80/a/path/", in lower case; empty where it names none.
std::string host_of(const std::string& uri);
/// "a/path" of it; everything behind the scheme of a URI without host.
std::string path_of(const std::string& uri);
/// Without the slashes at its end, to compare.
std::string normal(std::string uri);
/// The channel of a component of an archive of Proxmox; nullopt for components of other archives.
std::optional<Channel> channel_of(const text::AptSource& source, const std::string& component);
/// The component of that channel.
std::string component_of(const Release& release, Archive archive, Channel channel);
/// The components that Proxmox has for this release: of its archive `pve`, or of that release of Ceph.
std::vector<std::string> components_of(const Release& release, const std::string& ceph);
/// Proxmox has it for some release of Proxmox VE.
bool is_ceph_release(const std::string& ceph);
/// The Ceph release of a source of Proxmox's Ceph: the URI ends in "ceph-squid". Empty otherwise.
std::string ceph_of(const text::AptSource& source);
std::string ceph_of(const std::string& uri);
/// The part of a suite that names the release: "bookworm" of "bookworm-security"; empty for paths ("./").
std::string codename_of(const std::string& suite);

/// Tells archives apart. Proxmox's by their components and paths, on any mirror. Debian's by its host name, its keyring, a URI
/// that is known to be its mirror, or by a path and suite that only its mirrors have: third parties publish under ".../debian"
/// and "bookworm main" too (repo.jellyfin.org/debian), so that alone proves nothing.
class Classifier {
 public:
  /// `sources`: all active ones; `mirrors`: URIs that the user says are Debian's.
  Classifier(const std::vector<text::AptSource>& sources, std::vector<std::string> mirrors);
  Archive archive_of(const text::AptSource& source) const;

 private:
  std::vector<std::string> debian_;  ///< URIs that are Debian's
};

}  // namespace pvegpu::apt
