// SPDX-License-Identifier: MIT
// One task: arguments in, one masked line out, and a line in the system log as Python modules write it.
#include "common/core/run.hpp"

#include "common/core/mask.hpp"
#include "common/core/system_log.hpp"
#include "common/base/strings.hpp"

namespace pvegpu {
namespace {

/// "Invoked with a=b c=d", as AnsibleModule._log_invocation() does. The arguments are masked on their own: in the masked answer a secret
/// may have taken the place of their name.
void log_invocation(const json& answer, const std::vector<std::string>& secrets) {
  const json invocation = answer.value("invocation", json::object());
  json shown{{"invocation", {{"module_args", mask(invocation.value("module_args", json::object()), secrets)}}}};
  shown = cut_short(std::move(shown))["invocation"]["module_args"];
  std::string line = "Invoked with";
  for (const auto& [key, value] : shown.items())
    line += fmt::format(" {}={}", key, value.is_string() ? value.get<std::string>() : value.is_null() ? "None" : dump_json(value));
  SystemLog::say(line);
}

/// "pve.gpu.repo" and "ansible.legacy.repo" are "repo".
std::string last_component(const std::string& name) { return name.substr(name.rfind('.') + 1); }

/// An exception becomes an answer here, where secrets are still masked.
json run_module(const Module& module, const json& args, Host& host) {
  try {
    return module.run(args, host);
  } catch (const std::exception& error) {
    return {{"failed", true}, {"changed", false}, {"msg", unexpected(error)}};
  }
}

/// Without what the module does not read. Where the text is not JSON, as it is: the parser says what is wrong.
std::optional<std::string> reduced(const std::vector<RegistryEntry>& modules, std::string name, std::string_view args_text) {
  constexpr std::size_t large = 1 << 16;
  if (args_text.size() < large) return std::nullopt;
  if (name.empty()) name = last_component(top_level_string(args_text, "_ansible_module_name").value_or(""));
  for (const RegistryEntry& entry : modules)
    if (name == entry.name)
      if (const Kept kept = entry.module().kept(); !kept.whole()) return reduce_json(args_text, kept);
  return std::nullopt;
}

Answer run_unguarded(const std::vector<RegistryEntry>& modules, std::string name, std::string args_text, Host& host) {
  // Large arguments take memory as text, as shorter text and parsed: each goes as soon as the next is made.
  if (auto shorter = reduced(modules, name, args_text)) args_text = std::move(*shorter);
  const auto args = parse_json(args_text);
  args_text = {};
  if (!args)
    return failed_answer(fmt::format("the module's arguments are {}; give an object like {{\"name\": \"value\"}}", args.error().message));
  if (!args->is_object()) return failed_answer("the module's arguments are JSON, but no object; give one like {\"name\": \"value\"}");
  if (name.empty() && args->contains("_ansible_module_name") && (*args)["_ansible_module_name"].is_string())
    name = last_component((*args)["_ansible_module_name"].get<std::string>());
  for (const RegistryEntry& entry : modules) {
    if (name != entry.name) continue;
    const Module& module = entry.module();
    const auto secrets = module.secrets(*args);
    const SystemLog log(name, *args, secrets);
    const json told = run_module(module, *args, host);
    log_invocation(told, secrets);
    const json answer = cut_short(mask(told, secrets));
    return {dump_json(answer), answer.value("failed", false)};
  }
  std::vector<std::string> names;
  for (const RegistryEntry& entry : modules) names.emplace_back(entry.name);
  return failed_answer(name.empty() ? "the arguments do not say which module to run (_ansible_module_name)"
                                    : fmt::format("there is no module '{}'; there are: {}", name.substr(0, 60), fmt::join(names, ", ")));
}

}  // namespace

Answer failed_answer(std::string_view message) { return {dump_json({{"failed", true}, {"changed", false}, {"msg", message}}), true}; }

Answer run_task(const std::vector<RegistryEntry>& modules, std::string name, std::string args_text, Host& host) {
  try {
    return run_unguarded(modules, std::move(name), std::move(args_text), host);
  } catch (const std::exception& error) {
    return failed_answer(unexpected(error));
  }
}

}  // namespace pvegpu
