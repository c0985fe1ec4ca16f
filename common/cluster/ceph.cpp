// SPDX-License-Identifier: MIT
// Ceph. Codes: Ceph's documentation, rados/operations/health-checks.
#include "common/cluster/ceph.hpp"

#include "common/host/json_file.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::cluster {
namespace {

constexpr const char* configuration = "/etc/pve/ceph.conf";

/// Daemons of this node: directories "ceph-ID".
std::vector<std::string> daemons(const HostView& host, const std::string& directory, const char* proof) {
  constexpr std::string_view prefix = "ceph-";
  std::vector<std::string> out;
  for (const std::string& name : host.list_dir(directory).value_or({}))
    if (name.starts_with(prefix) && host.exists(fmt::format("{}/{}/{}", directory, name, proof))) out.push_back(name.substr(prefix.size()));
  return out;
}

std::string last_line(const std::string& text) {
  std::string out;
  for (const std::string& line : text::lines(text))
    if (!text::trim(line).empty()) out = text::trim(line);
  return out;
}

void read_status(Ceph& out, const json& status) {
  const json& health = member(status, "health");
  out.health = string_member(health, "status");
  if (const json& checks = member(health, "checks"); checks.is_object())
    for (const auto& [code, check] : checks.items())
      out.checks.push_back(
          {code, string_member(check, "severity"), string_member(member(check, "summary"), "message"), member(check, "muted") == true});
  for (const CephCheck& check : out.checks) {
    // "noout,norebalance flag(s) set"
    if (check.code == "OSDMAP_FLAGS") out.flags = text::split(check.message.substr(0, check.message.find(' ')), ',');
  }
  if (const json& states = member(member(status, "pgmap"), "pgs_by_state"); states.is_array())
    for (const json& state : states) {
      const auto parts = text::split(string_member(state, "state_name"), '+');
      const auto has = [&](const char* part) { return std::find(parts.begin(), parts.end(), part) != parts.end(); };
      if (!has("active") || !has("clean"))
        out.states.emplace_back(string_member(state, "state_name"), number_member(state, "count").value_or(0));
    }
  out.monitors = number_member(member(status, "monmap"), "num_mons").value_or(0);
  if (const json& names = member(status, "quorum_names"); names.is_array())
    for (const json& name : names)
      if (name.is_string()) out.quorum.push_back(name.get<std::string>());
}

}  // namespace

bool Ceph::has_flag(std::string_view flag) const { return std::find(flags.begin(), flags.end(), flag) != flags.end(); }

std::int64_t Ceph::monitors_left() const {
  return std::count_if(quorum.begin(), quorum.end(), [&](const std::string& name) {
    return std::find(monitors_here.begin(), monitors_here.end(), name) == monitors_here.end();
  });
}

std::optional<Ceph> read_ceph(const HostView& host) {
  if (!host.exists(configuration)) return std::nullopt;
  Ceph out;
  const auto asked = host.query(Query::ceph_status());
  if (!asked || asked->exit_code != 0 || asked->timed_out) {
    out.problem = !asked ? asked.error().message : asked->timed_out ? "it did not answer in time" : last_line(asked->err);
    return out;
  }
  const auto status = parse_json(asked->out);
  if (!status || string_member(member(*status, "health"), "status").empty()) {
    out.problem = "its answer has no health";
    return out;
  }
  read_status(out, *status);
  out.monitors_here = daemons(host, "/var/lib/ceph/mon", "keyring");
  for (const std::string& id : daemons(host, "/var/lib/ceph/osd", "whoami")) {
    std::int64_t number = 0;
    if (std::from_chars(id.data(), id.data() + id.size(), number).ec == std::errc()) out.osds_here.push_back(number);
  }
  if (out.osds_here.empty()) return out;
  const auto stop = host.query(Query::ceph_ok_to_stop(out.osds_here));
  // 0 or EBUSY; from Ceph 14.2.22 on the details are JSON, before they are a sentence (the message of either is on stderr).
  out.ok_to_stop = stop && stop->exit_code == 0;
  if (!*out.ok_to_stop) out.ok_to_stop_message = !stop ? stop.error().message : last_line(stop->err);
  return out;
}

bool is_harmless(const CephCheck& check) {
  // What is not listed counts.
  constexpr std::string_view codes[] = {"AUTH_INSECURE_GLOBAL_ID_RECLAIM",
                                        "AUTH_INSECURE_GLOBAL_ID_RECLAIM_ALLOWED",
                                        "BLUEFS_SPILLOVER",
                                        "BLUESTORE_LEGACY_STATFS",
                                        "BLUESTORE_NO_COMPRESSION",
                                        "BLUESTORE_NO_PER_PG_OMAP",
                                        "BLUESTORE_NO_PER_POOL_OMAP",
                                        "LARGE_OMAP_OBJECTS",
                                        "MANY_OBJECTS_PER_PG",
                                        "MGR_MODULE_DEPENDENCY",
                                        "MON_DISK_BIG",
                                        "MON_MSGR2_NOT_ENABLED",
                                        "OLD_CRUSH_STRAW_CALC_VERSION",
                                        "OLD_CRUSH_TUNABLES",
                                        "PG_NOT_DEEP_SCRUBBED",
                                        "PG_NOT_SCRUBBED",
                                        "POOL_APP_NOT_ENABLED",
                                        "POOL_HAS_TARGET_SIZE_BYTES_AND_RATIO",
                                        "POOL_NEAR_FULL",
                                        "POOL_PG_NUM_NOT_POWER_OF_TWO",
                                        "POOL_TARGET_SIZE_BYTES_OVERCOMMITTED",
                                        "POOL_TOO_FEW_PGS",
                                        "POOL_TOO_MANY_PGS",
                                        "RECENT_CRASH",
                                        "RECENT_MGR_MODULE_CRASH",
                                        "SMALLER_PGP_NUM",
                                        "TELEMETRY_CHANGED",
                                        "TOO_FEW_PGS",
                                        "TOO_MANY_PGS"};
  if (check.severity != "HEALTH_ERR" && std::find(std::begin(codes), std::end(codes), check.code) != std::end(codes)) return true;
  if (check.code != "OSDMAP_FLAGS") return false;
  const auto flags = text::split(check.message.substr(0, check.message.find(' ')), ',');
  return std::all_of(flags.begin(), flags.end(), [](const std::string& flag) {
    return flag == "noout" || flag == "norebalance" || flag == "noscrub" || flag == "nodeep-scrub";
  });
}

}  // namespace pvegpu::cluster
