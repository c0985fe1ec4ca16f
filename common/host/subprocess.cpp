// SPDX-License-Identifier: MIT
// Programs: argv only, both streams apart and capped, a deadline for the whole process group.
#include "common/host/fd.hpp"
#include "common/host/real_host.hpp"
#include "common/base/strings.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>

namespace pvegpu {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kept_output = std::size_t{256} << 10;
constexpr std::chrono::seconds longest_run = std::chrono::hours(24);
constexpr const char* system_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The path that this program's `name` has, "" if there is none. An ssh session's PATH often lacks sbin, so ours is fixed.
std::string find_program(const std::string& name) {
  if (name.find('/') != name.npos) return name;
  for (const std::string& directory : text::split(system_path, ':')) {
    std::string path = directory + "/" + name;
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return {};
}

/// Our environment (a task's `environment:` is meant for what we start) in the C locale.
std::vector<std::string> child_environment() {
  std::vector<std::string> out;
  for (char** variable = environ; *variable; ++variable) {
    const std::string_view entry = *variable;
    if (!entry.starts_with("LC_") && !entry.starts_with("LANG=") && !entry.starts_with("LANGUAGE=") && !entry.starts_with("PATH="))
      out.emplace_back(entry);
  }
  out.emplace_back("LC_ALL=C");
  out.emplace_back(std::string("PATH=") + system_path);
  out.emplace_back("DEBIAN_FRONTEND=noninteractive");
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

struct Stream {
  Fd fd;
  std::string text;

  /// Reads what is there; false at the end of the stream.
  bool drain() {
    char buffer[16384];
    while (true) {
      const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno == EAGAIN;
      if (n == 0) return false;
      text.append(buffer, static_cast<std::size_t>(n));
      if (text.size() > 2 * kept_output) text.erase(0, text.size() - kept_output);
    }
  }
};

}  // namespace

Result<CommandResult> run_program(const Command& command) {
  if (command.argv.empty()) return Error{"no program to run"};
  const std::string program = find_program(command.argv[0]);
  if (program.empty()) return Error{fmt::format("{} is not installed (looked in {})", command.argv[0], system_path), ENOENT};

  int out_pipe[2], err_pipe[2];
  if (::pipe2(out_pipe, O_CLOEXEC) != 0) return Error::from_errno("make a pipe", errno);
  Stream out{Fd(out_pipe[0]), {}};
  Fd out_end(out_pipe[1]);
  if (::pipe2(err_pipe, O_CLOEXEC) != 0) return Error::from_errno("make a pipe", errno);
  Stream err{Fd(err_pipe[0]), {}};
  Fd err_end(err_pipe[1]);
  for (const Stream* s : {&out, &err}) ::fcntl(s->fd.get(), F_SETFL, O_NONBLOCK);

  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out_end.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, err_end.get(), 2);
  // Not what we or who started us ignore or block. SIGHUP stays ignored where it is: so a run under nohup is meant.
  sigset_t none, ours;
  sigemptyset(&none);
  sigemptyset(&ours);
  for (const int signal : {SIGPIPE, SIGCHLD, SIGTERM, SIGINT, SIGQUIT}) sigaddset(&ours, signal);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &ours);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  std::vector<std::string> argv = command.argv, environment = child_environment();
  pid_t child = -1;
  const int failure = ::posix_spawn(&child, program.c_str(), &actions, &attributes, pointers(argv).data(), pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failure != 0) return Error::from_errno("start " + program, failure);
  out_end.close();
  err_end.close();

  CommandResult result;
  auto deadline = Clock::now() + std::clamp(command.timeout, std::chrono::seconds(0), longest_run);
  int status = 0, signal = SIGTERM;
  bool out_open = true, err_open = true;
  auto nap = milliseconds(1);  // grows: short programs are noticed at once, long ones cost nothing
  while (true) {
    if (out_open || err_open) {
      pollfd fds[2] = {{out_open ? out.fd.get() : -1, POLLIN, 0}, {err_open ? err.fd.get() : -1, POLLIN, 0}};
      ::poll(fds, 2, static_cast<int>(nap.count()));
    } else {
      ::poll(nullptr, 0, static_cast<int>(nap.count()));
    }
    if (out_open) out_open = out.drain();
    if (err_open) err_open = err.drain();
    const pid_t ended = ::waitpid(child, &status, WNOHANG);
    if (ended == child) break;
    if (ended < 0 && errno != EINTR) return Error::from_errno(fmt::format("how {} ended can't be found out", program), errno);
    if (Clock::now() >= deadline) {
      result.timed_out = true;
      ::kill(-child, signal);
      signal = SIGKILL;
      deadline = Clock::now() + std::chrono::seconds(5);
    }
    nap = std::min(nap * 2, milliseconds(100));
  }
  // A daemon it started may hold the pipes open: what is there now is what the program wrote.
  if (out_open) out.drain();
  if (err_open) err.drain();
  const auto tail = [](std::string& s) {
    if (s.size() > kept_output) s.erase(0, s.size() - kept_output);
    return std::move(s);
  };
  result.out = tail(out.text);
  result.err = tail(err.text);
  if (result.timed_out) result.err += fmt::format("{} did not end in time and was stopped\n", command.argv[0]);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

}  // namespace pvegpu
