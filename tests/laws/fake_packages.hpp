// SPDX-License-Identifier: MIT
// `apt-get install`, `remove`, `purge` and `--simulate` of the host in memory, with dpkg's books, as APT 2.6 and dpkg 1.21 were seen to
// behave.
#pragma once

#include "tests/laws/fake_host.hpp"

namespace pvegpu {

/// `packages`, key "packages" of "apt" (fake_apt.hpp): by name
///   version     that is offered
///   component   in which it is ("main")
///   depends     ["name", ...] that come along, and can't be without
///   provides    "name": another name for it
///   files       {"PATH": text or "hex:…"} that it has
///   removes     ["name", ...] that can't be beside it
///   configure   what its script says when it fails
///   fetch       why its file can't be fetched
/// A file /var/lib/dpkg/lock-frontend.held holds "PROCESS (NAME)" of another program that installs.
void add_packages(FakeHost& host, const json& packages);

}  // namespace pvegpu
