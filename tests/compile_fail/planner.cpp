// SPDX-License-Identifier: MIT
// A planner that keeps to questions, and one offence at a time (-DOFFENCE=n) that must not compile; see test_compile_fail.py.
#include "common/core/module.hpp"

#ifndef OFFENCE
#define OFFENCE 0
#endif

namespace pvegpu {

struct Params {
  std::string path;
};

void make_plan(const Params& params, const HostView& host, Plan& plan) {
  const std::string now = host.read_file(params.path).value_or("");
  (void)host.query(Query::unit_state("pve-cluster.service"));
  plan.ensure_file(params.path, now + "x\n");
  Step step;
  step.target = "something";
  step.observe = [](const HostView& view) -> Result<std::optional<std::string>> {
    return std::optional<std::string>(PVEGPU_TRY(view.read_attr("/sys/something")));
  };
  step.apply = [](Host& effects) { return effects.write_attr("/sys/something", "1"); };
  plan.effect(step);
#if OFFENCE == 1
  (void)host.write_file(params.path, "x");
#elif OFFENCE == 2
  (void)host.remove_file(params.path);
#elif OFFENCE == 3
  (void)host.write_attr("/sys/something", "1");
#elif OFFENCE == 4
  (void)host.run({{"sh", "-c", "reboot"}});
#elif OFFENCE == 5
  (void)host.query(Query({"sh", "-c", "reboot"}));
#elif OFFENCE == 6
  (void)host.query({{"sh", "-c", "reboot"}});
#elif OFFENCE == 7
  (void)host.load_module("nvidia");
#elif OFFENCE == 8
  Host& effects = host;
  (void)effects;
#elif OFFENCE == 9
  step.observe = [](Host& effects) -> Result<std::optional<std::string>> {
    (void)effects.write_attr("/sys/something", "1");
    return std::optional<std::string>();
  };
#elif OFFENCE == 10
  step.verify = [](Host& effects) { return effects.remove_file("/etc/x"); };
#elif OFFENCE == 11
  host.read_file(params.path);
#endif
}

const ModuleDoc doc{.name = "planner", .summary = "", .description = {}, .examples = ""};

#if OFFENCE == 12
void acting_plan(const Params&, Host& host, Plan&) { (void)host.remove_file("/etc/x"); }
const ModuleOf<Params> module_of_offence{doc, Spec<Params>{}, acting_plan};
#else
const ModuleOf<Params> module_of_planner{doc, Spec<Params>{}, make_plan};
#endif

}  // namespace pvegpu
