// SPDX-License-Identifier: MIT
// Counts the effects of one named program, and kills it or lets it fail at the n-th. Others are not slowed down: only the process
// that starts the named program is traced, and only until it ends or becomes another program.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace supervisor {

enum class Mode { off, count, kill_before, kill_after, fail };

class Tracer {
 public:
  // Holds for the next start of a program whose path or command line matches (fnmatch, `*` matches slashes), and forgets what an
  // earlier one did.
  void arm(Mode mode, std::string pattern, std::uint64_t at, int error);
  // Whether an exec of this process matters at all.
  [[nodiscard]] bool wants(pid_t pid) const { return (mode_ != Mode::off && !started_) || tasks_.count(pid) != 0; }
  // A process is about to become a program: called while its execve waits for an answer.
  void about_to_exec(pid_t pid, const std::string& path, const std::string& command);
  // Handles all that waitpid(2) has.
  void reap();
  // First line "STATE COUNT": off, armed, running, killed, ended; then an effect a line.
  [[nodiscard]] std::string report() const;

 private:
  struct Task {
    bool tracked = false;   // runs the named program; false: seized, but its exec has not happened yet
    bool matches = false;   // the exec under way is of the named program
    bool failing = false;   // the system call under way is to fail
    bool striking = false;  // … or to be its last
  };

  void stopped(pid_t pid, int status);
  void at_syscall(pid_t pid, Task& task);
  void kill_all();
  void resume(pid_t pid, int request, int signal);

  Mode mode_ = Mode::off;
  std::string pattern_;
  std::uint64_t at_ = 0;
  int error_ = 0;
  bool started_ = false, killed_ = false;
  std::map<pid_t, Task> tasks_;
  std::vector<std::string> effects_;
};

}  // namespace supervisor
