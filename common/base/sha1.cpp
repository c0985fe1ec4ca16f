// SPDX-License-Identifier: MIT
// SHA-1 (FIPS 180-4).
#include "common/base/sha1.hpp"

#include "common/base/result.hpp"

#include <cstdint>

namespace pvegpu::text {
namespace {

std::uint32_t rotate(std::uint32_t value, unsigned by) { return value << by | value >> (32 - by); }

void add_block(std::uint32_t (&state)[5], std::string_view block) {
  std::uint32_t w[80];
  for (unsigned i = 0; i < 16; ++i) {
    w[i] = 0;
    for (unsigned j = 0; j < 4; ++j) w[i] = w[i] << 8 | static_cast<unsigned char>(block[i * 4 + j]);
  }
  for (unsigned i = 16; i < 80; ++i) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
  auto [a, b, c, d, e] = state;
  for (unsigned i = 0; i < 80; ++i) {
    const std::uint32_t f = i < 20 ? (b & c) | (~b & d) : i < 40 ? b ^ c ^ d : i < 60 ? (b & c) | (b & d) | (c & d) : b ^ c ^ d;
    const std::uint32_t k = i < 20 ? 0x5a827999U : i < 40 ? 0x6ed9eba1U : i < 60 ? 0x8f1bbcdcU : 0xca62c1d6U;
    const std::uint32_t next = rotate(a, 5) + f + e + k + w[i];
    e = d;
    d = c;
    c = rotate(b, 30);
    b = a;
    a = next;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
  state[4] += e;
}

}  // namespace

std::string sha1_hex(std::string_view bytes) {
  std::uint32_t state[5] = {0x67452301U, 0xefcdab89U, 0x98badcfeU, 0x10325476U, 0xc3d2e1f0U};
  std::string padded(bytes);
  padded += static_cast<char>(0x80);
  padded.append((120 - padded.size() % 64) % 64, '\0');
  const std::uint64_t bits = static_cast<std::uint64_t>(bytes.size()) * 8;
  for (int shift = 56; shift >= 0; shift -= 8) padded += static_cast<char>(bits >> shift & 0xff);
  for (std::size_t at = 0; at < padded.size(); at += 64) add_block(state, std::string_view(padded).substr(at, 64));
  std::string out;
  for (const std::uint32_t word : state) out += fmt::format("{:08x}", word);
  return out;
}

}  // namespace pvegpu::text
