// SPDX-License-Identifier: MIT
// GRUB's lexer for simple commands, and its inverse.
#include "common/text/grub_script.hpp"

#include "common/base/result.hpp"

namespace pvegpu::text {
namespace {

constexpr std::string_view ends_command = ";&|<>{}\n";
/// What print_grub_word puts a backslash before, which GRUB takes away again: besides those that end a command, variables and blanks,
/// file name patterns, comments and the reserved words [[ and ]].
constexpr std::string_view special = ";&|<>{}$ *?#[]";

bool is_name(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

/// The length of the variable that begins with the `$` at `at`; 1: none, which GRUB's lexer refuses.
std::size_t variable(std::string_view text, std::size_t at) {
  std::size_t end = at + 1;
  const bool brace = end < text.size() && text[end] == '{';
  if (brace) ++end;
  const std::size_t name = end;
  if (end < text.size() && std::string_view("?#*@").find(text[end]) != std::string_view::npos)
    ++end;
  else if (end < text.size() && is_name(text[end], true))
    while (end < text.size() && is_name(text[end], false)) ++end;
  else
    while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
  if (end == name || (brace && (end == text.size() || text[end] != '}'))) return 1;
  return end - at + (brace ? 1 : 0);
}

}  // namespace

GrubCommand parse_grub_command(std::string_view text) {
  GrubCommand out;
  std::string word;
  bool in_word = false;  // with a quote it is one though it may be empty
  char quote = '\0';
  std::size_t at = 0;
  const auto finish = [&] {
    if (in_word) out.arguments.push_back(word);
    word.clear();
    in_word = false;
  };
  for (; at < text.size(); ++at) {
    const char c = text[at];
    const bool last = at + 1 == text.size();
    if (quote == '\'') {
      if (c == '\'')
        quote = '\0';
      else
        word += c;
    } else if (c == '\\' && last) {
      out.open = true;
    } else if (quote == '"' && c == '\\') {  // stays before all but these
      if (std::string_view("$\\\"\n").find(text[++at]) == std::string_view::npos) word += '\\';
      if (text[at] != '\n') word += text[at];
    } else if (c == '\\') {
      if (text[++at] != '\n') word += text[at], in_word = true;
    } else if (c == '$' && !last && text[at + 1] == '"' && quote == '\0') {
      in_word = true;  // a string to be translated
    } else if (c == '$') {
      const std::size_t length = variable(text, at);
      if (length == 1) break;
      at += length - 1;
    } else if (c == '"') {
      quote = quote == '"' ? '\0' : '"';
      in_word = true;
    } else if (quote == '"') {
      word += c;
    } else if (c == '\'') {
      quote = c;
      in_word = true;
    } else if (ends_command.find(c) != ends_command.npos || (c == '#' && !in_word)) {
      break;
    } else if (c == ' ' || c == '\t') {
      finish();
    } else {
      word += c;
      in_word = true;
    }
  }
  out.open = out.open || quote != '\0';
  finish();
  out.end = at;
  return out;
}

std::string loader_cmdline(const std::vector<std::string>& arguments) {
  std::string out;
  for (const std::string& argument : arguments) {
    const bool blank = argument.find(' ') != argument.npos;
    if (!out.empty()) out += ' ';
    if (blank) out += '"';
    for (const char c : argument) {
      if (c == '\\' || c == '\'' || c == '"') out += '\\';
      out += c;
    }
    if (blank) out += '"';
  }
  return out;
}

std::vector<KernelParameter> parse_grub_words(std::string_view text) {
  return parse_kernel_cmdline(loader_cmdline(parse_grub_command(text).arguments));
}

std::string print_grub_word(const KernelParameter& parameter) {
  std::string out;
  for (const char c : parameter.value ? parameter.key + "=" + *parameter.value : parameter.key) {
    if (special.find(c) != special.npos) out += '\\';
    out += c;
  }
  return out;
}

std::string not_for_grub(const KernelParameter& parameter) {
  for (const char c : parameter.key + parameter.value.value_or("")) {
    if (c == '\\' || c == '\'' || c == '"')
      return fmt::format("the character {}: GRUB puts a backslash before it, which the kernel takes for a part of the value", c);
    if (static_cast<unsigned char>(c) >= 0x80) return fmt::format("the byte 0x{:02x}, which is not ASCII", static_cast<unsigned char>(c));
  }
  return {};
}

}  // namespace pvegpu::text
