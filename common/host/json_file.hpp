// SPDX-License-Identifier: MIT
// The JSON files of Proxmox VE: objects whose members may be missing or of another kind.
#pragma once

#include "common/base/json.hpp"
#include "common/host/reader.hpp"

namespace pvegpu::cluster {

/// null when the file is absent or empty; also when it can't be read or is no object, which `reader` then knows.
json read_json_object(Reader& reader, const std::string& path, std::string_view what);

/// A member of an object; null when there is none, or when it is no object at all.
const json& member(const json& object, const std::string& key);
std::string string_member(const json& object, const std::string& key);  ///< "" for what is no string
/// Perl writes a number as a string when it came out of a text.
std::optional<std::int64_t> number_member(const json& object, const std::string& key);

}  // namespace pvegpu::cluster
