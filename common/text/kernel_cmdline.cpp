// SPDX-License-Identifier: MIT
// Taking kernel command lines apart and putting them together.
#include "common/text/kernel_cmdline.hpp"

#include <algorithm>
#include <cstdlib>

namespace pvegpu::text {
namespace {

/// The kernel's isspace (lib/ctype.c): Latin-1's no-break space too.
bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == '\xa0'; }

struct Token {
  std::size_t begin, end;
};

/// Blanks inside double quotes do not end a token.
std::vector<Token> tokens(std::string_view line) {
  std::vector<Token> out;
  for (std::size_t at = 0; at < line.size();) {
    if (is_blank(line[at])) {
      ++at;
      continue;
    }
    Token token{at, at};
    bool quoted = false;
    for (; at < line.size() && (quoted || !is_blank(line[at])); ++at)
      if (line[at] == '"') quoted = !quoted;
    token.end = at;
    out.push_back(token);
  }
  return out;
}

/// The kernel strips quotes around the whole token, or around the value.
KernelParameter parameter_of(std::string_view token) {
  if (token.size() >= 1 && token.front() == '"') {
    token.remove_prefix(1);
    if (token.ends_with('"')) token.remove_suffix(1);
  }
  const auto equals = token.find('=');
  KernelParameter out{std::string(token.substr(0, equals)), std::nullopt};
  if (equals == token.npos) return out;
  std::string_view value = token.substr(equals + 1);
  if (value.starts_with('"')) {
    value.remove_prefix(1);
    if (value.ends_with('"')) value.remove_suffix(1);
  }
  out.value = std::string(value);
  return out;
}

}  // namespace

std::string KernelParameter::print() const {
  if (!value) return key;
  // Quotes within a value are the kernel's to keep: such a value stands as it is.
  const bool blanks = std::any_of(value->begin(), value->end(), is_blank) && value->find('"') == value->npos;
  return blanks ? key + "=\"" + *value + "\"" : key + "=" + *value;
}

bool same_key(std::string_view a, std::string_view b) {
  const auto plain = [](char c) { return c == '-' ? '_' : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return plain(x) == plain(y); });
}

bool same_size(std::string_view a, std::string_view b) {
  const auto bytes = [](std::string_view text) {
    const std::string digits(text);
    char* end = nullptr;
    unsigned long long out = std::strtoull(digits.c_str(), &end, 0);
    constexpr std::string_view units = "KMGTPE";
    const auto unit = *end == '\0' ? units.npos : units.find(static_cast<char>(*end & ~0x20));
    return unit == units.npos ? out : out << 10 * (unit + 1);
  };
  return a == b || (!a.empty() && !b.empty() && bytes(a) == bytes(b));
}

bool operator==(const KernelParameter& a, const KernelParameter& b) {
  return same_key(a.key, b.key) && a.value == b.value && same_size(a.size, b.size);
}

void pair_hugepages(std::vector<KernelParameter>& parameters) {
  std::string size;
  for (KernelParameter& p : parameters) {
    if (p.key == "hugepagesz") size = p.value.value_or("");
    if (p.key == "hugepages") p.size = size;
  }
}

std::vector<KernelParameter> parse_kernel_cmdline(std::string_view line) {
  std::vector<KernelParameter> out;
  for (const Token& token : tokens(line)) {
    const std::string_view word = line.substr(token.begin, token.end - token.begin);
    if (word == "--") break;
    out.push_back(parameter_of(word));
  }
  pair_hugepages(out);
  return out;
}

std::optional<KernelParameter> parse_kernel_parameter(std::string_view token) {
  if (std::any_of(token.begin(), token.end(), [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; })) return std::nullopt;
  if (std::count(token.begin(), token.end(), '"') % 2 != 0) return std::nullopt;
  const auto found = tokens(token);
  if (found.size() != 1) return std::nullopt;
  KernelParameter out = parameter_of(token.substr(found[0].begin, found[0].end - found[0].begin));
  if (out.key.empty() || out.key == "--" || out.key.find('"') != out.key.npos) return std::nullopt;
  // Some quotings can't be written again so that the kernel reads the same: "a b", x=""y".
  const std::string printed = out.print();
  const auto again = parse_kernel_cmdline(printed);
  if (again.size() != 1 || again[0].key != out.key || again[0].value != out.value) return std::nullopt;
  if (std::count(printed.begin(), printed.end(), '"') % 2 != 0) return std::nullopt;
  return out;
}

std::string edit_parameters(std::string_view line, const ParameterEdit& edit) {
  const std::vector<KernelParameter> all = parse_kernel_cmdline(line);
  std::string out;
  std::size_t kept = 0;  // end of the last token that stays
  std::size_t number = 0;
  for (const Token& token : tokens(line)) {
    // Those behind "--" have no parameter: they are not the kernel's.
    const auto result = number < all.size() ? edit(all[number]) : std::nullopt;
    if (number < all.size() && !result) {
      // The first token has no blanks before it that it could take along: it takes those after it.
      if (out.empty() && kept == 0 && token.begin == 0)
        for (kept = token.end; kept < line.size() && line[kept] == ' ';) ++kept;
      else
        kept = token.end;
    } else if (number < all.size() && !(*result == all[number])) {
      out.append(line.substr(kept, token.begin - kept)).append(result->print());
      kept = token.end;
    } else {
      out.append(line.substr(kept, token.end - kept));
      kept = token.end;
    }
    ++number;
  }
  out.append(line.substr(kept));
  return out;
}

std::string without_parameters(std::string_view line, const std::vector<KernelParameter>& drop) {
  return edit_parameters(line, [&](const KernelParameter& p) {
    return std::find(drop.begin(), drop.end(), p) == drop.end() ? std::optional<KernelParameter>(p) : std::nullopt;
  });
}

std::string with_parameters(std::string_view line, const std::vector<KernelParameter>& add) {
  std::string words;
  for (const KernelParameter& parameter : add) words += (words.empty() ? "" : " ") + parameter.print();
  if (words.empty()) return std::string(line);
  for (const Token& token : tokens(line))
    if (line.substr(token.begin, token.end - token.begin) == "--")
      return std::string(line.substr(0, token.begin)) + words + " " + std::string(line.substr(token.begin));
  std::size_t end = line.size();
  while (end > 0 && is_blank(line[end - 1])) --end;
  const std::string head(line.substr(0, end));
  return head + (head.empty() ? "" : " ") + words + std::string(line.substr(end));
}

}  // namespace pvegpu::text
