// SPDX-License-Identifier: MIT
// The args entry: whatever comes in, one JSON object goes out, and no secret with it.
#include "common/core/run.hpp"
#include "tests/fuzz/parser.hpp"
#include "tests/laws/fake_host.hpp"

#include <functional>

// Each run writes to the system log; not here.
extern "C" {
void openlog(const char*, int, int) {}
void syslog(int, const char*, ...) {}
void closelog() {}
}

namespace pvegpu::fuzz {
namespace {

/// Strings long enough not to be part of what the answer says by itself.
std::vector<std::string> secrets_of(const json& args) {
  std::vector<std::string> out;
  const std::function<void(const json&)> collect = [&](const json& value) {
    if (value.is_string() && value.get_ref<const std::string&>().size() >= 12) out.push_back(value.get<std::string>());
    if (value.is_structured())
      for (const json& item : value) collect(item);
  };
  for (const char* name : {"password", "pass", "tokens"})
    if (args.is_object() && args.contains(name)) collect(args[name]);
  return out;
}

bool tells(const json& value, const std::string& secret) {
  if (value.is_string()) return value.get_ref<const std::string&>().find(secret) != std::string::npos;
  if (value.is_structured())
    for (const auto& [key, item] : value.items())
      if (tells(item, secret)) return true;
  return false;
}

}  // namespace

void run_args(const std::string& input) {
  FakeHost host = FakeHost().dir("/etc").dir("/run").dir("/var/lib").file("/etc/there", "there\n");
  const Answer answer = run_task(registry(), input.starts_with("{\"i\"") ? "information" : "secretive", input, host);
  must(answer.line.find('\n') == std::string::npos, "the answer is one line");
  const auto told = parse_json(answer.line);
  must(told && told->is_object(), "the answer is a JSON object");
  must(told->value("failed", false) == answer.failed, "the exit code says what the answer says");
  must(!answer.failed || !told->value("msg", "").empty(), "a failure has a message");
  const auto args = parse_json(input);
  if (!args) {
    must(answer.failed && host.effects().empty(), "what is no JSON is refused before anything is done");
    return;
  }
  for (const std::string& secret : secrets_of(*args)) must(!tells(*told, secret), "a secret is in the answer");
  if (args->is_object() && args->contains("_ansible_check_mode") && (*args)["_ansible_check_mode"] == true)
    must(host.effects().empty(), "check mode has no effect");
}

}  // namespace pvegpu::fuzz
