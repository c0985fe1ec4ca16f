# SPDX-License-Identifier: MIT
# What is broken, and which test must notice. A mutant has pairs of texts: what is in the file, exactly once, and what is put in its
# place, where MUTANT is true while this mutant is alive. The mutants of a file are put in one after the other.
import typing

EXECUTOR, STEP, REVERT, JOURNAL, UNDO, PLAN = ('common/core/%s.cpp' % name for name in ('executor', 'step', 'revert', 'journal', 'undo', 'plan'))
PLAN_KERNEL, PLAN_PROGRAMS, PLAN_PACKAGE = ('common/core/plan_%s.cpp' % name for name in ('kernel', 'programs', 'package'))
PARAMS, MASK, JSON, FOLLOW_UP = 'common/core/params.cpp', 'common/core/mask.cpp', 'common/base/json.cpp', 'common/core/follow_up.cpp'
HOST, PROGRAM, TRUST = 'common/host/real_host.cpp', 'common/host/subprocess.cpp', 'common/host/trust.cpp'
CMDLINE, GRUB_PLACE, FILE_PLACE, JUDGE = ('common/boot/%s.cpp' % name for name in ('cmdline', 'grub_place', 'file_place', 'judge'))
CMDLINE_TEXT, GRUB_TEXT, GRUB_SCRIPT, COMPARE = ('common/text/%s.cpp' % name for name in ('kernel_cmdline', 'grub_defaults', 'grub_script', 'kernel_parameters'))
BLOCK, POOLS, POOL_FEATURES, POLICY = 'common/host/module_block.cpp', 'common/boot/boot_pools.cpp', 'common/text/zpool.cpp', 'common/apt/policy.cpp'
CARD, HOST_LACKS, TECHNOLOGIES, OUTLOOK = ('common/readiness/%s.cpp' % name for name in ('card_conditions', 'host_conditions', 'technologies', 'outlook'))
SRIOV_CARDS, PASSTHROUGH, WAY = 'common/sriov/cards.cpp', 'common/passthrough/passthrough.cpp', 'common/readiness/way.cpp'


class Mutant(typing.NamedTuple):
    title: str
    file: str
    test: str
    edits: typing.Tuple[typing.Tuple[str, str], ...]


def mutant(title, file, test, *texts):
    return Mutant(title, file, test, tuple(zip(texts[::2], texts[1::2])))


def law(name):
    """On the made-up planners."""
    return 'Planners/PlannerLaw.%s*' % name


def module_law(name):
    """On a real module and its fixtures."""
    return 'Modules/ModuleLaw.%s*/kernel_cmdline_*' % name


def judged(law_name, host):
    """On one described host."""
    return 'Hosts/Readiness.%s/%s' % (law_name, host)


def dropped(statement):
    return (statement, 'if (!MUTANT) ' + statement)


def never(condition):
    """What begins so is never true."""
    return (condition, '!MUTANT && ' + condition)


def always(condition):
    return (condition, 'MUTANT || ' + condition)


