// SPDX-License-Identifier: MIT
// Plan, run, plan again until nothing is left.
#include "common/core/executor.hpp"

#include "common/core/journal.hpp"
#include "common/core/outcome.hpp"
#include "common/core/revert.hpp"
#include "common/core/step.hpp"
#include "common/core/system_log.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <tuple>

namespace pvegpu {
namespace {

constexpr int most_rounds = 5;
constexpr const char* lock_file = "/run/pve-gpu.lock";
constexpr std::chrono::seconds lock_patience{600};

class Execution {
 public:
  Execution(const Task& task, const Planner& planner, RunMode mode, Host& host)
      : task_(task),
        planner_(planner),
        mode_(mode),
        host_(host),
        effects_(!mode.check && task.effects == Effects::allowed),
        reverter_(host) {}

  json run() {
    try {
      std::unique_ptr<HostLock> lock;
      if (effects_) lock = take_lock();
      effects_ ? apply() : foresee();
    } catch (const Failure& failure) {
      fail(failure);
    } catch (const ModuleError& error) {
      fail({error.what()});
    } catch (const std::exception& error) {
      fail({unexpected(error)});
    }
    return answer();
  }

 private:
  std::unique_ptr<HostLock> take_lock() {
    auto lock = host_.lock(lock_file, lock_patience);
    if (lock) return *std::move(lock);
    const Error& error = lock.error();
    if (error.code == EACCES || error.code == EPERM)
      throw Failure{fmt::format("{}; this module changes the host and must run as root: use become", error.message)};
    if (error.code == EWOULDBLOCK)
      throw Failure{fmt::format("another run of pve-gpu has held {} for {} s; wait for it, or find it with: fuser {}", lock_file,
                                lock_patience.count(), lock_file)};
    throw Failure{error.message};
  }

  Plan make_plan() {
    Plan plan(host_, task_.module);
    planner_(host_, plan);
    reports_ = plan.reports();
    reboot_reason_ = plan.reboot_reason();
    plan_warnings_ = plan.warnings();
    if (plan.refusal()) throw Failure{*plan.refusal()};
    for (const Step& step : plan.steps())
      if (task_.effects == Effects::none && !hands_out(step))
        throw Failure{
            fmt::format("{} is an information module but its plan has the step '{}'; please report this", task_.module, step.target)};
    return plan;
  }

  /// What this module (or any, if the plan says so) owes from an earlier run and this plan's steps do not trigger again.
  std::vector<Owed> left_over(const Plan& plan, const std::vector<FollowUp>& triggered) const {
    std::vector<Owed> out;
    auto all = journal::owed(host_);
    if (!all) {
      if (effects_) throw Failure{all.error().message};
      return out;  // an unprivileged check: what root owes can't be seen
    }
    for (const Owed& owed : *all) {
      const bool mine =
          plan.does_all_owed_work() || std::find(owed.modules.begin(), owed.modules.end(), task_.module) != owed.modules.end();
      const bool again = std::any_of(triggered.begin(), triggered.end(), [&](const FollowUp& f) { return f.id() == owed.follow_up.id(); });
      if (mine && !again && !put_off(plan, owed.follow_up)) out.push_back(owed);
    }
    return out;
  }

  static bool put_off(const Plan& plan, const FollowUp& follow_up) {
    return plan.puts_off_next_boot_work() && follow_up.when == FollowUp::When::next_boot;
  }

  /// The follow-ups of all steps, each once, in the order they run.
  static std::vector<FollowUp> triggered_by(const Plan& plan) {
    std::vector<FollowUp> out;
    for (const Step& step : plan.steps())
      for (const FollowUp& f : step.then)
        if (std::none_of(out.begin(), out.end(), [&](const FollowUp& g) { return g.id() == f.id(); })) out.push_back(f);
    std::stable_sort(out.begin(), out.end(), [](const FollowUp& a, const FollowUp& b) { return a.rank < b.rank; });
    return out;
  }

