// SPDX-License-Identifier: MIT
// The words for what programs do, for copies of users' files and for notes.
#include "common/core/journal.hpp"
#include "common/core/plan.hpp"
#include "common/host/programs.hpp"
#include "common/host/reader.hpp"
#include "common/host/units.hpp"
#include "common/base/strings.hpp"

namespace pvegpu {
namespace {

using Observed = Result<std::optional<std::string>>;

Observed state_now(const HostView& host, const std::string& unit) {
  const CommandResult shown = PVEGPU_TRY(host.query(Query::unit_state(unit)));
  if (shown.exit_code != 0) return Error{fmt::format("systemctl show {}: exit code {}: {}", unit, shown.exit_code, text::trim(shown.err))};
  return std::optional<std::string>(unit_property(shown.out, "ActiveState"));
}

bool is_stopped(const std::optional<std::string>& state) { return state == "inactive" || state == "failed"; }

/// Paths of the copies in a directory. Notes of versions that kept them there are none.
std::vector<std::string> copies_in(const HostView& host, const std::string& directory) {
  std::vector<std::string> out;
  for (const std::string& name : host.list_dir(directory).value_or({}))
    if (!name.ends_with(".json")) out.push_back(fmt::format("{}/{}", directory, name));
  return out;
}

bool is_empty(const HostView& host, const std::string& directory) {
  const auto names = host.list_dir(directory);
  return names && names->empty();
}

}  // namespace

Plan& Plan::ensure_stopped(const std::string& unit) {
  Step step;
  step.target = fmt::format("unit {}", unit);
  step.current = state_now(host_, unit).or_fail("look at unit " + unit);
  if (is_stopped(step.current)) return *this;
  step.desired = "inactive";
  step.observe = [unit](const HostView& host) { return state_now(host, unit); };
  step.verify = [unit](const HostView& host) -> Result<> {
    const auto state = PVEGPU_TRY(state_now(host, unit));
    if (is_stopped(state)) return {};
    return Error{fmt::format("its ActiveState is '{}'; see: systemctl status {}", state.value_or(""), unit)};
  };
  step.within = std::chrono::seconds(5);
  return ensure_program(std::move(step), {{{"systemctl", "stop", "--", unit}}, std::chrono::seconds(300)});
}

Plan& Plan::ensure_program(Step step, Programs programs) {
  if (step.observe) {
    step.current = step.observe(host_).or_fail("look at " + step.target);
    if (step.current == step.desired) return *this;
  }
  step.apply = [programs = std::move(programs), holds = step.verify](Host& host) -> Result<> {
    if (holds && holds(host)) return {};
    for (const auto& argv : programs.commands) {
      auto done = run_checked(host, argv, programs.timeout);
      if (done) continue;
      if (!programs.explain) return done;
      return Error{programs.explain(host, done.error().message)};
    }
    return {};
  };
  return effect(std::move(step));
}

Plan& Plan::ensure_copy(const std::string& source, const std::string& copy) {
  Step step;
  step.target = "copy of " + source;
  step.desired = last_part(copy);
  step.observe = [copy](const HostView& host) -> Observed {
    return host.exists(copy) ? std::optional<std::string>(last_part(copy)) : std::nullopt;
  };
  if (*step.observe(host_)) return *this;
  step.apply = [source, copy](Host& host) -> Result<> {
    if (!host.exists(state_dir)) (void)PVEGPU_TRY(host.make_dir(state_dir, 0700));
    (void)PVEGPU_TRY(host.adopt_file(source, copy.substr(0, copy.rfind('/')), last_part(copy)));
    return {};
  };
  return effect(std::move(step));
}

Plan& Plan::ensure_no_copies(const std::string& directory, const CopiesGone& options) {
  Step step;
  step.target = options.target.empty() ? "directory " + directory : options.target;
  step.current = options.shown;
  const auto there = [directory, note = options.note](const HostView& host) -> Result<bool> {
    if (!copies_in(host, directory).empty() || is_empty(host, directory)) return true;
    return note && PVEGPU_TRY(journal::note(host, *note)).has_value();
  };
  if (!options.after_use) {
    if (!there(host_).or_fail("look at " + directory)) return *this;
    step.observe = [there, shown = options.shown](const HostView& host) -> Observed {
      return PVEGPU_TRY(there(host)) ? std::optional(shown) : std::nullopt;
    };
  }
  step.apply = [directory](Host& host) -> Result<> {
    for (const std::string& path : copies_in(host, directory)) (void)PVEGPU_TRY(host.remove_file(path));
    return is_empty(host, directory) ? host.remove_dir(directory) : Result<>();
  };
  if (options.note) step.note_after = NoteChange{*options.note, std::nullopt};
  return effect(std::move(step));
}

Plan& Plan::ensure_note(const NoteName& name, const std::optional<json>& value, const std::string& target) {
  const auto shown = [](const std::optional<json>& note) { return note ? std::optional(dump_json(*note)) : std::nullopt; };
  Step step;
  step.target = target;
  step.current = shown(note(name));
  step.desired = shown(value);
  if (step.current == step.desired) return *this;
  step.observe = [name, shown](const HostView& host) -> Observed { return shown(PVEGPU_TRY(journal::note(host, name))); };
  step.note_after = NoteChange{name, value};
  return effect(std::move(step));
}

Plan& Plan::trigger(const std::string& target, std::vector<FollowUp> work) {
  Step step;
  step.target = target;
  step.then = std::move(work);
  return effect(std::move(step));
}

}  // namespace pvegpu
