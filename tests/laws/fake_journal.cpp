// SPDX-License-Identifier: MIT
// journalctl on the host in memory.
#include "tests/laws/fake_journal.hpp"

#include "common/base/strings.hpp"

#include <algorithm>
#include <regex>

namespace pvegpu {

CommandResult journal_answer(const FakeHost& host, const std::vector<std::string>& argv) {
  std::vector<std::string> lines;
  const auto add = [&](const std::string& log) {
    for (const std::string& line : text::lines(host.read_file("/run/rack-journal/" + log).value_or(""))) lines.push_back(line);
  };
  std::optional<std::string> pattern;
  std::size_t most = std::string::npos;
  bool quiet = false;
  for (std::size_t i = 1; i < argv.size(); ++i) {
    const auto equals = argv[i].starts_with("--") ? argv[i].find('=') : std::string::npos;
    const std::string option = argv[i].substr(0, equals);
    const auto value = [&] { return equals == std::string::npos ? argv.at(++i) : argv[i].substr(equals + 1); };
    if (option == "-k" || option == "--dmesg") add("kernel");
    if (option == "-u" || option == "--unit") {
      const std::string unit = value();
      add(text::contains(unit, ".") ? unit : unit + ".service");
    }
    if (option == "-n" || option == "--lines") most = std::stoul(value());
    if (option == "-g" || option == "--grep") pattern = value();
    if (option == "-q" || option == "--quiet") quiet = true;
  }
  if (pattern) {
    // as the real one: in lower case it takes either case
    const bool any_case = std::none_of(pattern->begin(), pattern->end(), [](unsigned char c) { return std::isupper(c); });
    const std::regex wanted(*pattern, any_case ? std::regex::ECMAScript | std::regex::icase : std::regex::ECMAScript);
    std::erase_if(lines, [&](const std::string& line) { return !std::regex_search(line, wanted); });
  }
  if (lines.size() > most) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(most));
  if (lines.empty()) return {pattern ? 1 : 0, false, quiet ? "" : "-- No entries --\n", ""};
  return {0, false, fmt::format("{}\n", fmt::join(lines, "\n")), ""};
}

void model_journal(FakeHost& host) { host.answer("journalctl", journal_answer); }

}  // namespace pvegpu
