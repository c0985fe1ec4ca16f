// SPDX-License-Identifier: MIT
// Words and lines: what the standard library of C++20 leaves out and every parser here needs.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pvegpu::text {

std::string trim(std::string_view s);  ///< without white space at both ends
std::string trim_right(std::string_view s);
std::string lower(std::string_view s);  ///< ASCII only
/// Every part between separators, empty ones too; "" gives one empty part.
std::vector<std::string> split(std::string_view s, char separator);
/// Words between runs of white space.
std::vector<std::string> words(std::string_view s);
/// Lines without their newline; a newline at the end starts no further line.
std::vector<std::string> lines(std::string_view s);
bool contains(std::string_view s, std::string_view part);

std::string base64(std::string_view bytes);
/// "" for what is not base64.
std::string from_base64(std::string_view text);

/// Lower-case hex SHA-256 (FIPS 180-4) of the bytes.
std::string sha256_hex(std::string_view bytes);

/// SHA-256 over several pieces.
class Sha256 {
 public:
  Sha256();
  void add(std::string_view bytes);
  std::string hex();  ///< ends it

 private:
  void block(const unsigned char* data);
  unsigned state_[8];
  unsigned long long length_ = 0;
  unsigned char buffer_[64];
  unsigned used_ = 0;
};

}  // namespace pvegpu::text