  // --- check mode: say what a run would do ----------------------------------------------------------------------------------
  void foresee() {
    const Plan plan = make_plan();
    const auto triggered = triggered_by(plan);
    if (task_.effects == Effects::allowed) {
      for (const Owed& owed : left_over(plan, triggered)) done(owed.follow_up.title());
      for (const Step& step : plan.steps()) {
        note_difference(step);
        if (acts(step)) done(step.target);
      }
      for (const FollowUp& f : triggered)
        if (put_off(plan, f))
          pending_.push_back(f.title());
        else
          done(f.title());
    }
    wait(plan);
    if (task_.effects == Effects::none)
      for (const Step& step : plan.steps()) {
        if (!mode_.check) must(step.apply(host_), step.target);
        touched_ = true;
      }
  }

  /// All that an information module may write: a file that the task asked for, which is no part of the host. No lock, no journal.
  static bool hands_out(const Step& step) { return step.target.starts_with("write out ") && step.apply && !step.file && step.then.empty(); }

  // --- the run --------------------------------------------------------------------------------------------------------------
  void apply() {
    must(journal::clear_torn(host_), "remove what a killed run left");
    bool settled = false;  // the last round carried out a plan that was whole
    for (int round = 0; round < most_rounds; ++round) {
      const Plan plan = make_plan();
      for (const NoteName& name : plan.notes_to_move())
        must(journal::keep_note(host_, {name, must(journal::note(host_, name), "read a note")}), "move a note to the journal");
      const auto triggered = triggered_by(plan);
      const auto owed = left_over(plan, triggered);
      if (!owed.empty() || !plan.empty())  // what is waited for may come of this change: the wait begins anew
        must(journal::record_waits(host_, task_.instance, {}, {}), "forget what was waited for");
      if (!owed.empty()) {
        for (const Owed& each : owed) follow_up(each.follow_up);
        settled = false;
        continue;  // it may have changed what is to be done
      }
      if (plan.empty()) {
        wait(plan);
        must(journal::tidy(host_), "tidy /var/lib/pve-gpu");
        return;
      }
      if (settled)
        throw Failure{fmt::format("did not take effect: {} is to be done again right after it was done; something on this host undoes it",
                                  plan.steps()[0].target),
                      plan.steps()[0].target};
      settled = carry_out(plan, triggered) && plan.waits().empty();
    }
    throw Failure{fmt::format("does not settle: after {} rounds there is still something to do; last done: {}", most_rounds,
                              steps_.empty() ? std::string("nothing") : steps_.back())};
  }

  /// False: the host changed since it was planned for, so the rest is to be planned anew.
  bool carry_out(const Plan& plan, const std::vector<FollowUp>& triggered) {
    newly_owed_.clear();
    for (const FollowUp& f : triggered) owe(plan, f);
    try {
      for (const Step& step : plan.steps()) {
        if (step.observe && must(step.observe(host_), step.target) != step.current) return false;
        perform(step);
        begun_.clear();
        note_difference(step);
        if (acts(step)) done(step.target);
        verify(step);
      }
    } catch (const Failure& failure) {
      take_back(triggered, failure);
    } catch (const ModuleError& error) {
      take_back(triggered, {error.what()});
    } catch (const std::exception& error) {
      take_back(triggered, {unexpected(error)});
    }
    for (const FollowUp& f : triggered)
      if (put_off(plan, f))
        pending_.push_back(f.title());
      else
        follow_up(f);
    return true;
  }

  [[noreturn]] void take_back(const std::vector<FollowUp>& triggered, Failure failure) {
    for (const FollowUp& f : triggered)
      if (f.on_failure == FollowUp::OnFailure::revert) revert(f, failure);
    // Nothing came of the first step, so that nothing hangs on it.
    if (nothing_came_ && !touched_ && steps_.empty()) {
      for (const FollowUp& f : newly_owed_) (void)journal::settle(host_, f);
      (void)journal::tidy(host_);
    }
    throw failure;
  }

  void owe(const Plan& plan, const FollowUp& f) {
    Owed owed{f, {task_.module}, put_off(plan, f), {}};
    if (f.on_failure == FollowUp::OnFailure::revert)
      for (const Step& step : plan.steps())
        if (step.file && std::any_of(step.then.begin(), step.then.end(), [&](const FollowUp& g) { return g.id() == f.id(); }))
          owed.images.push_back(reverter_.image_of(*step.file));
    if (must(journal::owe(host_, owed), "note what is owed: " + f.title())) newly_owed_.push_back(f);
  }

