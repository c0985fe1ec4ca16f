#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# Shows that the tests can fail: breaks one place of the core at a time, in a copy, and expects the named test to notice.
"""mutate.py BUILD_DIR [WORD...]: all mutants, or those whose title has one of the words.

Nothing is rebuilt but the one file that was changed: compiler and linker commands come from the build directory (Ninja). A
mutant that no longer applies, or that its test does not kill, fails the run.
"""
import concurrent.futures
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
EXECUTOR, JOURNAL, PLAN = 'common/core/executor.cpp', 'common/core/journal.cpp', 'common/core/plan.cpp'
PARAMS, MASK, JSON, FOLLOW_UP = 'common/core/params.cpp', 'common/core/mask.cpp', 'common/core/json.cpp', 'common/core/follow_up.cpp'
HOST, PROGRAM = 'common/host/real_host.cpp', 'common/host/subprocess.cpp'
TARGETS = ('laws-tests', 'unit-tests')


def law(name):
    return 'laws-tests', 'Planners/PlannerLaw.%s*' % name


def unit(name):
    return 'unit-tests', name


# What is broken, where, old text, new text, and the test that must notice.
MUTANTS = [
    ('check mode is ignored', EXECUTOR, 'effects_(!mode.check && task.effects', 'effects_(task.effects', law('L1')),
    ('check mode takes the lock', EXECUTOR, 'if (effects_) lock = take_lock();', 'lock = take_lock();', law('L1')),
    ('check mode records waits', EXECUTOR, 'if (effects_) must(journal::record_waits(', 'must(journal::record_waits(', law('L1')),
    ('check mode forgets the last step', EXECUTOR, 'for (const Owed& owed : left_over(plan, triggered)) done(owed.follow_up.title());\n      for (const Step& step : plan.steps()) {',
     'for (const Owed& owed : left_over(plan, triggered)) done(owed.follow_up.title());\n      for (const Step& step : plan.steps()) {\n        if (&step == &plan.steps().back()) break;', law('L3')),
    ('check mode does not say what follows', EXECUTOR, '        else\n          done(f.title());\n    }\n    wait(plan);', '    }\n    wait(plan);', law('L3')),
    ('steps run from the last to the first', EXECUTOR, '        perform(step);\n        note_difference(step);\n        done(step.target);',
     '        perform(step);\n        note_difference(step);\n        steps_.insert(steps_.begin(), step.target);', law('L3')),
    ('only one round', EXECUTOR, 'most_rounds = 5', 'most_rounds = 1', law('L2')),
    ('the rest is not planned after an earlier step', EXECUTOR, '      settled = carry_out(plan, triggered) && plan.waits().empty();',
     '      settled = carry_out(plan, triggered) && plan.waits().empty();\n      return;', law('L2')),
    ('follow-ups are not run', EXECUTOR, '        pending_.push_back(f.title());\n      else\n        follow_up(f);\n    return true;',
     '        pending_.push_back(f.title());\n    return true;', law('L2')),
    ('what is owed is noted after the effect', EXECUTOR, '    for (const FollowUp& f : triggered) owe(plan, f);\n    try {\n', '    try {\n', law('L4')),
    ('follow-ups are forgotten before they run', EXECUTOR, '  void follow_up(const FollowUp& f) {\n',
     '  void follow_up(const FollowUp& f) {\n    must(journal::settle(host_, f), f.title());\n', law('L4')),
    ('follow-ups are not forgotten when done', EXECUTOR, '    if (!judgement.failure) {\n      must(journal::settle(host_, f), f.title());', '    if (!judgement.failure) {',
     law('L2')),
    ('what is owed runs after the plan instead of first', EXECUTOR,
     '        for (const Owed& each : owed) follow_up(each.follow_up);\n        settled = false;\n        continue;',
     '        carry_out(plan, triggered);\n        for (const Owed& each : owed) follow_up(each.follow_up);\n        settled = false;\n        continue;', law('L4')),
    ('what is owed from an earlier run is not looked for', EXECUTOR, 'if (mine && !again && !put_off(plan, owed.follow_up)) out.push_back(owed);', '', law('L4')),
    ('work of other modules is done too', EXECUTOR, 'plan.does_all_owed_work() || std::find(', 'true || std::find(', unit('Executor.what_other_modules_owe*')),
    ('everything can be put off', EXECUTOR, 'plan.puts_off_next_boot_work() && follow_up.when == FollowUp::When::next_boot', 'plan.puts_off_next_boot_work()',
     law('L2')),
    ('nothing is put off', EXECUTOR, 'return plan.puts_off_next_boot_work() &&', 'return false &&', unit('Executor.only_next_boot_work*')),
    ('follow-ups run once for each step', EXECUTOR, 'if (std::none_of(out.begin(), out.end(), [&](const FollowUp& g) { return g.id() == f.id(); })) out.push_back(f);',
     'out.push_back(f);', unit('Executor.follow_ups_run_once*')),
    ('follow-ups run in the order of steps', EXECUTOR, 'return a.rank < b.rank;', 'return false && a.rank < b.rank;', unit('Executor.follow_ups_run_once*')),
    ('two programs with other arguments are one', FOLLOW_UP, 'fmt::format("{}\\x1f{}", kind, fmt::join(argv, "\\x1f"))', 'fmt::format("{}\\x1f{}", kind, argv[0])', law('L4')),
    ('steps are not verified', EXECUTOR, '        verify(step);\n', '', unit('Executor.exit_code_zero_proves_nothing')),
    ('late effects are not waited for', EXECUTOR, 'host_.now() + step.within', 'host_.now()', law('L2')),
    ('late effects are waited for without end', EXECUTOR, 'host_.now() + step.within', 'host_.now() + 5 * step.within', unit('Executor.gives_up_on*')),
    ('steps do not look again before they act', EXECUTOR, 'if (step.observe && must(step.observe(host_), step.target) != step.current) return false;', '',
     unit('Executor.file_that_changed_since*')),
    ('something that undoes us is not noticed', EXECUTOR, '      if (settled)\n', '      if (false)\n', unit('Executor.file_that_something_else*')),
    ('refusals are ignored', EXECUTOR, 'if (plan.refusal()) throw', 'if (false) throw', unit('Executor.refusal*')),
    ('information modules may act', EXECUTOR, 'if (task_.effects == Effects::none && !plan.empty())', 'if (false)', unit('Executor.information_module_with*')),
    ("a wait's boot is ignored", EXECUTOR, 'if (*since && **since != boot_id)', 'if (false)', unit('Executor.wait_that_outlives*')),
    ('a wait begins anew at each run', JOURNAL, 'since.value_or(boot_id)', 'boot_id', unit('Journal.wait_keeps*')),
    ('a wait does not begin anew with a change', EXECUTOR, '      if (!steps_.empty()) break;', '', unit('Executor.a_change_begins*')),
    ('a run that failed did not change anything', EXECUTOR, '(touched_ || !steps_.empty()) && !all_reverted', '!failure_ && !steps_.empty()', law('L4')),
    ('undo records are not written', EXECUTOR, 'if (change.kind != FileChange::Kind::withdraw) must(journal::record_undo(host_, task_.module, change), step.target);', '', law('L6')),
    ('undo records are written after the effect', EXECUTOR, '    touched_ = true;\n    if (change.kind == FileChange::Kind::withdraw) {',
     '    touched_ = true;\n    if (change.kind != FileChange::Kind::withdraw) must(journal::record_undo(host_, task_.module, change), step.target);\n'
     '    if (change.kind == FileChange::Kind::withdraw) {', law('L6')),
    ('undo records stay', EXECUTOR, 'must(journal::forget_undo(host_, task_.module, change, before ? std::optional<std::string>(*before) : std::nullopt), step.target);',
     '', law('L6')),
    ('undo leaves directories', EXECUTOR, '      remove_if_empty(change.directories, step.target);\n', '', law('L6')),
    ('undo does not know of directories of neighbours', JOURNAL, 'add_directories(c.directories, PVEGPU_TRY(made_above(host, change.path)));', '', law('L6')),
    ('undo leaves modes', PLAN, '} else if (meta_before && *meta_before != meta_wished(meta, {})) {', '} else if (false) {', law('L6')),
    ('undo leaves what a killed write left', EXECUTOR, 'remove(change.path + temporary_suffix, step.target);\n      remove_if_empty', 'remove_if_empty', law('L4')),
    ('undo brings back the last version, not the first', JOURNAL, '    mine->after = after;\n', '    mine->before = now.value_or("");\n    mine->after = after;\n',
     unit('Journal.undo_remembers*')),
    ('undo overwrites foreign edits', JOURNAL, 'last && !mine->mixed && mine->matches(now)', 'true', unit('Executor.foreign_edits*')),
    ('undo does not notice edits between two changes', JOURNAL, '    else if (!mine->matches(now))\n      mine->mixed = true;', '', unit('Executor.edit_between*')),
    ('undo of one module takes the other along', JOURNAL, 'const bool last = std::next(mine) == all.end();', 'const bool last = true;', unit('Executor.two_modules*')),
    ('the state directory stays', EXECUTOR, 'must(journal::tidy(host_), "tidy /var/lib/pve-gpu");', '', law('L6')),
    ('what killed writes left in the state directory stays', JOURNAL, 'if (name.ends_with(temporary_suffix)) (void)', 'if (false) (void)', law('L4')),
    ('revert skips a file', EXECUTOR, 'for (auto image = owed.images.rbegin();', 'for (auto image = owed.images.rbegin() + 1;', unit('Executor.revert_puts*')),
    ('revert leaves undo records', EXECUTOR, '    must(journal::restore_undo_record(host_, image.path, image.undo_record), step);\n', '', unit('Executor.revert_leaves*')),
    ('revert leaves modes', EXECUTOR, 'host_.write_file(image.path, image.bytes, image.meta)', 'host_.write_file(image.path, image.bytes)', unit('Executor.revert_puts*')),
    ('revert leaves directories', EXECUTOR, 'remove_if_empty(image.directories, step);', '', unit('Executor.revert_puts*')),
    ('revert overwrites foreign edits', EXECUTOR, 'if (edited_since(*image)) {', 'if (false) {', unit('Executor.revert_does_not_overwrite*')),
    ('a failed step is not reverted', EXECUTOR, 'if (f.on_failure == FollowUp::OnFailure::revert) revert(f, failure);', '', unit('Executor.failed_step_takes_back*')),
    ('a killed run forgets the first state of a file', JOURNAL, '    merged.images = std::move(old.images);\n', '', unit('Executor.revert_that_is_killed*')),
    ('sensitive contents are in diffs', EXECUTOR, 'if (step.sensitive) return std::string("(content not shown)\\n");', '', unit('Executor.diff_shows*')),
    ('secrets are not masked in strings', MASK, 'if (value.is_string()) return masked(', 'if (value.is_string()) return (', unit('Mask.*')),
    ('secrets are masked once only', MASK, 'at = text.find(secret, at + 8)', 'at = text.npos', unit('Mask.more_than_one*')),
    ('secrets are in the invocation', PARAMS, '(*invocation)[e.name] = given.contains(e.name) ? json(masked) : json(nullptr);',
     '(*invocation)[e.name] = args.value(e.name, json());', unit('Params.secrets_are_in_no_message*')),
    ('secrets are in errors of their parameter', PARAMS, 'if (e.shape.secret) throw', 'if (false) throw', unit('Params.secrets_are_in_no_message*')),
    ('a list of secrets in one string is not taken apart', PARAMS, 'if (e.shape.secret && e.shape.elements)', 'if (false)', unit('Params.secrets_are_known*')),
    ('unknown parameters are taken', PARAMS, 'if (known) continue;', 'continue;', unit('Params.unknown_keys*')),
    ('null is a value', PARAMS, 'if (given != args.end() && !given->is_null()) return', 'if (given != args.end()) return', unit('Params.null_is*')),
    ('depth is not limited', JSON, 'if (depth_of(text) > max_depth)', 'if (false)', unit('Json.depth*')),
    ('JSON errors quote their input', JSON, 'return Error{fmt::format("not valid JSON at byte {}", e.byte)};', 'return Error{fmt::format("not valid JSON at byte {}: {}", e.byte, e.what())};',
     unit('Json.errors*')),
    ('bytes that are not UTF-8 throw', JSON, 'json::error_handler_t::replace', 'json::error_handler_t::strict', unit('Json.dump*')),
    ('files are written in place', HOST, 'TemporaryFile temporary(target + temporary_suffix);', 'TemporaryFile temporary(target);', unit('RealHostTest.*write*')),
    ('the mode of a replaced file is lost', HOST, 'if (!wish.mode) wish.mode = now->mode;', '', unit('RealHostTest.replaced_file*')),
    ('an adopted file is not compared', HOST, 'if (sha256 && text::lower(*sha256) != sum)', 'if (false)', unit('RealHostTest.file_with_another_hash*')),
    ('programs get our standard input', PROGRAM, 'posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);', '', unit('Subprocess.no_file_of_ours*')),
    ('programs outlive their time', PROGRAM, '::kill(-child, signal);', '::kill(child, signal);', unit('Subprocess.whatever_it_started*')),
    ('programs speak the language of the host', PROGRAM, 'out.emplace_back("LC_ALL=C");', '', unit('Subprocess.environment*')),
]


