// SPDX-License-Identifier: MIT
// Programs: what they are given, what they answer, how they end.
#include "common/host/real_host.hpp"
#include "common/base/strings.hpp"
#include "tests/unit/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace pvegpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

CommandResult run(std::vector<std::string> argv, seconds timeout = seconds(600)) {
  return run_program({std::move(argv), timeout}).or_fail("run");
}
CommandResult shell(const std::string& script, seconds timeout = seconds(600)) { return run({"sh", "-c", script}, timeout); }

TEST(Subprocess, words_arrive_as_they_are) {
  const std::vector<std::string> words{"", "a b", "$(id)", "'\"\\", "*", "--", "line\nbreak", "\xff"};
  std::vector<std::string> argv{"printf", "%s|"};
  argv.insert(argv.end(), words.begin(), words.end());
  EXPECT_EQ(run(argv).out, fmt::format("{}|", fmt::join(words, "|")));
}

TEST(Subprocess, streams_are_kept_apart_and_the_exit_code_is_told) {
  const CommandResult result = shell("echo out; echo err >&2; exit 3");
  EXPECT_EQ(result.out, "out\n");
  EXPECT_EQ(result.err, "err\n");
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_FALSE(result.timed_out);
}

TEST(Subprocess, killed_program_is_128_and_its_signal) {
  EXPECT_EQ(shell("kill -9 $$").exit_code, 137);
  ::signal(SIGPIPE, SIG_IGN);  // as main() does; programs must have the default again
  EXPECT_EQ(shell("kill -PIPE $$").exit_code, 141);
}

TEST(Subprocess, how_a_program_ended_is_never_guessed) {
  ::signal(SIGCHLD, SIG_IGN);  // as an unkind parent leaves it: the kernel then forgets how children ended
  const auto ignored = run_program({{"false"}});
  ::signal(SIGCHLD, SIG_DFL);
  ASSERT_FALSE(ignored);
  EXPECT_TRUE(text::contains(ignored.error().message, "how /usr/bin/false ended can't be found out")) << ignored.error().message;
  EXPECT_EQ(run({"false"}).exit_code, 1);
}

TEST(Subprocess, programs_do_not_inherit_what_is_ignored_or_blocked) {
  ::signal(SIGTERM, SIG_IGN);
  sigset_t all, before;
  sigfillset(&all);
  ::sigprocmask(SIG_SETMASK, &all, &before);
  const std::string status = run({"cat", "/proc/self/status"}).out;
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
  ::signal(SIGTERM, SIG_DFL);
  EXPECT_TRUE(text::contains(status, "SigBlk:\t0000000000000000")) << status;
  const auto ignored = std::strtoull(status.c_str() + status.find("SigIgn:\t") + 8, nullptr, 16);
  EXPECT_EQ(ignored >> (SIGTERM - 1) & 1, 0u) << status;
}

TEST(Subprocess, time_that_overflows_is_a_long_time) {
  EXPECT_EQ(run({"sh", "-c", "sleep 0.1; exit 3"}, seconds::max()).exit_code, 3);
  EXPECT_TRUE(run({"sleep", "100"}, seconds::min()).timed_out);
}

TEST(Subprocess, grub_defaults_that_would_wait_for_ever_are_an_error) {
  const TemporaryDirectory directory;
  const std::string top = directory.path() + "/grub";
  RealHost host;
  ASSERT_TRUE(host.write_file(top, "GRUB_CMDLINE_LINUX=quiet\n"));
  ASSERT_TRUE(host.make_dir(top + ".d", 0755));
  ASSERT_TRUE(host.write_file(top + ".d/a.cfg", "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX iommu=pt\"\n"));
  const std::vector<std::string> argv = Query::grub_cmdline({{top}, {top + ".d/a.cfg"}, {top + ".d/b.cfg"}}).argv();
  EXPECT_EQ(text::split(run(argv).out, '\0'), (std::vector<std::string>{"quiet", "", "quiet iommu=pt", "", "quiet iommu=pt", "", ""}));
  ASSERT_EQ(::mkfifo((top + ".d/b.cfg").c_str(), 0600), 0);
  const CommandResult result = run(argv);
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.err, top + ".d/b.cfg is not a regular file\n");
}

TEST(Subprocess, standard_input_is_empty_whatever_ours_is) {
  int ours[2];
  ASSERT_EQ(::pipe(ours), 0);
  ASSERT_EQ(::write(ours[1], "arguments\n", 10), 10);
  ::close(ours[1]);
  const int before = ::dup(0);
  ::dup2(ours[0], 0);
  EXPECT_EQ(run({"cat"}).out, "");
  ::dup2(before, 0);
  ::close(before);
  ::close(ours[0]);
}

