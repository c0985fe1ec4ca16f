// SPDX-License-Identifier: MIT
// What Proxmox VE's own programs (pvesh, qm) say of their failure.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu::cluster {

/// The cause in what such a program wrote, in one line: without its warnings before and its usage line after; "exit code N" where it
/// wrote nothing.
std::string cause_of(const CommandResult& result);

}  // namespace pvegpu::cluster
