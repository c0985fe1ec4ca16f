// SPDX-License-Identifier: MIT
// The laws.
#include "tests/laws/laws.hpp"

#include "common/core/journal.hpp"

#include <algorithm>

namespace pvegpu::laws {
namespace {

constexpr RunMode check_mode{.check = true, .diff = true};
constexpr RunMode run_mode{.check = false, .diff = true};

bool failed(const json& answer) { return answer.value("failed", false); }
std::string told(const json& answer) { return answer.value("msg", dump_json(answer)); }

/// A run that must succeed.
json succeed(const std::function<json(FakeHost&, RunMode)>& run, FakeHost& host, const std::string& when, Findings& out) {
  json answer = run(host, run_mode);
  if (failed(answer)) out.push_back(fmt::format("{}: {}", when, told(answer)));
  return answer;
}

/// No work is owed but what was put off and may be, and no product is older than what it is made of.
void expect_done(const FakeHost& host, const std::string& when, Findings& out) {
  std::vector<std::string> put_off;
  const auto owed = journal::owed(host);
  if (!owed) out.push_back(fmt::format("{}: the journal can't be read: {}", when, owed.error().message));
  for (const Owed& each : owed.value_or({}))
    if (each.put_off && each.follow_up.when == FollowUp::When::next_boot)
      put_off.push_back(each.follow_up.title());
    else
      out.push_back(fmt::format("{}: still owed: {}", when, each.follow_up.title()));
  for (const std::string& program : host.stale_products())
    if (std::none_of(put_off.begin(), put_off.end(), [&](const std::string& title) { return title.starts_with("run " + program); }))
      out.push_back(fmt::format("{}: {} did not run after the last change", when, program));
}

void expect_same(const State& wanted, const State& found, const std::string& when, Findings& out) {
  if (const std::string lines = difference(wanted, found); !lines.empty())
    out.push_back(fmt::format("{}: wanted, found:\n{}", when, lines));
}

State without_memory(State state) {
  std::erase_if(state, [](const auto& entry) { return entry.first.starts_with(state_dir); });
  return state;
}

}  // namespace

State state_of(const FakeHost& host) {
  std::vector<std::string> without = host.products();
  // A lock of pmxcfs that a killed run left dies when the next one asks for it 120 s later; until then it harms nobody.
  // The lists that APT fetched are its own.
  without.insert(without.end(), {"/run/pve-gpu.lock", "/proc", "/etc/pve/priv/lock", "/var/lib/apt/lists"});
  return host.state(without);
}

Findings check_mode_has_no_effect(const Subject& subject) {
  Findings out;
  FakeHost host = subject.world();
  const State before = host.state();
  (void)subject.run(host, check_mode);
  for (const std::string& effect : host.effects()) out.push_back("check mode performed an effect: " + effect);
  if (host.locks_taken() != 0) out.push_back("check mode took a lock");
  expect_same(before, host.state(), "after check mode", out);
  return out;
}

Findings second_run_has_no_effect(const Subject& subject) {
  Findings out;
  FakeHost host = subject.world();
  (void)succeed(subject.run, host, "the first run", out);
  expect_done(host, "after the first run", out);
  host.restart();
  const json again = succeed(subject.run, host, "the second run", out);
  for (const std::string& effect : host.effects()) out.push_back("the second run performed an effect: " + effect);
  if (again.value("changed", true) || !again.value("steps", json::array()).empty() || !again.value("diff", json::array()).empty())
    out.push_back("the second run is not empty: " + dump_json(again));
  const json check = subject.run(host, check_mode);
  if (check.value("changed", true)) out.push_back("check mode after the run is not empty: " + dump_json(check));
  return out;
}

Findings check_predicts_run(const Subject& subject) {
  Findings out;
  FakeHost host = subject.world();
  const json check = subject.run(host, check_mode);
  FakeHost other = subject.world();
  const json run = subject.run(other, run_mode);
  if (failed(check) != failed(run)) {
    out.push_back(fmt::format("check mode answers: {}\nthe run answers: {}", dump_json(check), dump_json(run)));
    return out;
  }
  if (failed(check) && told(check) != told(run))
    out.push_back(fmt::format("check mode fails with: {}\nthe run with: {}", told(check), told(run)));
  const bool later = check.contains("pending_on");
  for (const char* key : {"steps", "diff"}) {
    const json foreseen = check.value(key, json::array()), done = run.value(key, json::array());
    bool prefix = foreseen.size() <= done.size();
    for (std::size_t i = 0; prefix && i < foreseen.size(); ++i) prefix = foreseen[i] == done[i];
    if (!prefix)
      out.push_back(fmt::format("check's {} are not a prefix of the run's:\n  {}\n  {}", key, dump_json(foreseen), dump_json(done)));
    if (prefix && !later && foreseen.size() != done.size())
      out.push_back(
          fmt::format("nothing was later, but the run's {} are more than check's:\n  {}\n  {}", key, dump_json(foreseen), dump_json(done)));
  }
  if (check["changed"] != run["changed"])
    out.push_back(fmt::format("changed: check says {}, the run {}", dump_json(check["changed"]), dump_json(run["changed"])));
  return out;
}

Findings converges_from_any_effect(const Subject& subject, int at_most) {
  Findings out;
  FakeHost clean = subject.world();
  (void)succeed(subject.run, clean, "the run without a fault", out);
  const int effects = static_cast<int>(clean.effects().size());
  const std::vector<std::string> line = clean.effects();
  const State wanted = state_of(clean);
  State undone;
  if (subject.undo) {
    if (subject.afterwards) subject.afterwards(clean);
    (void)succeed(subject.undo, clean, "undo without a fault", out);
    undone = state_of(clean);
  }
  if (!out.empty()) return out;
  // Where not all are tried, each fixture begins at another one.
  const int stride = std::max(1, (effects + at_most - 1) / at_most);
  const int first = 1 + static_cast<int>(std::hash<std::string>()(subject.name) % static_cast<std::size_t>(stride));
  for (int n = first; n <= effects; n += stride)
    for (const Fault fault : {Fault::error, Fault::fails, Fault::kill_before, Fault::kill_after, Fault::kill_torn}) {
      const std::string& effect = line[static_cast<std::size_t>(n) - 1];
      if (fault == Fault::kill_torn && !effect.starts_with("write ")) continue;
      const std::string when = fmt::format("{} at effect {} ({})", name_of(fault), n, effect);
      FakeHost host = subject.world();
      const State before = without_memory(state_of(host));
      host.fault_at(n, fault);
      try {
        const json answer = subject.run(host, run_mode);
        if (!failed(answer))
          out.push_back(when + ": the run says that it succeeded");
        else if (told(answer).empty())
          out.push_back(when + ": the run fails without a message");
        // A program that worked and says that it did not can't be known; a file can be read.
        const bool known =
            fault == Fault::error || (fault == Fault::fails && (effect.starts_with("write ") || effect.starts_with("remove ")));
        if (known && !answer.value("changed", false))
          expect_same(before, without_memory(state_of(host)), when + ": it says that nothing changed", out);
      } catch (const Killed&) {
      }
      host.restart();
      if (subject.undo) {  // the operator changes his mind
        FakeHost other = host;
        (void)succeed(subject.undo, other, when + ", undo at once", out);
        // A program that worked and said that it did not saw files that were then put back.
        if (!(fault == Fault::fails && effect.starts_with("run "))) expect_done(other, when + ", after undo at once", out);
        expect_same(undone, state_of(other), when + ", after undo at once", out);
      }
      (void)succeed(subject.run, host, when + ", rerun", out);
      expect_done(host, when + ", after the rerun", out);
      // What undo does from there was seen without a fault: this is the same state, our own memory included.
      expect_same(wanted, state_of(host), when + ", after the rerun", out);
    }
  return out;
}

Findings undo_restores(const Subject& subject) {
  Findings out;
  FakeHost host = subject.world();
  const State before = state_of(host);
  const json run = succeed(subject.run, host, "the run", out);
  host.restart();
  if (subject.afterwards) subject.afterwards(host);
  (void)succeed(subject.undo, host, "undo", out);
  expect_done(host, "after undo", out);
  expect_same(before, state_of(host), "after undo", out);
  if (host.exists(state_dir)) out.push_back(fmt::format("{} is still there", state_dir));
  return out;
}

Findings absence_ends(const Subject& subject, const FakeHost& world) {
  Findings out;
  for (const auto& [name, ask] : subject.absences) {
    FakeHost host = world;
    const json first = ask(host.restart(), run_mode);
    if (failed(first)) {
      if (!host.effects().empty()) out.push_back(fmt::format("{} fails after an effect: {}", name, told(first)));
      continue;
    }
    const json second = ask(host.restart(), run_mode);
    if (failed(second)) out.push_back(fmt::format("{}, the second run: {}", name, told(second)));
    if (second.value("changed", true) || !host.effects().empty())
      out.push_back(fmt::format("{} does not end: after {} the second run does {}, effects: {}", name, dump_json(first["steps"]),
                                dump_json(second["steps"]), fmt::join(host.effects(), ", ")));
  }
  return out;
}

Findings same_needs_before_and_after(const Subject& subject, const FakeHost& world) {
  Findings out;
  FakeHost host = world;
  const json check = subject.run(host.restart(), check_mode), run = subject.run(host, run_mode);
  if (failed(check) || failed(run)) return out;
  const json again = subject.run(host.restart(), run_mode);
  // What could not be planned yet may have come with the run: then it did more than check mode foresaw.
  // What a package has in it is known when the run has installed it.
  const bool unpacked = check.value("pending_on", "") == "packages" && dump_json(run["steps"]).find("\"package ") != std::string::npos;
  const bool foreseen = !check.contains("pending_on") || (check["steps"] == run["steps"] && !unpacked);
  for (const char* key : {"reboot_required", "reboot_reason", "pending_on", "pending_reason"}) {
    const json before = check.value(key, json()), after = run.value(key, json()), later = again.value(key, json());
    if (foreseen && before != after)
      out.push_back(fmt::format("{}: check mode says {}, the run {}", key, dump_json(before), dump_json(after)));
    if (after != later) out.push_back(fmt::format("{}: the run says {}, the run after it {}", key, dump_json(after), dump_json(later)));
  }
  return out;
}

Subject undoing(const Subject& subject) {
  Subject out;
  out.name = subject.name + " undo";
  out.world = [subject, made = std::make_shared<std::optional<FakeHost>>()]() -> FakeHost {
    if (*made) return FakeHost(**made).restart();
    FakeHost host = subject.world();
    const json answer = subject.run(host, run_mode);
    if (failed(answer)) throw std::runtime_error("can't be undone, the run fails: " + told(answer));
    if (subject.afterwards) subject.afterwards(host);
    *made = host.restart();
    return host;
  };
  out.run = subject.undo;
  return out;
}

}  // namespace pvegpu::laws