TEST(Subprocess, environment_is_ours_in_the_c_locale_with_a_fixed_path) {
  ::setenv("PVE_GPU_TEST", "kept", 1);
  ::setenv("LANG", "de_DE.UTF-8", 1);
  ::setenv("LC_MESSAGES", "de_DE.UTF-8", 1);
  const std::string before = std::getenv("PATH") ? std::getenv("PATH") : "";
  ::setenv("PATH", "/nowhere", 1);
  const std::vector<std::string> variables = text::lines(run({"env"}).out);
  ::setenv("PATH", before.c_str(), 1);
  const auto has = [&](std::string_view line) { return std::find(variables.begin(), variables.end(), line) != variables.end(); };
  EXPECT_TRUE(has("PVE_GPU_TEST=kept"));
  EXPECT_TRUE(has("LC_ALL=C"));
  EXPECT_TRUE(has("DEBIAN_FRONTEND=noninteractive"));
  EXPECT_TRUE(has("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
  EXPECT_FALSE(has("LANG=de_DE.UTF-8"));
  EXPECT_FALSE(has("LC_MESSAGES=de_DE.UTF-8"));
}

TEST(Subprocess, no_file_of_ours_is_inherited) {
  const TemporaryDirectory directory;
  RealHost host(directory.path());
  const auto lock = host.lock("/the-lock", seconds(0)).or_fail("lock");
  const CommandResult result = run({"ls", "-l", "/proc/self/fd"});
  EXPECT_TRUE(text::contains(result.out, "/dev/null")) << result.out;
  EXPECT_FALSE(text::contains(result.out, "the-lock")) << "a daemon that we start would hold the lock for ever";
}

TEST(Subprocess, missing_program_is_an_error_that_says_so) {
  const auto result = run_program({{"no-such-program"}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ENOENT);
  EXPECT_TRUE(text::contains(result.error().message, "no-such-program is not installed")) << result.error().message;
  EXPECT_EQ(run_program({{"/etc/passwd"}}).error().code, EACCES);
  EXPECT_FALSE(run_program({{}}));
}

TEST(Subprocess, much_output_on_both_streams_does_not_stop_it_and_its_end_is_kept) {
  const CommandResult result = shell(
      "i=0; while [ $i -lt 20000 ]; do echo \"out line number $i .........................................\"; "
      "echo \"err line number $i ...................\" >&2; i=$((i+1)); done");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out.size(), std::size_t{256} << 10);
  EXPECT_EQ(result.err.size(), std::size_t{256} << 10);
  EXPECT_TRUE(text::contains(result.out, "out line number 19999 "));
  EXPECT_TRUE(text::contains(result.err, "err line number 19999 "));
}

TEST(Subprocess, program_that_takes_too_long_is_ended) {
  const auto start = Clock::now();
  const CommandResult result = shell("echo begun; sleep 1000", seconds(3));
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.exit_code, 143);
  EXPECT_EQ(result.out, "begun\n");
  EXPECT_LT(Clock::now() - start, seconds(900));
}

TEST(Subprocess, whatever_it_started_is_ended_with_it) {
  const TemporaryDirectory directory;
  const std::string gate = directory.path() + "/gate", sign = directory.path() + "/sign";
  ASSERT_EQ(::mkfifo(gate.c_str(), 0600), 0);
  const int open_gate = ::open(gate.c_str(), O_RDWR | O_CLOEXEC);
  const CommandResult result = shell(fmt::format("(read line < {}; echo lives > {}) & echo $!; wait", gate, sign), seconds(3));
  EXPECT_TRUE(result.timed_out);
  // Whoever still waits at the gate goes on, and ends too.
  EXPECT_EQ(::write(open_gate, "go\n", 3), 3);
  const std::string stat = fmt::format("/proc/{}/stat", text::trim(result.out));
  for (auto state = RealHost().read_file(stat); state && !text::contains(*state, ") Z "); state = RealHost().read_file(stat))
    RealHost().pause(milliseconds(100));  // gone, or waits for init to notice
  EXPECT_FALSE(RealHost().exists(sign)) << "the child lives on";
  ::close(open_gate);
}

TEST(Subprocess, program_that_ignores_the_first_signal_is_killed) {
  const CommandResult result = shell("trap '' TERM; while :; do sleep 1; done", seconds(3));
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.exit_code, 137);
}

TEST(Subprocess, daemon_that_keeps_the_pipes_open_is_not_waited_for) {
  const auto start = Clock::now();
  const CommandResult result = shell("sleep 1000 & echo $!");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_LT(Clock::now() - start, seconds(900));
  EXPECT_EQ(::kill(std::atoi(result.out.c_str()), SIGKILL), 0) << "it was still there";
}

}  // namespace
}  // namespace pvegpu
