// SPDX-License-Identifier: MIT
// One task from raw arguments to its answer.
#include "common/core/module.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace {

/// `_ansible_check_mode` and the like: a wrong spelling must not turn a dry run into a real one.
bool flag(const json& args, const char* name) {
  if (!args.is_object()) return false;
  const auto it = args.find(name);
  if (it == args.end() || it->is_null()) return false;
  return params::parse_bool(*it).or_fail(fmt::format("parameter '{}'", name));
}

/// Ansible tells its version with every task, and a newer one may send keys that we don't know. By hand, one that is nearly right
/// ("_ansible_checkmode") must not turn a dry run into a real one either.
void check_keys_by_hand(const json& args) {
  constexpr std::string_view known[] = {"_ansible_check_mode", "_ansible_diff", "_ansible_no_log", "_ansible_module_name",
                                        "_ansible_syslog_facility"};
  if (!args.is_object() || (args.contains("_ansible_version") && args["_ansible_version"].is_string())) return;
  for (const auto& [key, value] : args.items())
    if (key.starts_with("_ansible_") && std::find(std::begin(known), std::end(known), key) == std::end(known))
      throw ModuleError(fmt::format("there is no key '{}'; by hand there are: {}", key.substr(0, 60), fmt::join(known, ", ")));
}

}  // namespace

json Module::run(const json& args, Host& host) const {
  json invocation = nullptr, answer;
  try {
    check_keys_by_hand(args);
    const RunMode mode{flag(args, "_ansible_check_mode"), flag(args, "_ansible_diff")};
    const Planner plan = planner(args, invocation);
    const Task task{doc_.name, fmt::format("{} {}", doc_.name, dump_json(identity(invocation))), doc_.effects};
    answer = execute(task, plan, mode, host);
  } catch (const ModuleError& error) {
    answer = {{"changed", false}, {"failed", true}, {"msg", error.what()}};
  }
  if (!invocation.is_null()) answer["invocation"] = {{"module_args", invocation}};
  return answer;
}

}  // namespace pvegpu
