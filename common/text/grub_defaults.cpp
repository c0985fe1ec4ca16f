// SPDX-License-Identifier: MIT
// Our drop-in, and plain assignments of others.
#include "common/text/grub_defaults.hpp"

#include "common/base/result.hpp"
#include "common/text/grub_script.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::text {
namespace {

constexpr std::string_view assignment = "GRUB_CMDLINE_LINUX_DEFAULT=\"$GRUB_CMDLINE_LINUX_DEFAULT ";
constexpr std::string_view mark = "\"  # pve.gpu";
constexpr std::string_view head = "# Made by pve.gpu (";
constexpr std::string_view earlier_head = "# Made by pve.gpu; `state: absent` takes it back.";
constexpr std::string_view shell_special = "\"$`\\";

std::string escaped(std::string_view word) {
  std::string out;
  for (const char c : word) {
    if (shell_special.find(c) != shell_special.npos) out += '\\';
    out += c;
  }
  return out;
}

std::string unescaped(std::string_view word) {
  std::string out;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word[i] == '\\' && i + 1 < word.size() && shell_special.find(word[i + 1]) != shell_special.npos) ++i;
    out += word[i];
  }
  return out;
}

/// The words in a double-quoted shell string that neither ends early nor expands anything; nullopt: it is not such a one.
std::optional<std::string_view> plain_words(std::string_view line, std::string_view end) {
  if (!line.starts_with(assignment) || line.size() < assignment.size() + end.size() || !line.ends_with(end)) return std::nullopt;
  const std::string_view words = line.substr(assignment.size(), line.size() - assignment.size() - end.size());
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == '\\' && ++i < words.size()) continue;
    if (i >= words.size() || shell_special.find(words[i]) != shell_special.npos) return std::nullopt;
  }
  return words;
}

/// The value of `[export ]GRUB_CMDLINE_LINUX[_DEFAULT]=…`, without its quotes; an empty range when the line is something else.
struct Range {
  std::size_t begin = 0, end = 0;
  char quote = '\0';
  bool is_assignment = false;
};
Range assigned(std::string_view line) {
  std::size_t at = line.find_first_not_of(" \t");
  if (at == line.npos) return {};
  if (line.substr(at).starts_with("export ")) at += 7;
  constexpr std::string_view name = "GRUB_CMDLINE_LINUX";
  if (!line.substr(at).starts_with(name)) return {};
  at += name.size();
  if (line.substr(at).starts_with("_DEFAULT")) at += 8;
  if (at >= line.size() || line[at] != '=') return {};
  Range out{at + 1, at + 1, '\0', true};
  if (++at < line.size() && (line[at] == '"' || line[at] == '\'')) {
    out.quote = line[at];
    std::size_t end = ++at;
    while (end < line.size() && line[end] != out.quote) end += out.quote == '"' && line[end] == '\\' ? 2u : 1u;
    if (end < line.size()) out.begin = at, out.end = end;
  } else {
    const std::size_t end = line.find_first_of(" \t\n;&|\"'`$\\#()<>", at);
    if (end == line.npos || line[end] == '\n' || line[end] == ' ' || line[end] == '\t') out.end = std::min(end, line.size());
  }
  return out;
}

/// Where words of GRUB's language begin and end in a shell string: at blanks outside of GRUB's quotes.
std::vector<std::pair<std::size_t, std::size_t>> word_ranges(std::string_view raw, bool shell_escapes) {
  std::vector<std::pair<std::size_t, std::size_t>> out;
  bool in_word = false, escaped_next = false;
  char quote = '\0';
  for (std::size_t at = 0; at < raw.size(); ++at) {
    const std::size_t begin = at;
    if (shell_escapes && raw[at] == '\\' && at + 1 < raw.size() && shell_special.find(raw[at + 1]) != shell_special.npos) ++at;
    const char c = raw[at];
    const bool blank = (c == ' ' || c == '\t') && quote == '\0' && !escaped_next;
    if (!blank && !in_word) out.emplace_back(begin, begin);
    if (!blank) out.back().second = at + 1;
    in_word = !blank;
    if (escaped_next)
      escaped_next = false;
    else if (c == '\\' && quote != '\'')
      escaped_next = true;
    else if (quote != '\0' ? c == quote : (c == '"' || c == '\''))
      quote = quote != '\0' ? '\0' : c;
  }
  return out;
}

/// The parameters of an assigned value, each with its range in the line; words that the shell or GRUB expands have none.
struct Placed {
  KernelParameter parameter;
  std::size_t begin = 0, end = 0;
};
std::vector<Placed> placed(std::string_view line, const Range& range) {
  std::vector<Placed> out;
  std::vector<KernelParameter> all;
  const bool shell = range.quote == '"';
  const std::string_view raw = line.substr(range.begin, range.end - range.begin);
  for (const auto& [begin, end] : word_ranges(raw, shell)) {
    const std::string_view word = raw.substr(begin, end - begin);
    bool expands = false;  // by the shell
    for (std::size_t i = 0; shell && i < word.size(); ++i)
      if (word[i] == '\\')
        ++i;
      else
        expands = expands || word[i] == '$' || word[i] == '`';
    const auto found = expands ? std::vector<KernelParameter>() : parse_grub_words(shell ? unescaped(word) : std::string(word));
    if (found.size() != 1) continue;
    all.push_back(found[0]);
    out.push_back({found[0], range.begin + begin, range.begin + end});
  }
  pair_hugepages(all);
  for (std::size_t i = 0; i < all.size(); ++i) out[i].parameter = all[i];
  return out;
}

