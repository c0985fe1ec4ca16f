// SPDX-License-Identifier: MIT
// Virtual GPU types.
#include "common/text/vgpu_types.hpp"

#include "common/base/strings.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::text {
namespace {

/// The number that the value begins with: "4096M", "512MB", "8".
std::optional<std::int64_t> leading_number(std::string_view value) {
  std::int64_t out = 0;
  if (std::from_chars(value.data(), value.data() + value.size(), out).ec != std::errc()) return std::nullopt;
  return out;
}

}  // namespace

MdevDescription parse_mdev_description(std::string_view text) {
  MdevDescription out;
  std::string flat(text);
  std::replace(flat.begin(), flat.end(), '\n', ',');
  for (const std::string& part : split(flat, ',')) {
    const auto sign = part.find_first_of("=:");
    if (sign == part.npos) continue;
    const std::string key = trim(part.substr(0, sign)), value = trim(part.substr(sign + 1));
    if (key == "framebuffer" || key == "high_gm_size") out.framebuffer_mb = leading_number(value);
    if (key == "max_instance") out.max_instances = leading_number(value);
  }
  return out;
}

Result<std::vector<CreatableType>> parse_creatable_types(std::string_view text) {
  std::vector<CreatableType> out;
  for (const std::string& line : lines(text)) {
    const auto colon = line.find(':');
    const std::string id = trim(std::string_view(line).substr(0, colon));
    if (id.empty() || id == "ID") continue;
    CreatableType type;
    const auto number = std::from_chars(id.data(), id.data() + id.size(), type.id);
    if (colon == line.npos || number.ec != std::errc() || number.ptr != id.data() + id.size())
      return Error{fmt::format("'{}' is not a line of the form 'ID : vGPU Name'", line)};
    type.name = trim(std::string_view(line).substr(colon + 1));
    out.push_back(std::move(type));
  }
  return out;
}

std::optional<unsigned> mdev_type_number(std::string_view directory) {
  const auto dash = directory.rfind('-');
  if (dash == directory.npos) return std::nullopt;
  unsigned out = 0;
  const char* const end = directory.data() + directory.size();
  const auto number = std::from_chars(directory.data() + dash + 1, end, out);
  if (number.ec != std::errc() || number.ptr != end) return std::nullopt;
  return out;
}

std::string_view vgpu_name_board(std::string_view name) {
  const auto dash = name.rfind('-');
  return dash == name.npos ? std::string_view() : name.substr(0, dash);
}

}  // namespace pvegpu::text