  void perform(const Step& step) {
    if (!acts(step)) return;
    SystemLog::say("Begins: " + step.target);
    if (!step.file) return act(step);
    const FileChange& change = *step.file;
    const auto before = host_.read_file(change.path);
    const auto info = host_.stat(change.path);
    if (change.kind != FileChange::Kind::withdraw) must(journal::record_undo(host_, task_.module, change), step.target);
    Result<> placed;
    if (change.gone) {
      if (host_.exists(change.path)) placed = host_.remove_file(change.path);
    } else if (step.desired) {
      if (change.kind == FileChange::Kind::write)
        for (const std::string& directory : change.directories)
          if (!host_.exists(directory)) {
            must(host_.make_dir(directory, 0755), step.target);
            touch(step);
          }
      placed = host_.write_file(change.path, change.content, change.meta);
    }
    if (placed || differs(before, host_.read_file(change.path)) || differs(info, host_.stat(change.path)))
      touch(step);  // what failed at its end, a sync, has done its work
    must(std::move(placed), step.target);
    if (change.kind == FileChange::Kind::withdraw) {
      remove_if_empty(host_, change.directories, step.target);
      must(journal::forget_undo(host_, task_.module, change, before ? std::optional<std::string>(*before) : std::nullopt), step.target);
    }
  }

  void put_back(const NoteChange& note, const std::optional<json>& before, const std::string& step) {
    must(journal::keep_note(host_, {note.name, before}), step);
    must(journal::tidy(host_), step);
  }

  void act(const Step& step) {
    std::optional<json> remembered;
    if (step.note_before) {
      remembered = must(journal::note(host_, step.note_before->name), step.target);
      must(journal::keep_note(host_, *step.note_before), step.target);
    }
    Result<> applied = step.apply ? step.apply(host_) : Result<>();
    if (applied && step.note_after) {
      applied = journal::keep_note(host_, *step.note_after);
      if (!applied && step.apply) touch(step);
    } else if (!applied && step.observe) {
      const auto now = step.observe(host_);
      if (now && *now != step.current)
        touch(step);  // what failed at its end may have done its work
      else if (now) {
        nothing_came_ = true;
        if (step.note_before) put_back(*step.note_before, remembered, step.target);
      }
    }
    must(std::move(applied), step.target);
  }

  static bool differs(const Result<std::string>& before, const Result<std::string>& now) {
    return bool(before) != bool(now) || (now && *now != *before);
  }
  static bool differs(const Result<FileInfo>& before, const Result<FileInfo>& now) {
    return bool(before) != bool(now) ||
           (now && std::tie(now->mode, now->uid, now->gid) != std::tie(before->mode, before->uid, before->gid));
  }

  void touch(const Step& step) {
    touched_ = true;
    begun_ = step.target;
  }

  void verify(const Step& step) {
    const auto deadline = host_.now() + step.within;
    while (true) {
      const Result<> seen = took_effect(step, host_);
      if (seen) return;
      if (host_.now() >= deadline)
        throw Failure{fmt::format("{}: did not take effect: {}", step.target, seen.error().message), step.target};
      host_.pause(std::chrono::milliseconds(50));
    }
  }

  // --- follow-ups -----------------------------------------------------------------------------------------------------------
  void follow_up(const FollowUp& f) {
    SystemLog::say("Begins: " + f.title());
    Judgement judgement = judge(f, host_.run({f.argv, f.timeout}), host_);
    warnings_.insert(warnings_.end(), judgement.warnings.begin(), judgement.warnings.end());
    if (!judgement.failure) {
      must(journal::settle(host_, f), f.title());
      done(f.title());
      return;
    }
    Failure failure{fmt::format("{}: {}", f.title(), judgement.failure->message), f.title()};
    if (f.on_failure == FollowUp::OnFailure::revert && !judgement.stays_owed) {
      if (revert(f, failure)) failure.message += "; the files have their old content again";
    } else {
      failure.message += "; it is still owed and the next run tries it again";
    }
    throw failure;
  }

