// SPDX-License-Identifier: MIT
// GRUB's language. What its real tools make of these lines is in tests that run them.
#include "common/text/grub_script.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

std::string kernels(std::string_view text) { return loader_cmdline(parse_grub_command(text).arguments); }

struct Vector {
  const char* text;
  const char* cmdline;  ///< that the kernel gets
  std::size_t end;      ///< npos: the end of the text
};
constexpr std::size_t whole = std::string_view::npos;
constexpr Vector vectors[] = {
    {"quiet  splash\t ro", "quiet splash ro", whole},
    {"x=1;reboot", "x=1", 3},
    {"x=1\\;reboot", "x=1;reboot", whole},
    {"memmap=1G$4G", "memmap=1GG", whole},
    {"memmap=1G\\$4G", "memmap=1G$4G", whole},
    {"memmap=1G\\\\$4G", "memmap=1G\\\\G", whole},
    {"a$b-c ${d}e $ f", "a-c e", 12},
    {"$? $* $# x", "x", whole},
    {"a=\"b c\" d", "\"a=b c\" d", whole},
    {"a='b;c|d' e", "a=b;c|d e", whole},
    {"a=\"b\\$c\\\"d\\e\"", "a=b$c\\\"d\\\\e", whole},
    {"a=b\\ c", "\"a=b c\"", whole},
    {"a=it\\'s", "a=it\\'s", whole},
    {"a=b#c #d e", "a=b#c", 6},
    {"a=b\nreboot", "a=b", 3},
    {"a=b\\\nc", "a=bc", whole},
    {"a=b|c", "a=b", 3},
    {"a=b&c", "a=b", 3},
    {"a=b<c", "a=b", 3},
    {"a=b}", "a=b", 3},
    {"''", "", whole},
    {"a=\\*\\?", "a=*?", whole},
    {"\xc3\xa4=1", "\xc3\xa4=1", whole},
};

}  // namespace

TEST(GrubScript, ReadsACommandAsGrubDoes) {
  for (const Vector& v : vectors) {
    EXPECT_EQ(kernels(v.text), v.cmdline) << v.text;
    EXPECT_EQ(parse_grub_command(v.text).end, v.end == whole ? std::string_view(v.text).size() : v.end) << v.text;
    EXPECT_FALSE(parse_grub_command(v.text).open) << v.text;
  }
  for (const char* open : {"a='b", "a=\"b", "a=b\\"}) EXPECT_TRUE(parse_grub_command(open).open) << open;
}

TEST(GrubScript, WritesEveryPrintableCharacterOrRefusesIt) {
  std::string refused;
  for (char c = ' '; c < 0x7f; ++c)
    for (const std::string& value : {std::string(1, c), std::string("a") + c, c + std::string("a"), std::string("a") + c + "b " + c,
                                     std::string(2, c), std::string("1G") + c + "4G"}) {
      const KernelParameter wish{"key", value};
      if (!not_for_grub(wish).empty()) {
        if (value.size() == 1) refused += c;
        continue;
      }
      for (const std::string& line : {print_grub_word(wish), "quiet " + print_grub_word(wish) + " after=1"}) {
        const auto read = parse_grub_words(line);
        EXPECT_NE(std::find(read.begin(), read.end(), wish), read.end()) << line;
        EXPECT_EQ(parse_grub_command(line).end, line.size()) << line;
      }
    }
  EXPECT_EQ(refused, "\"'\\");
  EXPECT_FALSE(not_for_grub({"a", "\xc2\xa0"}).empty()) << "a no-break space ends a word of the kernel";
  EXPECT_EQ(print_grub_word({"#x", std::nullopt}), "\\#x");
  EXPECT_EQ(print_grub_word({"pci", "resource_alignment=20@0000:01:00.0;20@0000:02:00.0"}),
            "pci=resource_alignment=20@0000:01:00.0\\;20@0000:02:00.0");
}

}  // namespace pvegpu::text
