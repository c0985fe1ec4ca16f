// SPDX-License-Identifier: MIT
// JSON parsing that neither crashes nor quotes.
#include "common/base/json.hpp"

#ifdef PVEGPU_JSON_MADE_ONCE
template class nlohmann::basic_json<nlohmann::ordered_map>;
template class std::vector<nlohmann::ordered_json>;
#endif

namespace pvegpu {
namespace {

constexpr int max_depth = 64;

/// Deepest nesting of brackets outside strings, or max_depth + 1 as soon as it is deeper.
int depth_of(std::string_view text) {
  int depth = 0, deepest = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > deepest) deepest = depth;
      if (depth > max_depth) return depth;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return deepest;
}

}  // namespace

Result<json> parse_json(std::string_view text) {
  if (depth_of(text) > max_depth) return Error{fmt::format("nested deeper than {} levels", max_depth)};
  try {
    return json::parse(text.begin(), text.end());
  } catch (const nlohmann::detail::parse_error& e) {
    return Error{fmt::format("not valid JSON at byte {}", e.byte)};
  } catch (const nlohmann::detail::exception&) {
    return Error{"not valid JSON"};  // a number out of range, for instance
  }
}

std::string unexpected(const std::exception& error) {
  if (const auto* of_json = dynamic_cast<const nlohmann::detail::exception*>(&error))
    return fmt::format("internal error: JSON exception {}; please report it", of_json->id);
  return fmt::format("internal error: {}; please report it", error.what());
}

std::string dump_json(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

}  // namespace pvegpu
