// SPDX-License-Identifier: MIT
// `apt-get update` and `apt-cache policy` of the host in memory, as APT 2.2, 2.6 and 3.0 were seen to behave on real sources.
#pragma once

#include "tests/laws/fake_host.hpp"

namespace pvegpu {

/// `description`, a fixture's world.json key "apt":
///   fresh      true: apt-get update never ran (false)
///   missing    true: there is no apt-cache (false)
///   gone       ["URI", ...] that answer 404 below it
///   has        {"URI SUITE": ["component", ...]} of mirrors that have what the real archives have not
///   codename   {"URI SUITE": "codename"} where the Release file is of another release
///   priority   {"component": -1} by APT's preferences
///   packages   what can be installed: see fake_packages.hpp
void add_apt(FakeHost& host, const json& description);

}  // namespace pvegpu
