// SPDX-License-Identifier: MIT
#include "common/text/deb822.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::text {
namespace {

/// The next line, without its newline; `file` begins behind it.
std::string_view next_line(std::string_view& file) {
  const std::string_view line = file.substr(0, file.find('\n'));
  file.remove_prefix(std::min(line.size() + 1, file.size()));
  return line;
}

}  // namespace

std::string field_of(std::string_view stanza, std::string_view name) {
  while (!stanza.empty()) {
    const std::string_view line = next_line(stanza);
    if (line.size() > name.size() && line[name.size()] == ':' && line.substr(0, name.size()) == name)
      return trim(line.substr(name.size() + 1));
  }
  return {};
}

std::string_view stanza_of(std::string_view file, std::string_view package) {
  // A package's name is the first field (dpkg, lib/dpkg/parse.c and dump.c).
  const std::string first = "Package: " + std::string(package) + "\n";
  for (auto at = file.find(first); at != file.npos; at = file.find(first, at + 1)) {
    if (at > 0 && file[at - 1] != '\n') continue;
    const std::string_view stanza = file.substr(at, std::min(file.find("\n\n", at), file.size()) - at);
    const std::string architecture = field_of(stanza, "Architecture");
    if (architecture.empty() || architecture == "amd64" || architecture == "all") return stanza;
  }
  return {};
}

std::string only_fields(std::string_view file, const std::string_view* names, std::size_t count) {
  std::string out;
  while (!file.empty()) {
    const std::string_view line = next_line(file);
    const std::string_view key = line.substr(0, line.find(':'));
    if (line.empty() || std::find(names, names + count, key) != names + count) out.append(line) += '\n';
  }
  return out;
}

}  // namespace pvegpu::text
