// SPDX-License-Identifier: MIT
// Standard output names sources ("Err:1 URI SUITE InRelease", the reason below), standard error repeats some of them, by file
// or by source, and adds what is not about fetching.
#include "common/apt/update_output.hpp"

#include "common/base/strings.hpp"

#include <algorithm>
#include <set>

namespace pvegpu::apt {
namespace {

/// "URI SUITE InRelease", "URI SUITE/COMPONENT amd64 Packages"
std::string source_of_item(std::string_view item) {
  const auto words = text::words(item);
  if (words.size() < 2) return {};
  const bool release = words.size() == 3 && (words[2].starts_with("Release") || words[2] == "InRelease");
  return source_name(words[0], release ? words[1] : words[1].substr(0, words[1].rfind('/')));
}

/// "URI/dists/SUITE/InRelease"
std::string source_of_file(const std::string& url) {
  const auto dists = url.rfind("/dists/");
  if (dists == url.npos) return {};
  const std::string below = url.substr(dists + 7);
  return source_name(url.substr(0, dists), below.substr(0, below.find('/')));
}

std::string between(const std::string& line, std::string_view before, std::string_view after) {
  const auto begin = line.find(before);
  if (begin == line.npos) return {};
  const auto from = begin + before.size();
  const auto end = line.find(after, from);
  return end == line.npos ? std::string() : line.substr(from, end - from);
}

/// What a line of standard error ("E: …", "W: …") tells about a source; nullopt when it tells nothing new.
std::optional<UpdateProblem> told_by(const std::string& line) {
  const std::string message = line.substr(3);
  if (message.starts_with("Failed to fetch ")) {
    const std::string rest = message.substr(16);
    const auto space = std::min(rest.find(' '), rest.size());
    const std::string reason = text::trim(rest.substr(space));
    return UpdateProblem{source_of_file(rest.substr(0, space)), reason.empty() ? "APT has no method for such URIs" : reason};
  }
  if (message.starts_with("Skipping acquire of configured file ")) {
    const std::string component = between(message, "doesn't have the component '", "'");
    if (component.empty()) return std::nullopt;  // no sources for deb-src, no such architecture: nothing that was there is lost
    return UpdateProblem{source_of_item(between(message, "as repository '", "'")), fmt::format("it has no component '{}'", component),
                         component};
  }
  if (line[0] != 'E') return std::nullopt;
  // These two come with others that say why.
  if (message.starts_with("Some index files failed") || message.starts_with("The list of sources could not be read")) return std::nullopt;
  if (const std::string driver = between(message, "The method driver ", " "); !driver.empty())
    return UpdateProblem{driver.substr(driver.rfind('/') + 1) + "://", "APT has no method for such URIs"};
  std::string source;
  if (message.starts_with("Release file for ")) {
    source = source_of_file(between(message, "Release file for ", " "));
  } else if (text::contains(message, "epository '")) {
    source = source_of_item(between(message, "epository '", "'"));
  } else if (const auto at = message.find("regarding source "); at != message.npos) {
    const auto words = text::words(message.substr(at + 17));
    if (words.size() >= 2) source = source_name(words[0], text::split(words[1], ':')[0]);
  }
  return UpdateProblem{source, message};
}

std::string without_stop(std::string sentence) {
  if (sentence.ends_with('.')) sentence.pop_back();
  return sentence;
}

/// What to do next, by what APT says of a source that is ours.
std::string_view advice(const std::string& reason) {
  static constexpr std::pair<std::string_view, std::string_view> table[] = {
      {"401", "the enterprise repository needs a subscription: enter its key, or choose another channel"},
      {"403", "the server refuses this host: name another mirror"},
      {"404", "it has no such release: check the mirror's address"},
      {"does not have a Release file", "it has no such release: check the mirror's address"},
      {"File not found", "it has no such release: check the mirror's address"},
      {"no component", "name a mirror that has it"},
      {"is expired", "if it is an archive, give its source the option check-valid-until=no (deb822: Check-Valid-Until: no)"},
      {"NO_PUBKEY", "install the keyring that has its key"},
      {"Missing key", "install the keyring that has its key"},
      {"keyring", "install the keyring that has its key"},
      {"not signed", "name a mirror that carries the signed release"},
      {"Conflicting values", "give both sources the same option, or switch one of them off"},
      {"resolv", "check the name and this host's DNS"},
      {"onnect", "check the network and the mirror's address"},
      {"Hash Sum", "the mirror is being updated or broken: run again later, or name another one"},
      {"lock", "another program uses APT: run again when it has ended"},
  };
  for (const auto& [part, words] : table)
    if (text::contains(reason, part)) return words;
  return "run apt-get update by hand to see more";
}

}  // namespace

std::string without_login(const std::string& uri) {
  const auto scheme = uri.find("://");
  if (scheme == uri.npos) return uri;
  const auto host = scheme + 3;
  const auto at = uri.substr(0, uri.find('/', host)).rfind('@');
  return at == uri.npos || at < host ? uri : uri.substr(0, host) + uri.substr(at + 1);
}

std::string source_name(const std::string& uri, const std::string& suite) {
  std::string archive = uri.starts_with("file:///") ? "file:" + uri.substr(7) : without_login(uri);
  while (archive.ends_with('/')) archive.pop_back();
  return fmt::format("{} {}", archive, suite);
}

std::vector<UpdateProblem> parse_update_output(const std::string& out, const std::string& err) {
  std::vector<UpdateProblem> problems;
  const auto add = [&](UpdateProblem problem) {
    if (problem.source.empty() && problem.reason.empty()) return;
    for (UpdateProblem& known : problems)
      if (known.source == problem.source && known.component == problem.component &&
          (!problem.source.empty() || known.reason == problem.reason)) {
        if (known.reason.empty()) known.reason = problem.reason;
        return;
      }
    problems.push_back(std::move(problem));
  };
  const auto lines = text::lines(out);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (!lines[i].starts_with("Err:")) continue;
    const auto space = lines[i].find(' ');
    if (space == std::string::npos) continue;
    const bool told = i + 1 < lines.size() && lines[i + 1].starts_with("  ");
    add({source_of_item(lines[i].substr(space)), told ? text::trim(lines[i + 1]) : ""});
  }
  for (const std::string& line : text::lines(err))
    if (line.starts_with("E: ") || line.starts_with("W: "))
      if (auto problem = told_by(line)) add(*std::move(problem));
  return problems;
}

