// SPDX-License-Identifier: MIT
// Debian's control files (deb-control(5)) that have a stanza for each package: dpkg's status, APT's extended_states.
#pragma once

#include <string>
#include <string_view>

namespace pvegpu::text {

/// The stanza of this package, of the host's own architecture; empty when there is none.
std::string_view stanza_of(std::string_view file, std::string_view package);
/// The value of a field of one line, empty when it is not there.
std::string field_of(std::string_view stanza, std::string_view name);
/// The file with these fields of each stanza only.
std::string only_fields(std::string_view file, const std::string_view* names, std::size_t count);

}  // namespace pvegpu::text
