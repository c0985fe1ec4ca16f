// SPDX-License-Identifier: MIT
// corosync.conf and the output of corosync-quorumtool.
#include "common/text/corosync_conf.hpp"

#include "common/base/strings.hpp"

#include <charconv>
#include <cstdlib>

namespace pvegpu::text {
namespace {

std::optional<unsigned> number(const std::string& text) {
  unsigned out = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), out);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return out;
}

}  // namespace

unsigned CorosyncConf::votes_of_nodes() const {
  unsigned out = 0;
  for (const CorosyncNode& node : nodes) out += node.votes;
  return out;
}

unsigned CorosyncConf::votes_of_device() const {
  if (!has_device) return 0;
  if (device_votes) return *device_votes;
  const unsigned all = votes_of_nodes();
  return all > 0 ? all - 1 : 0;
}

Result<CorosyncConf> parse_corosync_conf(std::string_view text) {
  std::vector<std::string> tokens;
  for (const std::string& line : lines(text))
    for (std::string& word : words(line.substr(0, line.find('#')))) tokens.push_back(std::move(word));
  CorosyncConf out;
  std::vector<std::string> path;
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const std::string& token = tokens[i];
    if (token == "}") {
      if (path.empty()) return Error{"a '}' too many"};
      path.pop_back();
      continue;
    }
    if (i + 1 < tokens.size() && tokens[i + 1] == "{") {
      path.push_back(token);
      const std::string where = fmt::format("{}", fmt::join(path, "/"));
      if (where == "nodelist/node") out.nodes.emplace_back();
      if (where == "quorum/device") out.has_device = true;
      ++i;
      continue;
    }
    if (!token.ends_with(':')) return Error{fmt::format("'{}' is neither a section nor a key with its colon", token)};
    if (i + 1 >= tokens.size() || tokens[i + 1] == "}") return Error{fmt::format("'{}' has no value", token)};
    const std::string value = tokens[++i];
    const std::string key = fmt::format("{}/{}", fmt::join(path, "/"), token.substr(0, token.size() - 1));
    if (key == "totem/cluster_name") out.cluster_name = value;
    if (key == "nodelist/node/name") out.nodes.back().name = value;
    if (key == "nodelist/node/nodeid") out.nodes.back().id = number(value).value_or(0);
    if (key == "nodelist/node/quorum_votes") out.nodes.back().votes = number(value).value_or(1);
    if (key == "quorum/two_node") out.two_node = value == "1";
    if (key == "quorum/expected_votes") out.expected_votes = number(value);
    if (key == "quorum/device/votes") out.device_votes = number(value);
  }
  if (!path.empty()) return Error{fmt::format("the section '{}' does not end", path.back())};
  return out;
}

std::vector<QuorumMember> parse_quorum_members(std::string_view text) {
  std::vector<QuorumMember> out;
  bool inside = false;
  for (const std::string& line : lines(text)) {
    const auto row = words(line);
    if (row.size() >= 3 && row[0] == "Nodeid") {
      inside = true;
    } else if (inside && row.size() >= 3) {
      char* end = nullptr;
      const long long id = std::strtoll(row[0].c_str(), &end, 0);  // -H prints 0x00000001
      if (*end == '\0' && id > 0) out.push_back({id, row[2].starts_with("A,V,")});
    }
  }
  return out;
}

}  // namespace pvegpu::text