MUTANTS = [
    # --- check mode: L1, L3
    mutant('check mode is ignored', EXECUTOR, law('L1'), 'effects_(!mode.check && task', 'effects_((MUTANT || !mode.check) && task'),
    mutant('check mode takes the lock', EXECUTOR, law('L1'), *always('effects_) lock = take_lock();')),
    mutant('check mode records waits', EXECUTOR, law('L1'), *always('effects_) must(journal::record_waits(')),
    mutant('check mode of a module is ignored', EXECUTOR, module_law('L1'), 'effects_ ? apply() : foresee();', 'MUTANT || effects_ ? apply() : foresee();'),
    mutant('check mode forgets the last step', EXECUTOR, law('L3'), 'for (const Step& step : plan.steps()) {\n        note_difference(step);',
           'for (const Step& step : plan.steps()) {\n        if (MUTANT && &step == &plan.steps().back()) break;\n        note_difference(step);'),
    mutant('check mode does not say what follows', EXECUTOR, law('L3'), 'else\n          done(f.title());\n    }\n    wait(plan);',
           'else if (!MUTANT)\n          done(f.title());\n    }\n    wait(plan);'),
    mutant('check mode shows another difference', EXECUTOR, law('L3'), 'diff_.push_back(difference_of(step));',
           'diff_.push_back(difference_of(step));\n    if (MUTANT && !effects_) diff_.back()["before"] = diff_.back()["after"];'),
    mutant('check mode refuses less', EXECUTOR, module_law('L5'), 'if (plan.refusal()) throw', 'if (plan.refusal() && !(MUTANT && !effects_)) throw'),
    mutant('steps run from the last to the first', EXECUTOR, law('L3'), 'if (acts(step)) done(step.target);\n        verify(step);',
           'if (MUTANT)\n          steps_.insert(steps_.begin(), step.target);\n        else if (acts(step))\n          done(step.target);\n        verify(step);'),
    # --- rounds and follow-ups: L2, L4
    mutant('only one round', EXECUTOR, law('L2'), 'round < most_rounds;', 'round < (MUTANT ? 1 : most_rounds);'),
    mutant('the rest is not planned after an earlier step', EXECUTOR, law('L2'), 'settled = carry_out(plan, triggered) && plan.waits().empty();',
           'settled = carry_out(plan, triggered) && plan.waits().empty();\n      if (MUTANT) return;'),
    mutant('follow-ups are not run', EXECUTOR, law('L2'), *dropped('for (const FollowUp& f : triggered) owe(plan, f);'), 'else\n        follow_up(f);\n    return true;', 'else if (!MUTANT)\n        follow_up(f);\n    return true;'),
    mutant('what is owed is not noted before the effect', EXECUTOR, law('L4'), *dropped('for (const FollowUp& f : triggered) owe(plan, f);')),
    mutant('what is owed is noted after the effects', EXECUTOR, law('L4'), *dropped('for (const FollowUp& f : triggered) owe(plan, f);'),
           'for (const FollowUp& f : triggered)\n      if (put_off(plan, f))\n        pending_',
           'if (MUTANT)\n      for (const FollowUp& f : triggered) owe(plan, f);\n    for (const FollowUp& f : triggered)\n      if (put_off(plan, f))\n        pending_'),
    mutant('follow-ups are forgotten before they run', EXECUTOR, law('L4'), 'Judgement judgement = judge(f, host_.run({f.argv, f.timeout}), host_);',
           'if (MUTANT) must(journal::settle(host_, f), f.title());\n    Judgement judgement = judge(f, host_.run({f.argv, f.timeout}), host_);'),
    mutant('follow-ups are not forgotten when done', EXECUTOR, law('L2'), 'must(journal::settle(host_, f), f.title());\n      done(',
           'if (!MUTANT) must(journal::settle(host_, f), f.title());\n      done('),
    mutant('what is owed runs after the plan instead of first', EXECUTOR, 'Executor.owed_work_runs_first*', 'for (const Owed& each : owed) follow_up(each.follow_up);',
           'if (MUTANT) carry_out(plan, triggered);\n        for (const Owed& each : owed) follow_up(each.follow_up);'),
    mutant('what is owed from an earlier run is not looked for', EXECUTOR, law('L4'), *never('mine && !again && ')),
    mutant('work of other modules is done too', EXECUTOR, 'Executor.what_other_modules_owe*', 'plan.does_all_owed_work() ||', 'MUTANT || plan.does_all_owed_work() ||'),
    mutant('everything can be put off', EXECUTOR, law('L2'), 'follow_up.when == FollowUp::When::next_boot', '(MUTANT || follow_up.when == FollowUp::When::next_boot)'),
    mutant('nothing is put off', EXECUTOR, 'Executor.only_next_boot_work*', 'return plan.puts_off_next_boot_work() &&', 'return !MUTANT && plan.puts_off_next_boot_work() &&'),
    mutant('follow-ups run once for each step', EXECUTOR, 'Executor.follow_ups_run_once*',
           *always('std::none_of(out.begin(), out.end(), [&](const FollowUp& g) { return g.id() == f.id(); })) out')),
    mutant('follow-ups run in the order of steps', EXECUTOR, 'Executor.follow_ups_run_once*', 'return a.rank < b.rank;', 'return !MUTANT && a.rank < b.rank;'),
    mutant('two programs with other arguments are one', FOLLOW_UP, law('L4'), 'fmt::format("{}\\x1f{}", kind, fmt::join(argv, "\\x1f"))',
           'fmt::format("{}\\x1f{}", kind, MUTANT ? argv[0] : fmt::format("{}", fmt::join(argv, "\\x1f")))'),
    mutant('a follow-up that fails is a success', FOLLOW_UP, law('L4'), 'else if (result.exit_code != 0)', 'else if (!MUTANT && result.exit_code != 0)'),
    mutant('a run that failed did not change anything', EXECUTOR, law('L4'), '(touched_ || !steps_.empty()) && !all_reverted',
           '(MUTANT ? !failure_ && !steps_.empty() : touched_ || !steps_.empty()) && !all_reverted'),
    mutant('a change that died before its write is not ours', UNDO, law('L4'), '|| now == old_bytes()', '|| (!MUTANT && now == old_bytes())'),
    mutant('a version of ours before the last one is foreign', UNDO, law('L4'), '(!earlier.empty() && fingerprint(now) == earlier)',
           '(!MUTANT && !earlier.empty() && fingerprint(now) == earlier)'),
    mutant('a unit that failed still runs', PLAN_PROGRAMS, 'Plan.units*', '|| state == "failed"', '|| (!MUTANT && state == "failed")'),
    # --- steps: looked at before and after
    mutant('steps are not verified', EXECUTOR, 'Executor.exit_code_zero_proves_nothing', 'done(step.target);\n        verify(step);', 'done(step.target);\n        if (!MUTANT) verify(step);'),
    mutant('late effects are not waited for', EXECUTOR, law('L2'), '+ step.within;', '+ (MUTANT ? std::chrono::seconds(0) : step.within);'),
    mutant('late effects are waited for without end', EXECUTOR, 'Executor.gives_up_on*', 'const auto deadline = host_.now()', 'const auto deadline = host_.now() + (MUTANT ? 4 : 0) * step.within'),
    mutant('steps do not look again before they act', EXECUTOR, 'Executor.file_that_changed_since*', *never('step.observe && must(')),
    mutant('something that undoes us is not noticed', EXECUTOR, 'Executor.file_that_something_else*', *never('settled)\n')),
    mutant('refusals are ignored', EXECUTOR, 'Executor.refusal*', *never('plan.refusal() && !(')),
    mutant('information modules may act', EXECUTOR, 'Executor.information_module_with*', *never('task_.effects == Effects::none && !hands_out(step)')),
    mutant("a wait's boot is ignored", EXECUTOR, 'Executor.wait_that_outlives*', *never('*since && **since != boot_id')),
    mutant('a wait begins anew at each run', JOURNAL, 'Journal.wait_keeps*', 'since.value_or(boot_id)', 'MUTANT ? boot_id : since.value_or(boot_id)'),
    mutant('a wait does not begin anew with a change', EXECUTOR, 'Executor.a_change_begins*', *never('!steps_.empty()) break;')),
    # --- undo: L6
    mutant('undo records are not written', EXECUTOR, law('L6'), *never('change.kind != FileChange::Kind::withdraw) must(')),
    mutant('undo records are written after the effect', EXECUTOR, law('L6'), *never('change.kind != FileChange::Kind::withdraw) must('),
           'must(std::move(placed), step.target);\n    if (change.kind == FileChange::Kind::withdraw) {',
           'must(std::move(placed), step.target);\n    if (MUTANT && change.kind != FileChange::Kind::withdraw) must(journal::record_undo(host_, task_.module, change), step.target);\n'
           '    if (change.kind == FileChange::Kind::withdraw) {'),
    mutant('undo records stay', EXECUTOR, law('L6'), *dropped('must(journal::forget_undo(')),
    mutant('undo leaves directories', EXECUTOR, law('L6'), *dropped('remove_if_empty(host_, change.directories, step.target);')),
    mutant('undo does not know of directories of neighbours', UNDO, law('L6'), *dropped('add_directories(c.directories, PVEGPU_TRY(made_above(host, change.path)));')),
    mutant('undo leaves modes', PLAN, law('L6'), *never('meta_before && *meta_before != ')),
    mutant('a write that failed at its end did nothing', EXECUTOR, law('L4'), 'differs(before, host_.read_file(change.path)) || differs(info, host_.stat(change.path)))',
           '(!MUTANT && (differs(before, host_.read_file(change.path)) || differs(info, host_.stat(change.path)))))'),
    mutant('undo leaves what a killed write left', EXECUTOR, law('L4'), *dropped('must(journal::clear_torn(host_), "remove what a killed run left");')),
    mutant('undo brings back the last version, not the first', UNDO, 'Journal.undo_remembers*', 'mine->after = after;\n    add_directories',
           'if (MUTANT) mine->before = now.value_or("");\n    mine->after = after;\n    add_directories'),
    mutant('undo overwrites foreign edits', UNDO, 'Executor.foreign_edits*', 'last && !mine->mixed && mine->matches(now)', 'MUTANT || (last && !mine->mixed && mine->matches(now))'),
    mutant('undo does not notice edits between two changes', UNDO, 'Executor.edit_between*', *never('!mine->matches(now))\n      mine->mixed')),
    mutant('undo of one module forgets what the other built on it', UNDO, 'Executor.two_modules*', *dropped('it->before = rest.value_or("");')),
    mutant('undo of one module makes the other see a foreign edit', UNDO, 'Executor.two_modules*', *never('it->after == fingerprint(before)')),
    mutant('the state directory stays', EXECUTOR, law('L6'), *dropped('must(journal::tidy(host_), "tidy /var/lib/pve-gpu");')),
    mutant('what killed writes left in the state directory stays', JOURNAL, law('L4'), *never('name.ends_with(temporary_suffix)) (void)')),
    # --- the words: what modules remember, what programs and the kernel did
    mutant('what is to be remembered is noted after the effect', EXECUTOR, law('L4'), *never('step.note_before) {'),
           'must(std::move(applied), step.target);\n  }\n\n  static bool differs(', 'must(std::move(applied), step.target);\n    if (MUTANT && step.note_before) must(journal::keep_note(host_, *step.note_before), step.target);\n  }\n\n  static bool differs('),
    mutant('what came to nothing is remembered', EXECUTOR, 'Executor.note_of_what_came_to_nothing*', *never('step.note_before) put_back(')),
    mutant('what was done is not remembered', EXECUTOR, 'Executor.note_after*', *never('applied && step.note_after) {')),
    mutant('what versions before remember is not moved', EXECUTOR, 'Executor.note_is_moved*', 'for (const NoteName& name : plan.notes_to_move())', 'if (!MUTANT) for (const NoteName& name : plan.notes_to_move())'),
    mutant('what versions before remember is forgotten', JOURNAL, 'Journal.note_where*', 'for (const std::string& path : {note_file(name), name.formerly}) {\n    if (path.empty())',
           'for (const std::string& path : {note_file(name), name.formerly}) {\n    if (path.empty() || (MUTANT && path == name.formerly))'),
    mutant('what is forgotten is still where versions before kept it', JOURNAL, 'Journal.note_where*', *always('old.empty()) return {};')),
    mutant('notes of one module are those of another', JOURNAL, 'Journal.notes_are_kept*', 'name.module + "\\x1f" + name.key', '(MUTANT ? std::string() : name.module) + "\\x1f" + name.key'),
    mutant('notes stay in the state directory', EXECUTOR, law('L6'), *never('applied && step.note_after) {')),
    mutant('a program runs although all is so', PLAN_PROGRAMS, 'Plan.a_program*', *never('step.current == step.desired) return *this;\n  }\n  step.apply = [programs')),
    mutant('a program runs although its turn finds it done', PLAN_PROGRAMS, 'Plan.a_program*', *never('holds && holds(host)')),
    mutant('how programs end is not looked at', PLAN_PROGRAMS, law('L4'), 'if (done) continue;\n      if (!programs', 'if (done || MUTANT) continue;\n      if (!programs'),
    mutant('a package that is there is not looked for', PLAN_PACKAGE, law('L2'), *never('now && now->is_installed()) return')),
    mutant('what came along with a package stays', PLAN_PACKAGE, law('L6'), *never('package && package->is_there() && package->automatic')),
    mutant('a package is removed with its configuration', PLAN_PACKAGE, law('L6'), "now && now->state == \"config-files\"}", "!MUTANT && now && now->state == \"config-files\"}"),
    mutant('what hangs on a step of which nothing came is owed', EXECUTOR, 'Executor.nothing_is_owed*', *never('nothing_came_ && !touched_')),
    mutant('what an earlier step takes away is there', PLAN, 'Plan.the_driver_that*', *never('it->target == step.target)')),
    mutant('the version of a loaded module is any', PLAN_KERNEL, 'Plan.modules_are_loaded*', *always('now == version) return {};')),
    # --- revert
    mutant('revert skips a file', REVERT, 'Executor.revert_puts*', 'owed.images.rbegin();', 'owed.images.rbegin() + (MUTANT ? 1 : 0);'),
    mutant('revert leaves undo records', REVERT, 'Executor.revert_leaves*', *dropped('must(journal::restore_undo_record(')),
    mutant('revert leaves modes', REVERT, 'Executor.revert_puts*', 'host_.write_file(image.path, image.bytes, image.meta)',
           'host_.write_file(image.path, image.bytes, MUTANT ? FileMeta() : image.meta)'),
    mutant('revert leaves directories', REVERT, 'Executor.revert_puts*', *dropped('remove_if_empty(host_, image.directories, step);')),
    mutant('revert overwrites foreign edits', REVERT, 'Executor.revert_does_not_overwrite*', *never('edited_since(*image)')),
    mutant('a failed step is not reverted', EXECUTOR, 'Executor.failed_step_takes_back*', *never('f.on_failure == FollowUp::OnFailure::revert) revert(f, failure);')),
    mutant('a killed run forgets the first state of a file', JOURNAL, 'Executor.revert_that_is_killed*', *dropped('merged.images = std::move(old.images);')),
    # --- what the world gets to see
    mutant('sensitive contents are in diffs', STEP, 'Executor.diff_shows*', *never('step.sensitive) return std::string("(content')),
    mutant('secrets are not masked in strings', MASK, 'Mask.*', 'if (value.is_string()) return masked(', 'if (MUTANT && value.is_string()) return value;\n  if (value.is_string()) return masked('),
    mutant('secrets are masked once only', MASK, 'Mask.more_than_one*', 'at = text.find(secret, at + 8)', 'at = MUTANT ? text.npos : text.find(secret, at + 8)'),
    mutant('logins in URLs are not masked', MASK, 'Mask.logins*', *dropped('text = without_logins(std::move(text));')),
    mutant('long texts are not cut', MASK, 'Mask.what_is_too_long*', *always('text.size() <= most) return text;')),
    mutant('control characters are taken', PARAMS, 'Params.control_characters*', *never('text && !e.shape.secret && ')),
    mutant('secrets are in the invocation', PARAMS, 'Params.secrets_are_in_no_message*', 'given.contains(e.name) ? json(masked) : json(nullptr);',
           'given.contains(e.name) ? json(MUTANT ? args.value(e.name, json()) : json(masked)) : json(nullptr);'),
    mutant('a list of secrets in one string is not taken apart', PARAMS, 'Params.secrets_are_known*', *never('e.shape.secret && e.shape.elements')),
    mutant('unknown parameters are taken', PARAMS, 'Params.unknown_keys*', *always('known) continue;')),
    mutant('null is a value', PARAMS, 'Params.null_is*', 'given != args.end() && !given->is_null()', 'given != args.end() && (MUTANT || !given->is_null())'),
    mutant('depth is not limited', JSON, 'Json.depth*', *never('depth_of(text) > max_depth')),
    mutant('JSON errors quote their input', JSON, 'Json.errors*', 'return Error{fmt::format("not valid JSON at byte {}", e.byte)};',
           'return Error{fmt::format("not valid JSON at byte {}{}", e.byte, MUTANT ? e.what() : "")};'),
    mutant('bytes that are not UTF-8 throw', JSON, 'Json.dump*', 'json::error_handler_t::replace', 'MUTANT ? json::error_handler_t::strict : json::error_handler_t::replace'),
    # --- the host
    mutant('files are written in place', HOST, 'RealHostTest.*write*', 'TemporaryFile temporary(target + temporary_suffix);',
           'TemporaryFile temporary(MUTANT ? target : target + temporary_suffix);'),
    mutant('the mode of a replaced file is lost', HOST, 'RealHostTest.replaced_file*', *never('!wish.mode) wish.mode')),
    mutant('a FIFO is read', HOST, 'RealHostTest.nothing_but*', '!attribute && ::stat(at.c_str(), &st) == 0', '!attribute && ::stat(at.c_str(), &st) == 0 && !(MUTANT && S_ISFIFO(st.st_mode))',
           'if (!S_ISREG(st.st_mode)) return', 'if (!S_ISREG(st.st_mode) && !(MUTANT && S_ISFIFO(st.st_mode))) return'),
    mutant('the lock may be anything', HOST, 'RealHostTest.lock_is_a*', *never('::lstat(at(path).c_str(), &st) == 0')),
    mutant('what others can write is trusted', TRUST, 'Journal.records_that*', *never('info.mode & 022')),
    mutant('what others own is trusted', TRUST, 'Journal.records_that*', *never('info.uid != 0 && info.uid != host.effective_uid()')),
    mutant('records are taken from anybody', TRUST, 'Journal.*_of_others*', *always('checked || checked.error().not_found()')),
    mutant('records may hold any number', 'common/base/json_integer.cpp', 'Journal.numbers*', '(wrapped || number < least || number > most)', '(!MUTANT && (wrapped || number < least || number > most))'),
    mutant('an adopted file is not compared', HOST, 'RealHostTest.file_with_another_hash*', *never('sha256 && text::lower')),
    mutant('programs get our standard input', PROGRAM, 'Subprocess.standard_input*', *dropped('posix_spawn_file_actions_addopen(&actions, 0,')),
    mutant('how a program ended is guessed', PROGRAM, 'Subprocess.how_a_program*', 'if (ended == child) break;', 'if (ended == child || (MUTANT && ended < 0)) break;'),
    mutant('programs inherit what is blocked', PROGRAM, 'Subprocess.programs_do_not*', '| POSIX_SPAWN_SETSIGMASK', '| (MUTANT ? 0 : POSIX_SPAWN_SETSIGMASK)'),
    mutant('programs ignore what we ignore', PROGRAM, 'Subprocess.programs_do_not*', 'POSIX_SPAWN_SETSIGDEF |', '(MUTANT ? 0 : POSIX_SPAWN_SETSIGDEF) |'),
    mutant('programs outlive their time', PROGRAM, 'Subprocess.whatever_it_started*', '::kill(-child, signal);', '::kill(MUTANT ? child : -child, signal);'),
    mutant('programs speak the language of the host', PROGRAM, 'Subprocess.environment*', *dropped('out.emplace_back("LC_ALL=C");')),
    # --- a real module on its fixtures, golden answers (L5) among them
    mutant('a module forgets its follow-up', GRUB_PLACE, module_law('L2'), 'std::vector<FollowUp> out = {follow_up_grub()};',
           'std::vector<FollowUp> out = {follow_up_grub()};\n    if (MUTANT) out.clear();'),
    mutant('a module says nothing of the reboot', CMDLINE, module_law('L5'), 'reboot_if(!missing.empty(),', 'reboot_if(!MUTANT && !missing.empty(),'),
    mutant('a module writes what is there already', JUDGE, module_law('L5'), *never('text::in_force(all, p)) continue;')),
    mutant('a module overlooks what contradicts it', JUDGE, module_law('L5'), *dropped('for (const KernelParameter& p : wish.present) add(text::against(theirs, p));')),
    mutant('the result is not judged', GRUB_PLACE, module_law('L5'), *never('changes && !against.empty()')),
    mutant('what overrides a drop-in is not named', GRUB_PLACE, module_law('L5'), 'if (text::in_force(job_.next, p)) continue;', 'if (MUTANT || text::in_force(job_.next, p)) continue;'),
    mutant('what others write into a drop-in is ours', GRUB_TEXT, 'GrubDefaults.LinesOfOthers*', *dropped('out.foreign += whole;')),
    mutant('GRUB is spoken to as the kernel', GRUB_SCRIPT, 'GrubScript.Writes*', *never('special.find(c) != special.npos')),
    mutant('a quote is given to GRUB', GRUB_SCRIPT, 'GrubScript.Writes*', "if (c == '\\\\' || c == '\\'' || c == '\"')\n      return", "if (!MUTANT && (c == '\\\\' || c == '\\'' || c == '\"'))\n      return"),
    mutant('the first word counts', COMPARE, 'KernelParameters.TheLast*', 'for (std::size_t i = all.size(); i-- > 0;)\n    if (same_subject(all[i], wish, all)) return i;',
           'for (std::size_t i = all.size(), last = i; i-- > 0;)\n    if (same_subject(all[MUTANT ? last - 1 - i : i], wish, all)) return MUTANT ? last - 1 - i : i;'),
    mutant('what was taken out for absence comes back', PLAN, module_law('L5'), 'options.old_bytes_too ? without_ours', 'options.old_bytes_too && !MUTANT ? without_ours'),
    mutant("a module's answer lacks a key", EXECUTOR, module_law('L5'), 'told.reboot_required = reboot_reason_.has_value();',
           'if (!MUTANT) told.reboot_required = reboot_reason_.has_value();'),
    mutant("a module does not put back a file of others", FILE_PLACE, module_law('L6'), 'if (job.absent() && (', 'if (!MUTANT && job.absent() && ('),
    mutant("a module takes along what others wrote", FILE_PLACE, module_law('L5'), 'holds(leave, p) && !holds(foreign, p) ? std::nullopt', 'holds(leave, p) && (MUTANT || !holds(foreign, p)) ? std::nullopt'),
    mutant('a module writes a command line without root=', FILE_PLACE, module_law('L5'), 'p.key == "root" && p.value && !p.value->empty()',
           'MUTANT || (p.key == "root" && p.value && !p.value->empty())'),
    mutant('dashes and underscores are not the same', CMDLINE_TEXT, 'KernelCmdline.Keys*', "return c == '-' ? '_' : c;", "return !MUTANT && c == '-' ? '_' : c;"),
    mutant('quotes are not escaped in a drop-in', GRUB_TEXT, 'GrubDefaults.OurDropIn*', *never('shell_special.find(c) != shell_special.npos')),
    mutant('GRUB ends the command at a semicolon of ours', GRUB_SCRIPT, 'GrubScript.Writes*', 'special.find(c) != special.npos', "!(MUTANT && c == ';') && special.find(c) != special.npos"),
    mutant("GRUB's variables are words", GRUB_SCRIPT, 'GrubScript.Reads*', *never("c == '$') {")),
    mutant('a command of GRUB never ends', GRUB_SCRIPT, 'GrubScript.Reads*', *never("ends_command.find(c) != ends_command.npos ||")),
    # --- what parameters mean
    mutant('a list is one value', COMPARE, module_law('L5'), 'switch (wish.value ? rule_of', 'switch (wish.value && !MUTANT ? rule_of'),
    mutant('an option that was taken back counts', COMPARE, 'KernelParameters.OptionsOfAList*', *never('(after || i > at) && cancels(')),
    mutant('what goes well with a wish goes too', COMPARE, 'KernelParameters.OptionsOfAList*', *always('rule_of(wish.key) != Rule::options || !word.value')),
    # --- what keeps a module or a pool away
    mutant("the kernel's lists of modules add up", BLOCK, 'ModuleBlock.Words*', 'if (list) std::erase_if(', 'if (list && !MUTANT) std::erase_if('),
    mutant('a file of modprobe hides no other', BLOCK, 'ModuleBlock.Lines*', '|| !seen.insert(name).second', '|| (!MUTANT && !seen.insert(name).second)'),
    mutant('a feature of ZFS is known by a part of its name', POOL_FEATURES, 'Zpool.SinceWhen', 'contains(names, " " + std::string(name) + " ")',
           'contains(names, MUTANT ? std::string(name) : " " + std::string(name) + " ")'),
    mutant('what a pool uses is no more than what it may use', POOLS, 'BootPools.Active*', '(active ? missing', '(active && !MUTANT ? missing'),
    # --- a channel is offered
    mutant('every component of an archive is the channel', POLICY, 'AptPolicy.AWish*', 'file.component == component', '(MUTANT || file.component == component)'),
    mutant('a list that could not be fetched anew is as good', POLICY, 'AptPolicy.UpdateFails*', *never('problem != problems.end()) return')),
    mutant('the journal keeps what one run wishes', FOLLOW_UP, 'AptPolicy.UpdateFails*', 'if (kept.is_object()) kept', 'if (!MUTANT && kept.is_object()) kept'),
    # --- absence ends: L7
    mutant('absence never ends', EXECUTOR, law('L7'), *dropped('must(journal::forget_undo(')),
    mutant('absence finds something to do where nothing is', PLAN, law('L7'), *never('!undo && now == remains) return')),
    # --- the same needs before and after: L8
    mutant('what is waited for is told after a run only', EXECUTOR, law('L8'), 'waits_ = plan.waits();', 'if (!MUTANT || effects_) waits_ = plan.waits();'),
    mutant('a reboot is told by check mode only', EXECUTOR, module_law('L8'), 'reboot_reason_ = plan.reboot_reason();',
           'reboot_reason_ = MUTANT && effects_ ? std::optional<std::string>() : plan.reboot_reason();'),
    mutant('a reboot is told only where something was done', EXECUTOR, module_law('L8'), "told.reboot_required = ", "told.reboot_required = (!MUTANT || !steps_.empty()) && "),
    # --- one judge: L9, L10, L11
    mutant('sriov goes past the display', SRIOV_CARDS, judged('L9_tasks_agree', 'sriov_a5000_display_on'), 'readiness::BroughtBy::sriov)) {',
           'MUTANT ? readiness::BroughtBy::display_mode : readiness::BroughtBy::sriov)) {'),
    mutant('programs decide about the command line', HOST_LACKS, judged('L9_agreement', 'diagnose_form_e_fresh'),
           'if (lacking.empty() && against.empty()) return;', 'if ((lacking.empty() && against.empty()) || (MUTANT && !q.asks_programs)) return;'),
    mutant('host_info says ready with one lack', TECHNOLOGIES, judged('L9_agreement', 'diagnose_a5000_display'),
           'out.ready = out.missing.empty();', 'out.ready = out.missing.size() <= (MUTANT ? 1U : 0U);'),
    mutant('mapping and hostpci ask nobody', OUTLOOK, judged('L9_givers_agree', 'diagnose_framebuffer_bootfb'),
           'for (const Condition& each : unmet(question, Rung::mapping)) add(', 'for (const Condition& each : unmet(question, Rung::mapping)) if (!MUTANT) add('),
    mutant('vfio takes what no guest can have', PASSTHROUGH, judged('L9_givers_agree', 'diagnose_config_dead'),
           'if (each.state != readiness::State::unmet || each.next_boot) continue;', 'if (MUTANT || each.state != readiness::State::unmet || each.next_boot) continue;'),
    mutant('the cure of VFs on a whole card makes VFs', CARD, judged('L10_cures_act', 'diagnose_a40_ready'), '{"vfs", "0"}', '{"vfs", MUTANT ? "max" : "0"}'),
    mutant("a card's own sound is a stranger in its group", HOST_LACKS, judged('L9_givers_agree', 'diagnose_form_c_fresh'), 'if (other.same_card ||', 'if ((!MUTANT && other.same_card) ||'),
    mutant('how a card is used does not decide its way', WAY, 'Healthy.L11_healthy_is_ready', 'if (gpu.sriov.enabled == 0 && gpu.mdevs.empty()',
           'if (!MUTANT && gpu.sriov.enabled == 0 && gpu.mdevs.empty()'),
]