/// Each line of a file, its newline with it.
std::vector<std::string_view> whole_lines(std::string_view file) {
  std::vector<std::string_view> out;
  while (!file.empty()) {
    const std::size_t newline = std::min(file.find('\n'), file.size() - 1);
    out.push_back(file.substr(0, newline + 1));
    file.remove_prefix(newline + 1);
  }
  return out;
}

std::string edited(std::string_view line, const ParameterEdit& edit) {
  const Range range = assigned(line);
  std::string out;
  std::size_t kept = 0;
  for (const Placed& each : placed(line, range)) {
    const auto result = edit(each.parameter);
    if (result && *result == each.parameter) continue;
    std::size_t begin = each.begin, end = each.end;
    std::string text;
    if (result)
      text = range.quote == '"' ? escaped(print_grub_word(*result)) : print_grub_word(*result);
    else if (begin == range.begin)  // the first word takes the blanks after it along, all others those before
      while (end < range.end && line[end] == ' ') ++end;
    else
      while (begin > std::max(kept, range.begin) && line[begin - 1] == ' ') --begin;
    out.append(line.substr(kept, begin - kept)).append(text);
    kept = end;
  }
  return out.append(line.substr(kept));
}

}  // namespace

GrubDropin parse_grub_dropin(std::string_view file) {
  GrubDropin out;
  bool after_earlier_head = false;
  for (const std::string_view whole : whole_lines(file)) {
    const std::string_view line = whole.ends_with('\n') ? whole.substr(0, whole.size() - 1) : whole;
    const auto marked = plain_words(line, mark);
    const auto old = after_earlier_head ? plain_words(line, "\"") : std::nullopt;
    std::vector<KernelParameter> words;
    if (marked)
      words = parse_grub_words(unescaped(*marked));
    else if (old)  // its words were the kernel's, not GRUB's
      words = parse_kernel_cmdline(unescaped(*old));
    else if (!line.starts_with(head) && line != earlier_head)
      out.foreign += whole;
    out.parameters.insert(out.parameters.end(), words.begin(), words.end());
    out.has_ours = out.has_ours || marked || old;
    after_earlier_head = line == earlier_head;
  }
  return out;
}

std::string print_grub_dropin(const std::vector<KernelParameter>& parameters, std::string_view module, std::string_view file) {
  std::string ours =
      fmt::format("# Made by pve.gpu ({}). To change it run that module again; its `state: absent` takes it back.\n{}", module, assignment);
  for (std::size_t i = 0; i < parameters.size(); ++i) ours += (i == 0 ? "" : " ") + escaped(print_grub_word(parameters[i]));
  ours.append(mark).append("\n");

  std::string out;
  bool written = false;
  const auto all = whole_lines(file);
  std::string before;
  for (const std::string_view whole : all) {
    const GrubDropin one = parse_grub_dropin(before + std::string(whole));
    const std::string_view line = whole.ends_with('\n') ? whole.substr(0, whole.size() - 1) : whole;
    before = line == earlier_head ? std::string(whole) : std::string();
    if (one.has_ours && !written) out += ours;
    written = written || one.has_ours;
    out += one.foreign;
  }
  if (!out.empty() && !out.ends_with('\n')) out += '\n';
  return written ? out : out + ours;
}

unsigned grub_line_with(std::string_view file, const KernelParameter& parameter) {
  unsigned number = 0;
  for (const std::string_view line : whole_lines(file)) {
    ++number;
    for (const Placed& each : placed(line, assigned(line)))
      if (each.parameter == parameter) return number;
  }
  return 0;
}

unsigned grub_assignment_line(std::string_view file) {
  unsigned number = 0, usual = 0, other = 0;
  for (const std::string_view line : whole_lines(file)) {
    ++number;
    if (assigned(line).is_assignment) (contains(line.substr(0, line.find('=')), "_DEFAULT") ? usual : other) = number;
  }
  return usual > 0 ? usual : other;
}

unsigned grub_broken_line(std::string_view file) {
  unsigned number = 0;
  for (const std::string_view line : whole_lines(file)) {
    ++number;
    const Range range = assigned(line);
    const std::string_view raw = line.substr(range.begin, range.end - range.begin);
    const std::string value = range.quote == '"' ? unescaped(raw) : std::string(raw);
    const GrubCommand command = parse_grub_command(value);
    const bool goes_on = range.quote != '\0' && std::count(line.begin(), line.end(), range.quote) == 1;
    if (range.is_assignment && (goes_on || command.open || command.end < value.size())) return number;
  }
  return grub_assignment_line(file);
}

std::string edit_grub_parameters(std::string_view file, const ParameterEdit& edit) {
  std::string out;
  for (const std::string_view line : whole_lines(file)) out += edited(line, edit);
  return out;
}

}  // namespace pvegpu::text
