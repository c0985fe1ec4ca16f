// SPDX-License-Identifier: MIT
// Counts the effects of one named program, by ptrace(2).
#include "tracer.hpp"

#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#include <cerrno>
#include <optional>
#include <utility>

#include "target.hpp"

namespace supervisor {

namespace {

constexpr long options = PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD;

// glibc's enumeration lacks the newer requests.
long trace(int request, pid_t pid, std::uint64_t address, std::uint64_t data) {
  return ptrace(static_cast<__ptrace_request>(request), pid, address, data);
}

std::string at(pid_t pid, std::uint64_t directory, std::uint64_t path) {
  const std::string name = read_string(pid, path);
  if (!name.empty() && name[0] == '/') {
    return name;
  }
  const auto fd = static_cast<int>(directory);
  return proc_link(pid, fd == AT_FDCWD ? "cwd" : "fd/" + std::to_string(fd)) + (name.empty() ? "" : '/' + name);
}

// The path of a descriptor that leads to a file; nothing for pipes, sockets, terminals and memory.
std::optional<std::string> file_of(pid_t pid, std::uint64_t descriptor) {
  const std::string name = "fd/" + std::to_string(static_cast<int>(descriptor));
  struct stat status {};
  if (stat(("/proc/" + std::to_string(pid) + '/' + name).c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
    return std::nullopt;
  }
  std::string path = proc_link(pid, name);
  return path.rfind("/memfd:", 0) == 0 ? std::nullopt : std::optional(path);
}

// What a system call would change in the world, in words; nothing for those that only look.
std::optional<std::string> effect_of(pid_t pid, std::uint64_t number, const std::uint64_t* args) {
  constexpr std::uint64_t here = static_cast<std::uint64_t>(AT_FDCWD);
  const auto two = [&](const char* verb, const std::string& first, const std::string& second) {
    return verb + (' ' + first) + ' ' + second;
  };
  switch (number) {
    case SYS_rename:
      return two("rename", at(pid, here, args[0]), at(pid, here, args[1]));
    case SYS_renameat:
    case SYS_renameat2:
      return two("rename", at(pid, args[0], args[1]), at(pid, args[2], args[3]));
    case SYS_unlink:
      return "unlink " + at(pid, here, args[0]);
    case SYS_rmdir:
      return "rmdir " + at(pid, here, args[0]);
    case SYS_unlinkat:
      return ((args[2] & AT_REMOVEDIR) != 0 ? "rmdir " : "unlink ") + at(pid, args[0], args[1]);
    case SYS_mkdir:
      return "mkdir " + at(pid, here, args[0]);
    case SYS_mkdirat:
      return "mkdir " + at(pid, args[0], args[1]);
    case SYS_mknod:
      return "mknod " + at(pid, here, args[0]);
    case SYS_mknodat:
      return "mknod " + at(pid, args[0], args[1]);
    case SYS_symlink:
      return two("symlink", read_string(pid, args[0]), at(pid, here, args[1]));
    case SYS_symlinkat:
      return two("symlink", read_string(pid, args[0]), at(pid, args[1], args[2]));
    case SYS_link:
      return two("link", at(pid, here, args[0]), at(pid, here, args[1]));
    case SYS_linkat:
      return two("link", at(pid, args[0], args[1]), at(pid, args[2], args[3]));
    case SYS_chmod:
      return "chmod " + at(pid, here, args[0]);
    case SYS_fchmodat:
      return "chmod " + at(pid, args[0], args[1]);
    case SYS_chown:
    case SYS_lchown:
      return "chown " + at(pid, here, args[0]);
    case SYS_fchownat:
      return "chown " + at(pid, args[0], args[1]);
    case SYS_truncate:
      return "truncate " + at(pid, here, args[0]);
    case SYS_utimensat:
      return "touch " + at(pid, args[0], args[1]);
    case SYS_creat:
      return "create " + at(pid, here, args[0]);
    case SYS_open:
      return (args[1] & (O_CREAT | O_TRUNC)) != 0 ? std::optional("create " + at(pid, here, args[0])) : std::nullopt;
    case SYS_openat:
      return (args[2] & (O_CREAT | O_TRUNC)) != 0 ? std::optional("create " + at(pid, args[0], args[1])) : std::nullopt;
    case SYS_write:
    case SYS_pwrite64:
    case SYS_writev:
    case SYS_pwritev:
    case SYS_sendfile:
    case SYS_fchmod:
    case SYS_fchown:
    case SYS_ftruncate:
    case SYS_copy_file_range: {
      const auto path = file_of(pid, args[number == SYS_copy_file_range ? 2 : 0]);
      const char* verb = number == SYS_fchmod      ? "chmod "
                         : number == SYS_fchown    ? "chown "
                         : number == SYS_ftruncate ? "truncate "
                                                   : "write ";
      return path ? std::optional(verb + *path) : std::nullopt;
    }
    case SYS_execve:
      return "exec " + read_string(pid, args[0]);
    case SYS_execveat:
      return "exec " + at(pid, args[0], args[1]);
    case SYS_init_module:
      return "init_module";
    case SYS_finit_module:
      return "finit_module " + proc_link(pid, "fd/" + std::to_string(static_cast<int>(args[0])));
    case SYS_delete_module:
      return "delete_module " + read_string(pid, args[0]);
    case SYS_reboot:
      return "reboot";
    default:
      return std::nullopt;
  }
}

}  // namespace

void Tracer::arm(Mode mode, std::string pattern, std::uint64_t at, int error) {
  mode_ = mode;
  pattern_ = std::move(pattern);
  at_ = at;
  error_ = error;
  started_ = killed_ = false;
  effects_.clear();
  for (auto& [pid, task] : tasks_) {  // one that still runs goes on untraced at its next stop
    task = {};
  }
}

void Tracer::about_to_exec(pid_t pid, const std::string& path, const std::string& command) {
  const bool wanted = mode_ != Mode::off && !started_ &&
                      (fnmatch(pattern_.c_str(), path.c_str(), 0) == 0 || fnmatch(pattern_.c_str(), command.c_str(), 0) == 0);
  const auto known = tasks_.find(pid);
  if (known != tasks_.end()) {
    known->second.matches = wanted;
  } else if (wanted && trace(PTRACE_SEIZE, pid, 0, options) == 0) {
    tasks_[pid].matches = true;
  }
}

void Tracer::reap() {
  int status = 0;
  pid_t pid = 0;
  while ((pid = waitpid(-1, &status, __WALL | WNOHANG)) > 0) {
    if (WIFSTOPPED(status)) {
      stopped(pid, status);
    } else {
      tasks_.erase(pid);
    }
  }
}

void Tracer::resume(pid_t pid, int request, int signal) {
  if (trace(request, pid, 0, static_cast<std::uint64_t>(signal)) != 0 && errno == ESRCH) {
    return;  // killed meanwhile: waitpid tells
  }
}

void Tracer::stopped(pid_t pid, int status) {
  const auto [place, fresh] = tasks_.try_emplace(pid);
  Task& task = place->second;
  if (fresh) {  // a child of a traced task, told of before its parent's fork
    task.tracked = started_;
  }
  const int signal = WSTOPSIG(status);
  const int event = status >> 16;
  if (event == PTRACE_EVENT_EXEC) {
    if (task.striking) {
      kill_all();
    } else if (task.matches && !started_) {
      task = {};
      task.tracked = started_ = true;
    } else {
      tasks_.erase(pid);
      resume(pid, PTRACE_DETACH, 0);
      return;
    }
  } else if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
    unsigned long child = 0;
    if (task.tracked && ptrace(PTRACE_GETEVENTMSG, pid, 0, &child) == 0) {
      tasks_[static_cast<pid_t>(child)].tracked = true;
    }
  } else if (event == PTRACE_EVENT_STOP && (signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU)) {
    resume(pid, PTRACE_LISTEN, 0);
    return;
  } else if (signal == (SIGTRAP | 0x80)) {
    at_syscall(pid, task);
  } else if (event == 0) {
    resume(pid, task.tracked ? PTRACE_SYSCALL : PTRACE_CONT, signal);
    return;
  }
  resume(pid, task.tracked ? PTRACE_SYSCALL : PTRACE_CONT, 0);
}

void Tracer::at_syscall(pid_t pid, Task& task) {
  if (!task.tracked) {
    return;
  }
  __ptrace_syscall_info call{};
  if (trace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(call), reinterpret_cast<std::uint64_t>(&call)) <= 0) {
    return;
  }
  user_regs_struct registers{};
  if (call.op == PTRACE_SYSCALL_INFO_ENTRY) {
    const auto effect = effect_of(pid, call.entry.nr, call.entry.args);
    if (!effect) {
      return;
    }
    effects_.push_back(*effect);
    if (effects_.size() != at_ || mode_ == Mode::count) {
      return;
    }
    if (mode_ == Mode::kill_before) {
      kill_all();
    } else if (mode_ == Mode::kill_after) {
      task.striking = true;
    } else if (ptrace(PTRACE_GETREGS, pid, 0, &registers) == 0) {
      registers.orig_rax = static_cast<unsigned long long>(-1);  // no such call
      task.failing = ptrace(PTRACE_SETREGS, pid, 0, &registers) == 0;
    }
  } else if (task.striking) {
    kill_all();
  } else if (task.failing && ptrace(PTRACE_GETREGS, pid, 0, &registers) == 0) {
    task.failing = false;
    registers.rax = static_cast<unsigned long long>(-error_);
    (void)ptrace(PTRACE_SETREGS, pid, 0, &registers);
  }
}

void Tracer::kill_all() {
  killed_ = true;
  for (const auto& [pid, task] : tasks_) {
    if (task.tracked) {
      kill(pid, SIGKILL);
    }
  }
}

std::string Tracer::report() const {
  const char* state = mode_ == Mode::off ? "off" : killed_ ? "killed" : !started_ ? "armed" : "ended";
  for (const auto& [pid, task] : tasks_) {
    state = task.tracked && !killed_ ? "running" : state;
  }
  std::string text = state + (' ' + std::to_string(effects_.size())) + '\n';
  for (const std::string& effect : effects_) {
    text += effect + '\n';
  }
  return text;
}

}  // namespace supervisor
