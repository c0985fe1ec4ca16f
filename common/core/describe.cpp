// SPDX-License-Identifier: MIT
// What ansible-doc is told of a module.
#include "common/core/module.hpp"

namespace pvegpu {

#ifdef PVEGPU_WITHOUT_DOCUMENTATION

std::optional<json> Module::describe() const { return std::nullopt; }

#else

namespace {

// What the executor adds to every module's answer (executor.hpp), as YAML in RETURN's form.
constexpr const char* returns_of_all = R"(invocation:
  description: The parameters that the task ran with, defaults included, secrets masked.
  returned: always
  type: dict
msg:
  description: What went wrong, where, and what to do next.
  returned: on failure
  type: str
)";
constexpr const char* returns_of_changers = R"(changed:
  description: Whether the host was changed, or would be in check mode.
  returned: always
  type: bool
steps:
  description: What was done, or would be in check mode, in order. Follow-up work reads C(run PROGRAM).
  returned: always
  type: list
  elements: str
reboot_required:
  description: What runs now is not what the configuration wishes, and only a reboot brings it.
  returned: always
  type: bool
reboot_reason:
  description: Why a reboot is required.
  returned: when reboot_required
  type: str
pending_on:
  description: What the rest of the work waits for, for example C(reboot) or C(driver).
  returned: when something can only be planned later
  type: str
pending_reason:
  description: A sentence for C(pending_on).
  returned: with pending_on
  type: str
follow_ups_pending:
  description: Work that was put off to the module C(follow_ups).
  returned: when work was put off
  type: list
  elements: str
failed_step:
  description: The step that failed. The steps before it are done.
  returned: when a step failed
  type: str
kept_foreign_edits:
  description: Files that others edited since this module changed them, so that only its own part was taken out.
  returned: with C(state=absent), when there are any
  type: list
  elements: str
reverted:
  description: Files that have their old content again, because the work that the change made necessary failed.
  returned: when files were put back
  type: list
  elements: str
)";

json sentences(const DocTexts& texts) {
  json out = json::array();
  for (const char* text : texts) out.push_back(text);
  return out;
}

}  // namespace

std::optional<json> Module::describe() const {
  const bool changes = doc_.effects == Effects::allowed;
  const json full_check{{"support", "full"}, {"description", "Can run in check mode: it plans and changes nothing."}};
  const json diff = changes ? json{{"support", "full"}, {"description", "Returns what it changed, or would change, file by file."}}
                            : json{{"support", "none"}, {"description", "It changes nothing, so there is no difference to show."}};
  json documentation{{"module", doc_.name},
                     {"short_description", doc_.summary},
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
  return json{{"DOCUMENTATION", std::move(documentation)},
              {"EXAMPLES", doc_.examples},
              {"RETURN", fmt::format("{}{}{}", doc_.returns, changes ? returns_of_changers : "", returns_of_all)}};
}

#endif

}  // namespace pvegpu
