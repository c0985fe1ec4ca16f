// SPDX-License-Identifier: MIT
// What APT knows of its sources once it has read them, as `apt-cache policy` tells it, and whether a wished channel is among it.
// What a source's text says proves nothing: APT skips components that a Release file does not have, with exit code 0.
#pragma once

#include "common/base/json.hpp"
#include "common/host/host.hpp"

namespace pvegpu::apt {

/// A list of packages that APT has and that an active source asks for.
struct PackageFile {
  int priority = 0;
  std::string source;  ///< see source_name()
  std::string component, codename;
};

/// Those of `apt-cache policy`, in its order. Tried on APT 2.2, 2.6 and 3.0 in the C locale.
std::vector<PackageFile> parse_policy(const std::string& out);

/// An active source that is to offer a channel.
struct Candidate {
  std::string place;      ///< "/etc/apt/sources.list.d/proxmox.sources:3"
  std::string source;     ///< see source_name()
  std::string component;  ///< of that channel
  std::string doubt;      ///< why it may not, by its text; empty: nothing speaks against it
};

/// A channel that must be offered, by any of these.
struct Wish {
  std::string channel;   ///< "the channel no-subscription of Proxmox VE"
  std::string codename;  ///< of the release that the host runs
  std::vector<Candidate> candidates;

  json to_json() const;
  /// What is no wish (the journal may have been edited) becomes one without candidates, that nothing offers.
  static Wish from_json(const json& value);
};

/// Why a source, or one component of it, could not be read just now, by "URI SUITE" or "URI SUITE COMPONENT".
using Problems = std::map<std::string, std::string>;

class Policy {
 public:
  /// Asks APT. Lists that are old or of other sources are no error: APT tells of those that it has and that are asked for now.
  explicit Policy(const HostView& host);

  /// Why APT can't be asked on this host; empty when it can.
  const std::string& unknown() const { return unknown_; }
  /// What keeps APT from reading its sources at all; empty when it reads them.
  const std::string& refusal() const { return refusal_; }
  const std::vector<PackageFile>& files() const { return files_; }
  /// The list of that component of that source and release; nullptr without one.
  const PackageFile* find(const std::string& source, const std::string& component, const std::string& codename) const;
  /// The list by which APT offers it; nullptr when none does. Of a source in `problems` the lists are those of an earlier day.
  const PackageFile* offers(const Wish& wish, const Problems& problems = {}) const;
  /// "PLACE (SOURCE COMPONENT): why" for each candidate, none of which offers it.
  std::string lacks(const Wish& wish, const Problems& problems = {}) const;

 private:
  std::string unknown_, refusal_;
  std::vector<PackageFile> files_;
};

}  // namespace pvegpu::apt
