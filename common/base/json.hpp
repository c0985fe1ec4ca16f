// SPDX-License-Identifier: MIT
// JSON as the project uses it: keys keep their order, bad input never crashes and is never quoted back.
#pragma once

#include "common/base/result.hpp"

#include <nlohmann/json.hpp>

// Made once, in json.cpp: otherwise every file compiles all of it again, which more than doubles the time and size of a debug build.
// The class can't be made whole before 3.11 (a range can't be inserted into its ordered_map).
#if NLOHMANN_JSON_VERSION_MAJOR > 3 || NLOHMANN_JSON_VERSION_MINOR >= 11
#define PVEGPU_JSON_MADE_ONCE 1
extern template class nlohmann::basic_json<nlohmann::ordered_map>;
extern template class std::vector<nlohmann::ordered_json>;
#endif

namespace pvegpu {

using json = nlohmann::ordered_json;

/// Parses one JSON value. The error says where, never what: the text may hold secrets, and nlohmann's messages quote it.
/// Deeper than 64 levels is refused, since deeper values crash dump().
Result<json> parse_json(std::string_view text);

/// What an answer says of an exception that nobody meant to throw. nlohmann's texts quote what they read, so only their number.
std::string unexpected(const std::exception& error);

/// One line, whatever is in it: bytes that are not UTF-8 become U+FFFD.
std::string dump_json(const json& value);

}  // namespace pvegpu
