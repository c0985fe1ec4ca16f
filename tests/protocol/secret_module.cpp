// SPDX-License-Identifier: MIT
// An executable of one module that does with its secrets all that a module should not: they must not get out all the same.
#include "common/core/registry.hpp"

namespace pvegpu {
namespace {

struct Account {
  std::string user;
  Secret password;

  static const Spec<Account>& spec() {
    static const Spec<Account> spec =
        Spec<Account>{}.param("user", &Account::user, {.doc = "A name."}).param("password", &Account::password, {.doc = "A secret."});
    return spec;
  }
};

struct Params {
  Secret token;
  std::vector<Secret> keys;
  std::vector<Account> accounts;
  std::string name;
  std::int64_t count = 1;
  bool refuse = false;
  bool fail = false;
};

void plan(const Params& params, const HostView&, Plan& out) {
  out.report("token", params.token.value);
  out.report("inside", fmt::format("before {} after", params.token.value));
  json keys = json::object();
  for (const Secret& key : params.keys) keys[key.value] = key.value;
  out.report("keys", std::move(keys));
  for (const Account& account : params.accounts) out.warn(fmt::format("{} logs in with {}", account.user, account.password.value));
  if (params.refuse) out.refuse(fmt::format("the token {} is not accepted", params.token.value));
  if (params.fail) throw ModuleError(fmt::format("'{}': no such token", params.token.value));
}

const Module& module_secret() {
  static const ModuleOf<Params> module(
      {.name = "secret", .summary = "Leaks", .description = {"Leaks."}, .examples = "", .effects = Effects::none},
      Spec<Params>{}
          .param("token", &Params::token, {.doc = "A secret.", .required = true})
          .param("keys", &Params::keys, {.doc = "Secrets."})
          .param("accounts", &Params::accounts, {.doc = "Secrets deeper down."})
          .param("name", &Params::name, {.doc = "No secret."})
          .param("count", &Params::count, {.doc = "A number."})
          .param("refuse", &Params::refuse, {.doc = "Refuse, and quote the secret."})
          .param("fail", &Params::fail, {.doc = "Fail, and quote the secret."}),
      plan);
  return module;
}

}  // namespace

std::vector<RegistryEntry> registry() { return {{"secret", module_secret}}; }

}  // namespace pvegpu
