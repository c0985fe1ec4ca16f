// SPDX-License-Identifier: MIT
#include "common/apt/policy.hpp"

#include "common/apt/update_output.hpp"
#include "common/base/strings.hpp"

namespace pvegpu::apt {
namespace {

std::string first_error(const CommandResult& result) {
  for (const std::string& line : text::lines(result.err))
    if (line.starts_with("E: ")) return line.substr(3);
  return fmt::format("apt-cache policy ends with exit code {}", result.exit_code);
}

std::string problem_of(const Candidate& c, const Problems& problems) {
  for (const std::string& name : {c.source, c.source + " " + c.component})
    if (const auto problem = problems.find(name); problem != problems.end()) return problem->second;
  return {};
}

}  // namespace

std::vector<PackageFile> parse_policy(const std::string& out) {
  // " 500 URI SUITE/COMPONENT amd64 Packages", below it "     release o=...,n=...,c=...". A path ("./") has no component and no
  // architecture, a source without a Release file no such second line.
  std::vector<PackageFile> files;
  bool open = false;
  for (const std::string& line : text::lines(out)) {
    const auto words = text::words(line);
    if (words.size() == 5 && words[4] == "Packages") {
      const auto slash = std::min(words[2].rfind('/'), words[2].size());
      files.push_back({static_cast<int>(std::strtol(words[0].c_str(), nullptr, 10)), source_name(words[1], words[2].substr(0, slash)),
                       words[2].substr(std::min(slash + 1, words[2].size())), ""});
    } else if (open && !words.empty() && words[0] == "release") {
      for (const std::string& part : text::split(text::trim(line).substr(7), ','))
        if (text::trim(part).starts_with("n=")) files.back().codename = text::trim(part).substr(2);
    }
    open = words.size() == 5 && words[4] == "Packages";
  }
  return files;
}

json Wish::to_json() const {
  json list = json::array();
  for (const Candidate& c : candidates)
    list.push_back({{"place", c.place}, {"source", c.source}, {"component", c.component}, {"doubt", c.doubt}});
  return {{"channel", channel}, {"codename", codename}, {"candidates", std::move(list)}};
}

Wish Wish::from_json(const json& value) {
  const auto text = [](const json& from, const char* key) {
    return from.is_object() && from.contains(key) && from[key].is_string() ? from[key].get<std::string>() : std::string();
  };
  Wish out{text(value, "channel"), text(value, "codename"), {}};
  if (value.is_object() && value.contains("candidates"))
    for (const json& c : value["candidates"])
      out.candidates.push_back({text(c, "place"), text(c, "source"), text(c, "component"), text(c, "doubt")});
  return out;
}

Policy::Policy(const HostView& host) {
  const auto result = host.query(Query::apt_policy());
  if (!result)
    unknown_ = result.error().message;
  else if (result->timed_out)
    unknown_ = "apt-cache policy did not end in time";
  else if (result->exit_code != 0)
    refusal_ = first_error(*result);
  else
    files_ = parse_policy(result->out);
}

const PackageFile* Policy::find(const std::string& source, const std::string& component, const std::string& codename) const {
  for (const PackageFile& file : files_)
    // A mirror may say nothing of the release; one that says another has the packages of that one.
    if (file.source == source && file.component == component && (file.codename.empty() || file.codename == codename)) return &file;
  return nullptr;
}

const PackageFile* Policy::offers(const Wish& wish, const Problems& problems) const {
  for (const Candidate& c : wish.candidates)
    if (const PackageFile* file = problem_of(c, problems).empty() ? find(c.source, c.component, wish.codename) : nullptr) return file;
  return nullptr;
}

std::string Policy::lacks(const Wish& wish, const Problems& problems) const {
  std::vector<std::string> out;
  for (const Candidate& c : wish.candidates) {
    std::string why = "APT has no packages of it";
    for (const PackageFile& file : files_)
      if (file.source == c.source && file.component == c.component && file.codename != wish.codename)
        why = fmt::format("its Release file is of {}, not {}", file.codename, wish.codename);
    if (const std::string problem = problem_of(c, problems); !problem.empty()) why = problem;
    if (!c.doubt.empty()) why += "; " + c.doubt;
    out.push_back(fmt::format("{} ({} {}): {}", c.place, c.source, c.component, why));
  }
  if (!refusal_.empty()) out.push_back(refusal_);
  return fmt::format("no active source offers {}: {}", wish.channel, fmt::join(out, " | "));
}

}  // namespace pvegpu::apt