class Workshop:
    """Compiles and links single changed files with the commands of a finished build."""

    def __init__(self, build):
        self.build = os.path.realpath(build)
        self.place = os.path.join(self.build, 'mutation')
        with open(os.path.join(self.build, 'compile_commands.json'), encoding='utf-8') as file:
            self.compilations = {os.path.realpath(entry['file']): shlex.split(entry['command']) for entry in json.load(file)}
        self.links = {}
        for target in TARGETS:
            done = subprocess.run(['ninja', '-C', self.build, '-t', 'commands', 'tests/' + target], capture_output=True, text=True, check=True)
            self.links[target] = done.stdout.splitlines()[-1]

    def make(self, title, source, text, target):
        """The test program with `source` replaced by `text`; CalledProcessError when it does not compile."""
        place = os.path.join(self.place, re.sub(r'[^a-z]+', '-', title.lower()))  # always the same: ccache knows it the next time
        os.makedirs(place, exist_ok=True)
        changed, built, program = (os.path.join(place, name) for name in (os.path.basename(source), 'changed.o', target))
        with open(changed, 'w', encoding='utf-8') as file:
            file.write(text)
        command = self.compilations[os.path.join(ROOT, source)]
        object_file = command[command.index('-o') + 1]
        compiler = [word for word in command[:2] if not word.startswith('-')]
        if len(compiler) == 1 and shutil.which('ccache'):
            compiler.insert(0, 'ccache')
        flags = [word for word in command[:command.index('-o')] if word not in compiler and not re.match(r'-(g|O|W|fsanitize|fno-sanitize)', word)]
        subprocess.run([*compiler, *flags, '-O0', '-w', '-c', changed, '-o', built], cwd=self.build, check=True, capture_output=True, text=True)
        link = self.links[target]
        if object_file not in link:
            raise ValueError('%s is not linked with %s' % (target, object_file))
        link = link.replace(object_file, built).replace('-o tests/' + target, '-o ' + shlex.quote(program))
        subprocess.run(link, shell=True, cwd=self.build, check=True, capture_output=True, text=True)
        return program


