// SPDX-License-Identifier: MIT
// Words for cards.
#include "common/facts/select.hpp"

#include "common/base/strings.hpp"
#include "common/text/pci_address.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

/// Names differ in the maker's name and in case.
std::string plain(std::string_view name) {
  std::string lower = text::lower(text::trim(std::string(name)));
  for (const char* maker : {"nvidia ", "intel ", "amd "})
    if (lower.starts_with(maker)) return lower.substr(std::string_view(maker).size());
  return lower;
}

}  // namespace

bool names_model(std::string_view word, const std::vector<std::string>& names, std::string_view id) {
  if (word.empty()) return false;
  if (text::lower(text::trim(std::string(word))) == id) return true;
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return !name.empty() && plain(name) == plain(word); });
}

bool is_model(const Gpu& gpu, std::string_view word) {
  std::vector<std::string> names = {gpu.name};
  for (const catalogue::Board& board : gpu.boards) names.emplace_back(board.name);
  return names_model(word, names, fmt::format("{:04x}:{:04x}", gpu.ids.vendor, gpu.ids.device));
}

bool is_meant(const Gpu& gpu, std::string_view word) {
  if (word == "all") return true;
  const auto address = text::parse_pci_address(std::string(word));
  return address ? address->covers(gpu.address) : is_model(gpu, word);
}

}  // namespace pvegpu::gpu
