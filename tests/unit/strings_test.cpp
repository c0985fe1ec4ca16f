// SPDX-License-Identifier: MIT
// Words, lines, base64 and SHA-256, the latter two against published vectors.
#include "common/base/strings.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

using Words = std::vector<std::string>;

TEST(Strings, trim_takes_white_space_at_both_ends) {
  EXPECT_EQ(trim(" \t a b \r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(trim(""), "");
  EXPECT_EQ(trim_right(" a \n"), " a");
  EXPECT_EQ(trim_right("\n\n"), "");
}

TEST(Strings, lower_leaves_what_is_not_ascii) { EXPECT_EQ(lower("AbZ-É\xff"), "abz-É\xff"); }

TEST(Strings, split_keeps_empty_parts) {
  EXPECT_EQ(split("a,b", ','), (Words{"a", "b"}));
  EXPECT_EQ(split(",a,,", ','), (Words{"", "a", "", ""}));
  EXPECT_EQ(split("", ','), (Words{""}));
}

TEST(Strings, words_are_between_runs_of_white_space) {
  EXPECT_EQ(words("  a \t b\n"), (Words{"a", "b"}));
  EXPECT_TRUE(words(" \n").empty());
  EXPECT_TRUE(words("").empty());
}

TEST(Strings, lines_end_with_or_without_a_newline) {
  EXPECT_EQ(lines("a\nb"), (Words{"a", "b"}));
  EXPECT_EQ(lines("a\nb\n"), (Words{"a", "b"}));
  EXPECT_EQ(lines("\n\n"), (Words{"", ""}));
  EXPECT_TRUE(lines("").empty());
}

TEST(Strings, contains) {
  EXPECT_TRUE(contains("abc", "bc"));
  EXPECT_TRUE(contains("abc", ""));
  EXPECT_FALSE(contains("abc", "cb"));
}

TEST(Base64, rfc_4648_vectors) {
  const std::pair<const char*, const char*> vectors[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, coded] : vectors) {
    EXPECT_EQ(base64(plain), coded);
    EXPECT_EQ(from_base64(coded), plain);
  }
}

TEST(Base64, every_byte_comes_back) {
  std::string bytes;
  for (int length = 0; length < 300; ++length) {
    EXPECT_EQ(from_base64(base64(bytes)), bytes) << length;
    bytes += static_cast<char>(length * 7);
  }
}

TEST(Base64, what_is_not_base64_is_empty) {
  for (const char* text : {"Zg", "Zg=", "=g==", "Z===", "Zm9v!mFy", "Zg==Zg==", "Zm 9"}) EXPECT_EQ(from_base64(text), "") << text;
}

TEST(Sha256, fips_180_vectors) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, pieces_are_as_the_whole) {
  const std::string text(1000, 'x');
  for (const std::size_t piece : {1u, 55u, 56u, 63u, 64u, 65u, 999u}) {
    Sha256 hash;
    for (std::size_t at = 0; at < text.size(); at += piece) hash.add(text.substr(at, piece));
    EXPECT_EQ(hash.hex(), sha256_hex(text)) << piece;
  }
}

}  // namespace
}  // namespace pvegpu::text