def run_tests(program, names):
    """The exit code of these tests; 124 when they do not end."""
    try:
        return subprocess.run([program, '--gtest_brief=1', '--gtest_filter=' + names], capture_output=True, check=False, timeout=300).returncode
    except subprocess.TimeoutExpired:
        return 124


def fate(workshop, mutant):
    """"killed", or why that can't be said."""
    title, source, old, new, (target, tests) = mutant
    with open(os.path.join(ROOT, source), encoding='utf-8') as file:
        text = file.read()
    if text.count(old) != 1:
        return 'the text to change is there %d times: bring tests/mutation/mutate.py up to date' % text.count(old)
    try:
        program = workshop.make(title, source, text.replace(old, new), target)
    except subprocess.CalledProcessError as error:
        return 'does not compile: %s' % (error.stderr or '')[:600]
    try:
        return 'killed' if run_tests(program, tests) else 'SURVIVES %s' % tests
    finally:
        os.remove(program)


def main(build, words):
    begin = time.monotonic()
    workshop = Workshop(build)
    chosen = [mutant for mutant in MUTANTS if not words or any(word in mutant[0] for word in words)]
    for target in TARGETS:  # without a mutant every named test is there and passes
        tests = sorted({mutant[4][1] for mutant in chosen if mutant[4][0] == target})
        program = os.path.join(workshop.build, 'tests', target)
        for name in tests:
            listed = subprocess.run([program, '--gtest_list_tests', '--gtest_filter=' + name], capture_output=True, text=True, check=True).stdout
            if not re.search(r'^  \S', listed, re.MULTILINE):
                sys.exit('mutate: no test is called %s' % name)
        if tests and run_tests(program, ':'.join(tests)) != 0:
            sys.exit('mutate: %s fails without a mutant; mend that first' % target)
    survivors = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for mutant, outcome in zip(chosen, pool.map(lambda mutant: fate(workshop, mutant), chosen)):
            survivors += outcome != 'killed'
            print('%-9s %-58s %s' % ('killed' if outcome == 'killed' else 'NOT', mutant[0], mutant[4][1] if outcome == 'killed' else outcome), flush=True)
    print('mutate: %d of %d mutants killed in %.0f s' % (len(chosen) - survivors, len(chosen), time.monotonic() - begin))
    return 1 if survivors else 0


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2:]))
