// SPDX-License-Identifier: MIT
// Which sources are to offer a channel, and what their text says against it. What it does not tell, APT does: see policy.hpp.
#pragma once

#include "common/apt/archives.hpp"
#include "common/apt/policy.hpp"

namespace pvegpu::apt {

/// A source that is switched on.
struct ActiveSource {
  std::string place;  ///< "/etc/apt/sources.list.d/proxmox.sources:3"
  text::AptSource source;
  Archive archive;
};

/// "no-subscription" of Proxmox VE, or of a release of Ceph.
struct WishedChannel {
  Archive archive;
  Channel channel;
  std::string ceph = {};  ///< which release, for that archive
};

struct Offer {
  Wish wish;
  std::string ruled_out;  ///< why none of the candidates can offer it, whatever the archive has; empty when one may
};
Offer offer_of(const WishedChannel& wished, const std::vector<ActiveSource>& active, const Release& release, const HostView& host);

/// Why APT reads no source at all: two of the same URI and suite contradict each other. Empty when none do. `active`: in APT's order.
std::string contradiction(const std::vector<ActiveSource>& active, const Release& release);

/// What is wrong with active sources of Proxmox by their text, "PLACE: what", each once. A doubt that `policy` dispels is not told.
std::vector<std::string> faults(const std::vector<ActiveSource>& active, const Release& release, const HostView& host,
                                const std::function<const Policy&()>& policy);

}  // namespace pvegpu::apt
