// SPDX-License-Identifier: MIT
// Files of microcode, made by the rules of Intel's SDM and of AMD's containers.
#include "common/text/microcode.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace pvegpu::text {
namespace {

std::string u32(std::vector<std::uint32_t> numbers) {
  std::string out;
  for (const std::uint32_t number : numbers)
    for (unsigned i = 0; i < 4; ++i) out += static_cast<char>(number >> (8 * i) & 0xff);
  return out;
}

/// One update of Intel's, with the processors of its extended table.
std::string intel(std::uint32_t revision, std::uint32_t signature, std::uint32_t flags, std::vector<std::uint32_t> more = {}) {
  const auto entries = static_cast<std::uint32_t>(more.size() / 2);
  std::string table = entries ? u32({entries, 0, 0, 0, 0}) : "";
  for (std::size_t i = 0; i < more.size(); i += 2) table += u32({more[i], more[i + 1], 0});
  return u32({1, revision, 0x08122025, signature, 0, 1, flags, 32, 48 + 32 + static_cast<std::uint32_t>(table.size()), 0, 0, 0}) +
         std::string(32, 'c') + table;
}

std::string amd_patch(std::uint32_t revision, std::uint32_t processor) {
  const std::string header = u32({0x20240101, revision, 0x8004, 0, 0, 0, processor});
  const std::string patch = header + std::string(64 - header.size(), '\0') + std::string(16, 'c');
  return u32({1, static_cast<std::uint32_t>(patch.size())}) + patch;
}
std::string amd(const std::vector<std::uint32_t>& pairs, const std::string& patches) {
  std::string table;
  for (std::size_t i = 0; i < pairs.size(); i += 2) table += u32({pairs[i], 0, 0, pairs[i + 1]});
  return u32({0x00414d44, 0, static_cast<std::uint32_t>(table.size())}) + table + patches;
}

TEST(Microcode, signature_of_a_processor) {
  EXPECT_EQ(cpu_signature(6, 106, 6), 0x606a6u);       // Ice Lake-SP, file 06-6a-06
  EXPECT_EQ(cpu_signature(6, 151, 2), 0x90672u);       // Alder Lake
  EXPECT_EQ(cpu_signature(0x19, 1, 1), 0xa00f11u);     // Milan
  EXPECT_EQ(cpu_signature(0x17, 0x31, 0), 0x830f10u);  // Rome
}

TEST(Microcode, intels_newest_for_the_processor) {
  const std::string file =
      intel(0x10, 0x606a6, 0x87) + intel(0x12, 0x606a6, 0x87) + intel(0x20, 0x606a6, 0x10) + intel(0x30, 0x606a5, 0x87);
  EXPECT_EQ(microcode_revision(file, 0x606a6, 0x80), 0x12u);
  EXPECT_EQ(microcode_revision(file, 0x606a6, 0x10), 0x20u);
  EXPECT_EQ(microcode_revision(file, 0x606a5, 0x80), 0x30u);
  EXPECT_EQ(microcode_revision(file, 0x606a6, 0), 0x20u) << "the platform can't be read";
  EXPECT_EQ(microcode_revision(file, 0x606a6, 0x40), std::nullopt);
  EXPECT_EQ(microcode_revision(file, 0x906ea, 0x80), std::nullopt);
}

TEST(Microcode, intels_extended_signatures) {
  const std::string file = intel(0x38, 0x90672, 0x07, {0x90672, 0x07, 0x90675, 0x07, 0xb06f2, 0x01});
  EXPECT_EQ(microcode_revision(file, 0x90675, 0x02), 0x38u);
  EXPECT_EQ(microcode_revision(file, 0xb06f2, 0x02), std::nullopt);
  EXPECT_EQ(microcode_revision(file, 0xb06f2, 0x01), 0x38u);
}

TEST(Microcode, amds_by_the_equivalence_table) {
  const std::string file = amd({0xa00f11, 0xa011, 0xa00f12, 0xa012},
                               amd_patch(0xa0011d5, 0xa011) + amd_patch(0xa0011d7, 0xa011) + amd_patch(0xa001240, 0xa012)) +
                           amd({0xa20f12, 0xa212}, amd_patch(0xa20120e, 0xa212));
  EXPECT_EQ(microcode_revision(file, 0xa00f11, 0), 0xa0011d7u);
  EXPECT_EQ(microcode_revision(file, 0xa00f12, 0), 0xa001240u);
  EXPECT_EQ(microcode_revision(file, 0xa20f12, 0), 0xa20120eu) << "the second container";
  EXPECT_EQ(microcode_revision(file, 0x830f10, 0), std::nullopt);
}

/// Cut anywhere, with any byte wrong: an answer, and an end.
TEST(Microcode, damaged_files) {
  for (const std::string& whole : {intel(0x38, 0x90672, 7, {0x90675, 7}) + intel(0x39, 0x90672, 7),
                                   amd({0xa00f11, 0xa011}, amd_patch(1, 0xa011) + amd_patch(2, 0xa011))}) {
    for (std::size_t i = 0; i < whole.size(); ++i) {
      (void)microcode_revision(whole.substr(0, i), 0x90675, 1);
      std::string wrong = whole;
      wrong[i] = '\xff';
      (void)microcode_revision(wrong, 0xa00f11, 0);
      EXPECT_EQ(microcode_headers(wrong).size(), whole.size());
    }
  }
  EXPECT_EQ(microcode_revision("", 1, 1), std::nullopt);
}

TEST(Microcode, headers_say_the_same_without_the_code) {
  const std::string one = intel(0x38, 0x90672, 7, {0x90675, 7}) + intel(0x39, 0x90672, 7),
                    other = amd({0xa00f11, 0xa011}, amd_patch(2, 0xa011));
  for (const std::string& file : {one, other}) {
    const std::string kept = microcode_headers(file);
    EXPECT_EQ(kept.find("cccc"), std::string::npos);
    for (const std::uint32_t signature : {0x90672u, 0x90675u, 0xa00f11u})
      EXPECT_EQ(microcode_revision(kept, signature, 1), microcode_revision(file, signature, 1));
  }
}

}  // namespace
}  // namespace pvegpu::text
