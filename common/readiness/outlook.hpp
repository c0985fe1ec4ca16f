// SPDX-License-Identifier: MIT
// What tasks that give devices to guests say of what these lack: the conditions before the mapping, made into refuse, later and warn.
#pragma once

#include "common/mapping/mapping_selection.hpp"
#include "common/readiness/judge.hpp"

namespace pvegpu::readiness {

/// What a task says of a device that guests shall have.
struct Outlook {
  std::string refusal = {};                ///< what nothing brings, with its cure; "" for nothing
  std::optional<Wait> wait = {};           ///< what something brings
  std::vector<std::string> warnings = {};  ///< what a guest's start takes from the host, if the card is wanted all the same

  bool good() const { return refusal.empty() && !wait; }
  void tell(Plan& out) const;
};

/// Of alternatives, each of them functions that a guest gets at once: the conditions of their GPU before the mapping; of what is no GPU,
/// what a start takes from the host (host_loss.hpp). Whichever is free when the guest starts, it gets, so all have to be good; of those
/// with vGPUs (`mediated`) one is enough. `guest`: who gets them, nullptr for any.
Outlook outlook(const HostView& host, const gpu::Machine& machine, const std::vector<std::vector<std::string>>& alternatives, bool mediated,
                const gpu::Guest* guest = nullptr);

/// Of the GPUs of this node that a mapping's entries lead to, and of those whose VFs are not there yet.
Outlook outlook(const HostView& host, const gpu::Machine& machine, const gpu::MappingSelection& selection, const std::string& node);

}  // namespace pvegpu::readiness
