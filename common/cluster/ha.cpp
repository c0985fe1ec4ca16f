// SPDX-License-Identifier: MIT
// HA manager. Formats and states: pve-ha-manager's Manager.pm, NodeStatus.pm, LRM.pm, Resources.pm.
#include "common/cluster/ha.hpp"

#include "common/host/json_file.hpp"
#include "common/text/property_string.hpp"
#include "common/base/strings.hpp"
#include "common/text/typed_config.hpp"

#include <algorithm>

namespace pvegpu::cluster {
namespace {

std::string shutdown_policy(Reader& reader) {
  for (const std::string& line : text::lines(reader.file("/etc/pve/datacenter.cfg", "settings of the data centre").value_or(""))) {
    if (!line.starts_with("ha:")) continue;
    const auto properties = text::parse_property_string(text::trim(line.substr(3)));
    if (!properties) continue;
    if (const std::string* policy = properties->find("shutdown_policy")) return *policy;
  }
  return "conditional";
}

}  // namespace

void HaService::fields(Reply<HaService>& out) {
  out.field("sid", &HaService::sid, {.doc = "Its id.", .sample = "vm:100"});
  out.field("node", &HaService::node, {.doc = "Where it is, null when HA has not seen it yet.", .null_if_empty = true});
  out.field("state", &HaService::state,
            {.doc = "What HA does with it now; C(queued) when HA has not seen it yet, C(ignored) when it shall not."});
  out.field("request", &HaService::request, {.doc = "What HA shall do with it; C(none) when it is no HA resource any more."});
}

bool Ha::active() const {
  return std::any_of(services.begin(), services.end(), [](const HaService& s) { return s.request != "ignored" && s.request != "none"; });
}

std::set<std::string> Ha::nodes_in(std::string_view state) const {
  std::set<std::string> out;
  for (const auto& [node, now] : node_states)
    if (now == state) out.insert(node);
  return out;
}

const HaService* Ha::find(const std::string& sid) const {
  const auto it = std::find_if(services.begin(), services.end(), [&](const HaService& s) { return s.sid == sid; });
  return it == services.end() ? nullptr : &*it;
}

Ha read_ha(Reader& reader, const std::string& node) {
  Ha out;
  std::map<std::string, HaService> services;
  for (const text::TypedSection& section :
       text::parse_typed_config(reader.file("/etc/pve/ha/resources.cfg", "HA resources").value_or(""))) {
    HaService service;
    service.sid = section.type + ":" + section.id;
    service.state = "queued";
    const std::string* request = section.find("state");
    service.request = !request || *request == "enabled" ? "started" : *request;
    if (service.request == "ignored") service.state = "ignored";
    services[service.sid] = std::move(service);
  }
  const json manager = read_json_object(reader, "/etc/pve/ha/manager_status", "state of the HA manager");
  out.master = string_member(manager, "master_node");
  out.master_seen = number_member(manager, "timestamp");
  out.disarmed = member(manager, "disarm").is_object();
  if (const json& states = member(manager, "node_status"); states.is_object())
    for (const auto& [name, state] : states.items())
      if (state.is_string()) out.node_states[name] = state.get<std::string>();
  if (const json& all = member(manager, "service_status"); all.is_object())
    for (const auto& [sid, status] : all.items()) {
      if (!status.is_object()) continue;
      HaService& service = services[sid];
      if (service.sid.empty()) service.request = "none";
      service.sid = sid;
      service.node = string_member(status, "node");
      service.state = string_member(status, "state");
    }
  for (auto& [sid, service] : services) out.services.push_back(std::move(service));

  const json lrm = read_json_object(reader, fmt::format("/etc/pve/nodes/{}/lrm_status", node), "state of the local resource manager");
  out.lrm_mode = string_member(lrm, "mode");
  out.lrm_state = string_member(lrm, "state");
  out.lrm_seen = number_member(lrm, "timestamp");
  out.shutdown_policy = shutdown_policy(reader);
  return out;
}

}  // namespace pvegpu::cluster
