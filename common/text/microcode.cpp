// SPDX-License-Identifier: MIT
#include "common/text/microcode.hpp"

#include <algorithm>
#include <functional>

namespace pvegpu::text {
namespace {

constexpr std::uint32_t amd_magic = 0x00414d44;  // "DMA\0"
constexpr std::size_t intel_header = 48, amd_entry = 16, amd_patch_header = 64;

/// Little-endian, 0 behind the end.
std::uint32_t number_at(std::string_view bytes, std::size_t at, std::size_t size = 4) {
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < size && at + i < bytes.size(); ++i)
    out |= static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[at + i])) << (8 * i);
  return out;
}

/// One update: `fits` says for which processors it is; `code` begins behind its header.
struct Update {
  std::uint32_t revision;
  std::size_t code, code_size;
  std::function<bool(std::uint32_t signature, std::uint32_t platform)> fits;
};
using Visit = std::function<void(const Update&)>;

void each_intel(std::string_view file, const Visit& visit) {
  for (std::size_t at = 0; at + intel_header <= file.size() && number_at(file, at) == 1;) {
    const std::uint32_t given = number_at(file, at + 28);
    const std::size_t data = given ? given : 2000, total = given ? number_at(file, at + 32) : 2048;
    if (total < intel_header + data || total > file.size() - at) return;
    const std::size_t table = at + intel_header + data;
    const std::size_t entries =
        total >= intel_header + data + 20 ? std::min<std::size_t>(number_at(file, table), (total - intel_header - data - 20) / 12) : 0;
    visit({number_at(file, at + 4), at + intel_header, data, [=](std::uint32_t signature, std::uint32_t platform) {
             const auto fits = [&](std::size_t entry, std::size_t flags) {
               const std::uint32_t wanted = number_at(file, flags);
               return number_at(file, entry) == signature && (!platform || !wanted || (wanted & platform));
             };
             if (fits(at + 12, at + 24)) return true;
             for (std::size_t i = 0; i < entries; ++i)
               if (fits(table + 20 + 12 * i, table + 24 + 12 * i)) return true;
             return false;
           }});
    at += total;
  }
}

void each_amd(std::string_view file, const Visit& visit) {
  for (std::size_t at = 0; at + 12 <= file.size() && number_at(file, at) == amd_magic;) {
    const std::size_t table = at + 12, size = number_at(file, at + 8);
    if (number_at(file, at + 4) != 0 || size > file.size() - table) return;
    at = table + size;
    while (at + 8 + amd_patch_header <= file.size() && number_at(file, at) == 1) {
      const std::size_t patch = at + 8, length = number_at(file, at + 4);
      if (length < amd_patch_header || length > file.size() - patch) return;
      const std::uint32_t processor = number_at(file, patch + 24, 2);
      visit({number_at(file, patch + 4), patch + amd_patch_header, length - amd_patch_header, [=](std::uint32_t signature, std::uint32_t) {
               for (std::size_t entry = table; entry + amd_entry <= table + size; entry += amd_entry)
                 if (number_at(file, entry) == signature && number_at(file, entry + 12, 2) == processor) return true;
               return false;
             }});
      at = patch + length;
    }
  }
}

void each(std::string_view file, const Visit& visit) { number_at(file, 0) == amd_magic ? each_amd(file, visit) : each_intel(file, visit); }

}  // namespace

std::uint32_t cpu_signature(std::uint32_t family, std::uint32_t model, std::uint32_t stepping) {
  const std::uint32_t base = std::min(family, 15u);
  return (family - base) << 20 | (model >> 4) << 16 | base << 8 | (model & 15) << 4 | (stepping & 15);
}

std::optional<std::uint32_t> microcode_revision(std::string_view file, std::uint32_t signature, std::uint32_t platform) {
  std::optional<std::uint32_t> out;
  each(file, [&](const Update& update) {
    if (update.fits(signature, platform)) out = std::max(out.value_or(0), update.revision);
  });
  return out;
}

std::string microcode_headers(std::string file) {
  std::string out = file;
  each(file, [&](const Update& update) { std::fill_n(out.begin() + static_cast<std::ptrdiff_t>(update.code), update.code_size, '\0'); });
  return out;
}

}  // namespace pvegpu::text
