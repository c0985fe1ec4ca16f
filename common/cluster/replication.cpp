// SPDX-License-Identifier: MIT
// Replication. Formats: pve-guest-common's ReplicationConfig.pm and ReplicationState.pm.
#include "common/cluster/replication.hpp"

#include "common/host/json_file.hpp"
#include "common/base/strings.hpp"
#include "common/text/typed_config.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::cluster {
namespace {

constexpr const char* state_file = "/var/lib/pve-manager/pve-replication-state.json";

/// The process that runs the job is still the one that started it: /proc/PID/stat, field 22 (start time).
bool runs(const HostView& host, const json& state) {
  const auto pid = number_member(state, "pid").value_or(0);
  const auto stat = host.read_file(fmt::format("/proc/{}/stat", pid));
  if (pid <= 0 || !stat) return false;
  const auto fields = text::words(stat->substr(stat->rfind(')') + 1));  // the first of these is field 3
  return fields.size() > 19 && fields[19] == std::to_string(number_member(state, "ptime").value_or(0));
}

}  // namespace

void ReplicationJob::fields(Reply<ReplicationJob>& out) {
  out.field("id", &ReplicationJob::id, {.doc = "Id of the job.", .sample = "100-0"});
  out.field("guest", &ReplicationJob::guest, {.doc = "VMID of the guest."});
  out.field("target", &ReplicationJob::target, {.doc = "The node it goes to."});
  out.field("disabled", &ReplicationJob::disabled, {.doc = "Whether it is switched off."});
  out.field("running", &ReplicationJob::running, {.doc = "Whether it runs now."});
  out.field("last_sync", [](const ReplicationJob& job) { return job.last_sync == 0 ? std::nullopt : std::optional(job.last_sync); },
            {.doc = "When it last succeeded, in seconds since 1970; null when it never did."});
  out.field("failures", &ReplicationJob::failures, {.doc = "How often it failed since."});
  out.field("error", &ReplicationJob::error, {.doc = "The last error.", .null_if_empty = true});
}

std::vector<ReplicationJob> read_replication(Reader& reader, const std::vector<std::int64_t>& guests) {
  std::vector<ReplicationJob> out;
  for (const text::TypedSection& section :
       text::parse_typed_config(reader.file("/etc/pve/replication.cfg", "replication jobs").value_or(""))) {
    ReplicationJob job;
    job.id = section.id;
    const auto dash = section.id.find('-');
    const auto number = std::from_chars(section.id.data(), section.id.data() + std::min(dash, section.id.size()), job.guest);
    if (number.ec != std::errc() || std::find(guests.begin(), guests.end(), job.guest) == guests.end()) continue;
    if (const std::string* target = section.find("target")) job.target = *target;
    job.disabled = section.flag("disable");
    out.push_back(std::move(job));
  }
  if (out.empty()) return out;
  std::sort(out.begin(), out.end(), [](const ReplicationJob& a, const ReplicationJob& b) { return a.id < b.id; });
  const json all = read_json_object(reader, state_file, "state of the replication jobs");
  for (ReplicationJob& job : out) {
    const json& state = member(member(all, std::to_string(job.guest)), "local/" + job.target);
    job.running = runs(reader.host(), state);
    job.last_sync = number_member(state, "last_sync").value_or(0);
    job.failures = number_member(state, "fail_count").value_or(0);
    job.error = text::trim(string_member(state, "error"));
  }
  return out;
}

}  // namespace pvegpu::cluster
