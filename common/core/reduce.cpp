// SPDX-License-Identifier: MIT
// A scanner that finds where values end.
#include "common/core/reduce.hpp"

#include <cstring>

namespace pvegpu {
namespace {

constexpr int deepest = 64;  // as parse_json takes

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool copy(const Kept& kept, std::string& out, int depth = 0) {
    skip_space();
    if (kept.whole() || depth > deepest || at_end() || (text_[at_] != '{' && text_[at_] != '[')) {
      const std::size_t begin = at_;
      if (!skip_value()) return false;
      out.append(text_, begin, at_ - begin);
      return true;
    }
    const bool object = text_[at_] == '{';
    const char close = object ? '}' : ']';
    out += text_[at_++];
    bool first = true;
    skip_space();
    if (take(close)) {
      out += close;
      return true;
    }
    while (true) {
      skip_space();
      const Kept* inner = &kept;
      bool drop = false;
      std::string_view key;
      if (object) {
        if (!skip_string(&key)) return false;
        const auto found = kept.members.find(key);
        static const Kept everything{};
        inner = found != kept.members.end() ? &found->second : &everything;
        drop = found == kept.members.end() && !kept.others;
        skip_space();
        if (!take(':')) return false;
        skip_space();
      }
      if (drop) {
        if (!skip_value()) return false;
      } else {
        if (!first) out += ',';
        first = false;
        if (object) out.append("\"").append(key).append("\":");
        if (!copy(*inner, out, depth + 1)) return false;
      }
      skip_space();
      if (take(',')) continue;
      if (!take(close)) return false;
      out += close;
      return true;
    }
  }

  bool at_end() const { return at_ >= text_.size(); }
  void skip_space() {
    while (!at_end() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
  }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  /// `raw`: what is between the quotes, escapes as they are.
  bool skip_string(std::string_view* raw = nullptr) {
    if (!take('"')) return false;
    const std::size_t begin = at_;
    while (true) {
      const void* quote = at_end() ? nullptr : std::memchr(text_.data() + at_, '"', text_.size() - at_);
      if (!quote) return false;
      at_ = static_cast<std::size_t>(static_cast<const char*>(quote) - text_.data()) + 1;
      std::size_t backslashes = 0;
      while (at_ - 2 - backslashes >= begin && at_ - 2 - backslashes < text_.size() && text_[at_ - 2 - backslashes] == '\\') ++backslashes;
      if (backslashes % 2 == 1) continue;
      if (raw) *raw = text_.substr(begin, at_ - 1 - begin);
      return true;
    }
  }
  bool skip_value() {
    skip_space();
    std::size_t open = 0;
    while (!at_end()) {
      const char c = text_[at_];
      if (c == '"') {
        if (!skip_string()) return false;
        if (open == 0) return true;
        continue;
      }
      if (c == '{' || c == '[') {
        ++open;
      } else if (c == '}' || c == ']') {
        if (open == 0) return false;
        if (--open == 0) {
          ++at_;
          return true;
        }
      } else if (open == 0) {
        const std::size_t begin = at_;
        while (!at_end() && !std::strchr(",]} \n\r\t", text_[at_])) ++at_;
        return at_ > begin;
      }
      ++at_;
    }
    return false;
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

}  // namespace

void Kept::add(std::string_view path) {
  const std::size_t dot = path.find('.');
  Kept& member = members[std::string(path.substr(0, dot))];
  if (dot != path.npos) member.add(path.substr(dot + 1));
}

std::optional<std::string> reduce_json(std::string_view text, const Kept& kept) {
  Scanner scanner(text);
  std::string out;
  if (!scanner.copy(kept, out)) return std::nullopt;
  scanner.skip_space();
  if (!scanner.at_end()) return std::nullopt;
  return out;
}

std::optional<std::string> top_level_string(std::string_view text, std::string_view key) {
  Kept kept;
  kept.add(key);
  const auto found = reduce_json(text, kept);
  const std::string before = "{\"" + std::string(key) + "\":\"";
  if (!found || found->size() < before.size() + 2 || found->compare(0, before.size(), before) != 0) return std::nullopt;
  std::string value = found->substr(before.size(), found->size() - before.size() - 2);
  if (found->compare(found->size() - 2, 2, "\"}") != 0 || value.find_first_of("\"\\") != value.npos) return std::nullopt;
  return value;
}

}  // namespace pvegpu
