// SPDX-License-Identifier: MIT
// What ansible-doc is told of a module.
#include "common/core/module.hpp"
#include "common/core/outcome.hpp"

namespace pvegpu {
namespace {

/// With what every module answers (outcome.hpp).
json returns(const ModuleDoc& doc) {
  json out = doc.answer ? doc.answer().describe() : json::object();
  json of_all = reply_of<Outcome>().describe();
  of_all["invocation"] = {{"description", "The parameters that the task ran with, defaults included, secrets masked."},
                          {"returned", "always"},
                          {"type", "dict"}};
  for (auto& [name, entry] : of_all.items())
    if (doc.effects == Effects::allowed || name == "msg" || name == "invocation") out[name] = std::move(entry);
  return out;
}

json sentences(const DocTexts& texts) {
  json out = json::array();
  for (const DocText& text : texts) out.push_back(text.text());
  return out;
}

}  // namespace

std::optional<json> Module::describe() const {
  if (!documented()) return std::nullopt;
  const bool changes = doc_.effects == Effects::allowed;
  const json full_check{{"support", "full"}, {"description", "Can run in check mode: it plans and changes nothing."}};
  const json diff = changes ? json{{"support", "full"}, {"description", "Returns what it changed, or would change, file by file."}}
                            : json{{"support", "none"}, {"description", "It changes nothing, so there is no difference to show."}};
  json documentation{{"module", doc_.name},
                     {"short_description", doc_.summary.text()},
                     {"version_added", "0.1.0"},
                     {"description", sentences(doc_.description)},
                     {"author", json::array({"the pve.gpu authors (@pve-gpu)"})}};
  json notes = sentences(doc_.notes);
  notes.push_back("It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.");
  for (const json& sentence : constraints()) notes.push_back(sentence);
  documentation["notes"] = std::move(notes);
  documentation["attributes"] = {{"check_mode", full_check},
                                 {"diff_mode", diff},
                                 {"platform", {{"support", "full"}, {"description", "Proxmox VE 7, 8 and 9."}, {"platforms", "debian"}}}};
  documentation["options"] = options();
  return json{{"DOCUMENTATION", std::move(documentation)}, {"EXAMPLES", doc_.examples.text()}, {"RETURN", returns(doc_)}};
}

}  // namespace pvegpu
