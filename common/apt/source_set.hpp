// SPDX-License-Identifier: MIT
// All sources of a host, as they are and as they shall be: wishes edit the copy in memory, the module plans the difference.
#pragma once

#include "common/apt/offer.hpp"
#include "common/base/reply.hpp"

#include <functional>
#include <set>

namespace pvegpu::apt {

/// APT decides by the name.
text::AptFormat format_of(const std::string& path);

struct SourceFile {
  std::string path;
  std::optional<std::string> before;  ///< nullopt: not there
  text::AptSources sources;
};
/// A URI in it carries a login, so that it is not for diffs.
bool has_login(const text::AptSources& sources);

struct Mirrors {
  std::optional<std::string> proxmox, debian, debian_security;
};

/// A source as it is told: one URI each.
struct ListedSource {
  std::string file;
  std::size_t line = 0;
  std::string archive, uri;
  std::vector<std::string> suites, components;

  static void fields(Reply<ListedSource>& out);
};

class SourceSet {
 public:
  /// Reads /etc/apt/sources.list and sources.list.d as APT does. Throws ModuleError for what can't be read.
  SourceSet(const HostView& host, const Release& release, Mirrors mirrors);

  /// Why these sources can't be managed: a file that APT refuses, sources of another release. nullopt when they can.
  std::optional<std::string> obstacle() const;

  using Which = std::function<bool(const text::AptSource& source, Channel channel)>;
  /// Switches off what active sources of this archive (proxmox or ceph) offer in a channel for which `which` says so.
  void switch_off(Archive archive, const Which& which);
  /// There is an active source of that channel: one that is there in whatever file and form, else one that is switched off and
  /// has the right URI, else a new one.
  void require(const WishedChannel& wished);
  /// The newest channel that an active source of this archive offers.
  std::optional<Channel> newest(Archive archive) const;
  /// Active sources use the mirrors, none twice. An archive of Debian whose mirror is named gets sources if it has none. Throws
  /// ModuleError for what has to be sorted out by hand first.
  void use_mirrors();

  const std::vector<SourceFile>& files() const { return files_; }
  /// "URI SUITE COMPONENT" (see source_name) of what active sources ask for that none did before.
  std::vector<std::string> changed() const;
  /// All that are switched on, in the order in which APT reads them.
  std::vector<ActiveSource> active() const;
  /// What APT knows of the sources as they were. Asked once, and only if it is wanted: APT takes half a second.
  const Policy& policy() const;
  /// Active sources of Proxmox and Debian.
  std::vector<ListedSource> listed() const;

 private:
  struct At {
    std::size_t file, source;
    bool operator==(const At&) const = default;
  };
  const text::AptSource& at(At where) const { return files_[where.file].sources.all()[where.source]; }
  text::AptSources& file_of(At where) { return files_[where.file].sources; }
  bool active(At where, Archive archive) const { return at(where).enabled && archive_of(where) == archive; }
  Archive archive_of(At where) const { return classifier_.archive_of(at(where)); }
  std::vector<At> all() const;
  std::string place(At where) const;
  std::string base_uri(Archive archive, Channel channel, const std::string& ceph) const;
  /// What an active source offers, one string for each type, URI, suite and component.
  static std::set<std::string> offers(const text::AptSource& source);
  void add(const std::string& name, text::AptSource source);
  void use_mirror(At where);
  void add_debian();
  void drop_repeated();

  const HostView& host_;
  const Release& release_;
  Mirrors mirrors_;
  std::vector<SourceFile> files_;
  Classifier classifier_;
  std::set<std::string> offered_before_;
  std::vector<At> moved_;  ///< sources whose URI was changed
  mutable std::optional<Policy> policy_;
};

/// `now`, a file of sources that others edited after us, without what we did to it: entries that `before` has too are switched
/// on or off and get their URI as there. Of a file that we made (`before` is nullopt) the sources of Proxmox and Debian go.
/// nullopt when nothing of it is left.
std::optional<std::string> without_our_edits(text::AptFormat format, const std::optional<std::string>& before, const std::string& now);

}  // namespace pvegpu::apt
