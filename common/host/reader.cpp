// SPDX-License-Identifier: MIT
// Reads whose failures are facts.
#include "common/host/reader.hpp"

#include "common/base/strings.hpp"

#include <charconv>

namespace pvegpu {

void Unreadable::fields(Reply<Unreadable>& out) {
  out.field("path", &Unreadable::path, {.doc = "The file or directory."});
  out.field("what", &Unreadable::what, {.doc = "What it would have told."});
  out.field("why", &Unreadable::why, {.doc = "The error."});
}

std::string last_part(std::string_view path) { return std::string(path.substr(path.rfind('/') + 1)); }

template <class T>
std::optional<T> Reader::answer(Result<T> result, const std::string& path, std::string_view what) {
  if (result) return *std::move(result);
  if (!result.error().not_found())
    add_unreadable(path, what, result.error().code ? std::strerror(result.error().code) : result.error().message);
  return std::nullopt;
}

std::optional<std::string> Reader::file(const std::string& path, std::string_view what) {
  return answer(host_.read_file(path), path, what);
}

std::optional<std::string> Reader::attr(const std::string& path, std::string_view what) {
  auto value = file(path, what);
  if (value) *value = text::trim_right(*value);
  return value;
}

std::optional<std::int64_t> Reader::number(const std::string& path, std::string_view what) {
  const auto value = attr(path, what);
  if (!value) return std::nullopt;
  std::int64_t out = 0;
  const char* const end = value->data() + value->size();
  if (const auto parsed = std::from_chars(value->data(), end, out); parsed.ec == std::errc() && parsed.ptr == end) return out;
  add_unreadable(path, what, fmt::format("'{}' is not a number", *value));
  return std::nullopt;
}

std::optional<std::string> Reader::link(const std::string& path, std::string_view what) {
  return answer(host_.read_link(path), path, what);
}

std::optional<std::string> Reader::link_name(const std::string& path, std::string_view what) {
  const auto target = link(path, what);
  return target ? std::optional(last_part(*target)) : std::nullopt;
}

std::optional<std::vector<std::string>> Reader::list(const std::string& path, std::string_view what) {
  return answer(host_.list_dir(path), path, what);
}

void Reader::add_unreadable(std::string path, std::string_view what, std::string why) {
  unreadable_.push_back({std::move(path), std::string(what), std::move(why)});
}

}  // namespace pvegpu