json UpdateDuty::to_json() const {
  json list = json::array();
  for (const Wish& wish : wishes) list.push_back(wish.to_json());
  return {{"ours", ours}, {this_run, std::move(list)}};
}

UpdateDuty UpdateDuty::from_json(const json& value) {
  UpdateDuty out;
  if (!value.is_object()) return out;
  for (const json& source : value.value("ours", json::array()))
    if (source.is_string()) out.ours.push_back(source.get<std::string>());
  for (const json& wish : value.value(this_run, json::array())) out.wishes.push_back(Wish::from_json(wish));
  return out;
}

Judgement judge_update(const CommandResult& result, const UpdateDuty& duty, const HostView& host) {
  Judgement out;
  std::vector<std::string> failed;
  const auto problems = parse_update_output(result.out, result.err);
  Problems unread;
  const auto is_ours = [&](const UpdateProblem& problem) {
    return std::any_of(duty.ours.begin(), duty.ours.end(), [&](const std::string& one) {
      return problem.component.empty() ? one.starts_with(problem.source + " ") : one == problem.source + " " + problem.component;
    });
  };
  for (const UpdateProblem& problem : problems) {
    const auto& [source, reason, component] = problem;
    const std::string told = fmt::format("{}; {}", without_stop(reason), advice(reason));
    if (source.empty())
      failed.push_back(fmt::format("{}: {}", reason, advice(reason)));
    else if (is_ours(problem))
      failed.push_back(fmt::format("{}: {}", source, told));
    else
      unread[component.empty() ? source : source + " " + component] = told;
  }
  // APT names each of its errors; an end that none explains is not about other sources.
  if (result.exit_code != 0 && (problems.empty() || ("\n" + result.err).find("\nE: ") == std::string::npos))
    failed.push_back(fmt::format("exit code {}: {}", result.exit_code, text::trim(result.err)));
  if (failed.empty() && !duty.wishes.empty()) {
    const Policy policy(host);
    std::set<std::string> told;
    for (const Wish& wish : duty.wishes) {
      if (!policy.unknown().empty() || policy.offers(wish, unread)) continue;
      failed.push_back(policy.lacks(wish, unread));
      for (const Candidate& c : wish.candidates) told.insert({c.source, c.source + " " + c.component});
    }
    for (const std::string& source : told) unread.erase(source);
  }
  for (const auto& [source, reason, component] : problems)
    if (unread.count(component.empty() ? source : source + " " + component))
      out.warnings.push_back(fmt::format("apt-get update can't read {}, which this task did not change: {}", source, reason));
  if (!failed.empty()) out.failure = Error{fmt::format("{}", fmt::join(failed, " | "))};
  return out;
}

}  // namespace pvegpu::apt