  /// Reverts because of `failure`, which stays the first thing that is told when reverting fails too.
  bool revert(const FollowUp& f, Failure& failure) {
    try {
      return reverter_.revert(f, warnings_);
    } catch (const Failure& second) {
      failure.message += "; then: " + second.message;
      throw failure;
    }
  }

  // --- waits ----------------------------------------------------------------------------------------------------------------
  /// A wait that outlives the boot in which it began, with nothing changed since, is a failure: what it waited for did not come.
  void wait(const Plan& plan) {
    const std::string boot_id = host_.read_attr("/proc/sys/kernel/random/boot_id").value_or("unknown");
    for (const Wait& each : plan.waits()) {
      if (!steps_.empty()) break;  // this change may bring it
      const auto since = journal::waiting_since(host_, task_.instance, each);
      if (!since) {
        if (effects_) throw Failure{since.error().message};
        continue;
      }
      if (*since && **since != boot_id) throw Failure{fmt::format("{} (this host was rebooted since, and it is still so)", each.reason)};
    }
    waits_ = plan.waits();
    if (effects_) must(journal::record_waits(host_, task_.instance, waits_, boot_id), "note what is waited for");
  }

  // --- the answer -----------------------------------------------------------------------------------------------------------
  void done(const std::string& step) { steps_.push_back(step); }

  void note_difference(const Step& step) {
    if (step.file && step.file->keeps_foreign) kept_.push_back(step.file->path);
    warnings_.insert(warnings_.end(), step.warnings.begin(), step.warnings.end());
    if (!mode_.diff || step.current == step.desired) return;
    diff_.push_back(difference_of(step));
  }

  void fail(const Failure& failure) { failure_ = failure; }

  json answer() const {
    // Every file that changed has its old bytes again, and nothing else was done.
    const auto& paths = reverter_.reverted();
    const auto reverted = [&](const std::string& step) {
      return std::any_of(paths.begin(), paths.end(), [&](const std::string& path) { return step.ends_with(" " + path); });
    };
    const bool all_reverted = !paths.empty() && !reverter_.took_earlier() && (begun_.empty() || reverted(begun_)) &&
                              std::all_of(steps_.begin(), steps_.end(), reverted);
    Outcome told;
    told.changed = (touched_ || !steps_.empty()) && !all_reverted;
    if (failure_) {
      told.failed = true;
      told.msg = failure_->message;
      told.failed_step = failure_->step;
    }
    told.reverted = paths;
    if (task_.effects == Effects::allowed) {
      told.steps = steps_;
      told.reboot_required = reboot_reason_.has_value();
      told.reboot_reason = reboot_reason_;
      told.follow_ups_pending = pending_;
    }
    told.kept_foreign_edits = kept_;
    if (!waits_.empty()) {
      told.pending_on = waits_[0].on;
      told.pending_reason = waits_[0].reason;
    }
    json out = reply_of<Outcome>().print(told);
    for (const auto& [key, value] : reports_.items()) out[key] = value;
    std::vector<std::string> warnings = plan_warnings_;
    warnings.insert(warnings.end(), warnings_.begin(), warnings_.end());
    if (!warnings.empty()) out["warnings"] = warnings;
    if (mode_.diff && task_.effects == Effects::allowed) out["diff"] = diff_;
    return out;
  }

  const Task& task_;
  const Planner& planner_;
  const RunMode mode_;
  Host& host_;
  const bool effects_;
  Reverter reverter_;

  bool touched_ = false;              ///< part of a step that is not in steps_ took place
  bool nothing_came_ = false;         ///< of the step that failed, as it observes
  std::vector<FollowUp> newly_owed_;  ///< by the plan that is carried out, and by none before
  std::string begun_;                 ///< the step that has touched something and is not done
  std::vector<std::string> steps_, pending_, warnings_, plan_warnings_, kept_;
  std::vector<Wait> waits_;
  std::optional<std::string> reboot_reason_;
  std::optional<Failure> failure_;
  json reports_ = json::object();
  json diff_ = json::array();
};

}  // namespace

json execute(const Task& task, const Planner& planner, RunMode mode, Host& host) { return Execution(task, planner, mode, host).run(); }

}  // namespace pvegpu
