// SPDX-License-Identifier: MIT
// A registry of made-up modules, linked with the real main(): what a caller must be able to rely on whatever a module does.
#include "common/core/registry.hpp"

namespace pvegpu {

enum class Do { nothing, write, run_false, fail, crash_planner, tell_everything };
template <>
struct EnumNames<Do> {
  static constexpr std::pair<Do, const char*> values[] = {{Do::nothing, "nothing"},
                                                          {Do::write, "write"},
                                                          {Do::run_false, "run_false"},
                                                          {Do::fail, "fail"},
                                                          {Do::crash_planner, "crash_planner"},
                                                          {Do::tell_everything, "tell_everything"}};
};

namespace {

struct Item {
  std::string name;
  std::int64_t number = 0;
  Secret key = {};
  static const Spec<Item>& spec() {
    static const Spec<Item> out = Spec<Item>{}
                                      .param("name", &Item::name, {.doc = "Name.", .required = true})
                                      .param("number", &Item::number, {.doc = "Number."})
                                      .param("key", &Item::key, {.doc = "A secret."});
    return out;
  }
};

struct Params {
  Do what = Do::nothing;
  std::string text;
  std::optional<std::string> path = {}, url = {};
  bool flag = false;
  std::int64_t number = 0;
  std::vector<std::string> list = {};
  std::vector<Item> items = {};
  Secret password = {};
  std::vector<Secret> tokens = {};
};

Spec<Params> spec() {
  return Spec<Params>{}
      .param("what", &Params::what, {.doc = "What to do.", .aliases = {"do"}})
      .param("text", &Params::text, {.doc = "Any text.", .lines = true})
      .param("path", &Params::path, {.doc = "A file."})
      .param("url", &Params::url, {.doc = "A URL.", .url = true})
      .param("flag", &Params::flag, {.doc = "A flag."})
      .param("number", &Params::number, {.doc = "A number."})
      .param("list", &Params::list, {.doc = "A list."})
      .param("items", &Params::items, {.doc = "A list of dicts."})
      .param("password", &Params::password, {.doc = "A secret.", .aliases = {"pass"}})
      .param("tokens", &Params::tokens, {.doc = "Secrets."})
      .mutually_exclusive({"flag", "number"})
      .required_if("what", "write", {"path"});
}

struct Nested {
  std::vector<std::string> list;
  std::map<std::string, std::string> dict;

  static void fields(Reply<Nested>& out) { out.field("list", &Nested::list).field("dict", &Nested::dict); }
};
struct Answer {
  std::string said;
  Nested nested;
  std::string url;

  static void fields(Reply<Answer>& out) {
    out.field("said", &Answer::said).field("nested", &Answer::nested).field("url", &Answer::url, {.when = "when there is one"});
  }
};

void plan(const Params& p, const HostView&, Plan& out) {
  if (p.path && p.what == Do::write) out.ensure_file(*p.path, p.text + p.password.value);
  if (p.what == Do::run_false)
    out.effect({.target = "run false", .current = "", .desired = "done", .apply = [](Host& host) -> Result<> {
                  const CommandResult result = PVEGPU_TRY(host.run({{"false"}}));
                  if (result.exit_code != 0) return Error{fmt::format("exit code {}", result.exit_code)};
                  return {};
                }});
  if (p.what == Do::fail) throw ModuleError("could not log in with " + p.password.value);
  if (p.what == Do::crash_planner) throw std::out_of_range("vector::_M_range_check: " + p.password.value);
  if (p.what != Do::tell_everything) return;
  out.report(Answer{p.text, {{p.password.value}, {{p.password.value, p.text}}}, p.url.value_or("")});
  out.warn("the password is " + p.password.value);
  if (p.url) out.warn("it is read from " + *p.url);
  for (const Secret& token : p.tokens) out.warn("a token is " + token.value);
  for (const Item& item : p.items) out.warn("a key is " + item.key.value);
}

const ModuleDoc doc{"secretive", "Has secrets", {"For tests."}, ""};
ModuleDoc information() {
  ModuleDoc out{"information", "Only tells", {"For tests."}, ""};
  out.effects = Effects::none;
  return out;
}

const Module& secretive() {
  static const ModuleOf<Params> module{doc, spec(), plan};
  return module;
}
const Module& information_module() {
  static const ModuleOf<Params> module{information(), spec(), plan};
  return module;
}

}  // namespace

std::vector<RegistryEntry> registry() { return {{"secretive", secretive}, {"information", information_module}}; }

}  // namespace pvegpu
