// SPDX-License-Identifier: MIT
// supervisor: runs a program and all its children under a seccomp filter and answers, from outside, the system calls that must not
// reach the real kernel: uname, loading modules, reboot. Everything else is as fast as without.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/reboot.h>
#include <linux/seccomp.h>

#include <fcntl.h>
#include <fnmatch.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <list>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../simfs/wire.hpp"
#include "target.hpp"
#include "tracer.hpp"

namespace supervisor {

namespace {

constexpr std::size_t image_limit = std::size_t{256} << 20U;

struct Options {
  std::string release, version;
  int log = -1, events = -1, control = -1, modules = -1;
  std::optional<std::set<unsigned>> capabilities;  // kept; absent: all but three
  std::vector<char*> program;
};

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

// --- The filter --------------------------------------------------------------------------------------------------------------

int install_filter() {
  constexpr std::array calls{SYS_uname, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_reboot, SYS_execve, SYS_execveat};
  const auto load = [](std::size_t offset) { return sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, static_cast<__u32>(offset)}; };
  const auto when = [](__u32 value, __u8 then, __u8 otherwise) { return sock_filter{BPF_JMP | BPF_JEQ | BPF_K, then, otherwise, value}; };
  const auto answer = [](__u32 action) { return sock_filter{BPF_RET | BPF_K, 0, 0, action}; };
  std::vector<sock_filter> program{load(offsetof(seccomp_data, arch)), when(AUDIT_ARCH_X86_64, 1, 0), answer(SECCOMP_RET_ALLOW),
                                   load(offsetof(seccomp_data, nr))};
  for (std::size_t index = 0; index < calls.size(); ++index) {
    program.push_back(when(static_cast<__u32>(calls[index]), static_cast<__u8>(calls.size() - index), 0));
  }
  program.push_back(answer(SECCOMP_RET_ALLOW));
  program.push_back(answer(SECCOMP_RET_USER_NOTIF));
  const sock_fprog code{static_cast<unsigned short>(program.size()), program.data()};
  // WAIT_KILLABLE_RECV (Linux 5.19): an answer under way is not repeated because a signal came
  for (const unsigned long extra : {SECCOMP_FILTER_FLAG_SPEC_ALLOW | (1UL << 5U), SECCOMP_FILTER_FLAG_SPEC_ALLOW}) {
    const long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | extra, &code);
    if (fd >= 0) {
      return static_cast<int>(fd);
    }
  }
  fail("cannot install the seccomp filter (it needs CAP_SYS_ADMIN)");
}

void drop_capabilities(const Options& options) {
  constexpr std::array<unsigned, 3> never{16, 17, 22};  // SYS_MODULE, SYS_RAWIO, SYS_BOOT
  for (unsigned number = 0; prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0; ++number) {
    const bool kept =
        (!options.capabilities || options.capabilities->count(number) != 0) && std::find(never.begin(), never.end(), number) == never.end();
    // root's other sets follow from this one at the exec
    if (!kept && prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0) {
      fail("cannot drop capability " + std::to_string(number));
    }
  }
}

// --- Modules -----------------------------------------------------------------------------------------------------------------

// The name by which the kernel knows the module of a file: no directory, no suffix, underscores.
std::string module_name(const std::string& path) {
  std::string name = path.substr(path.rfind('/') + 1);
  name = name.substr(0, name.find(".ko"));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

// A field of the .modinfo section of an ELF object.
std::string image_field(const std::string& image, const std::string& field) {
  const std::string mark = std::string(1, '\0') + field + '=';
  const auto found = image.find(mark);
  return found == std::string::npos ? "" : std::string(image.c_str() + found + mark.size());
}

// The first 64 KiB of a file, whose .modinfo is small in a rack.
std::string read_start(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return "";
  }
  std::string out(65536, '\0');
  const ssize_t n = read(fd, out.data(), out.size());
  close(fd);
  out.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
  return out;
}

class Supervisor {
 public:
  Supervisor(const Options& options, int listener) : options_(options), listener_(listener) {}
  int run(int signals);

 private:
  struct Rule {
    std::string operation, pattern, answer;  // load or unload; "ok", "simfs", an errno's name
    long times;
  };

  void receive();
  // The result of the call as the kernel would return it; nothing: carry on with it, or leave it waiting.
  std::optional<long> answer(const seccomp_notif& call, bool& wait);
  long answer_uname(const seccomp_notif& call);
  long answer_module(const seccomp_notif& call);
  std::optional<long> answer_reboot(const seccomp_notif& call, bool& wait);
  void note_exec(const seccomp_notif& call);
  int module_result(const std::string& operation, const std::string& name, const std::string& parameters);
  int ask_simfs(const std::string& request);
  std::string command(const std::vector<std::string>& words);
  void log(pid_t pid, const std::string& what, const std::string& detail, const std::string& result) const;

  const Options& options_;
  int listener_;
  Tracer tracer_;
  std::list<Rule> rules_;
  std::list<wire::Client> clients_;
  unsigned long unames_ = 0, execs_ = 0;
};

void Supervisor::log(pid_t pid, const std::string& what, const std::string& detail, const std::string& result) const {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::array<char, 64> head{};
  std::snprintf(head.data(), head.size(), "%lld.%06ld\t%d\t", static_cast<long long>(now.tv_sec), now.tv_nsec / 1000, pid);
  const std::string line =
      head.data() + what + '\t' + wire::escape(proc_link(pid, "exe")) + '\t' + wire::escape(detail) + '\t' + result + '\n';
  if (options_.log >= 0 && write(options_.log, line.data(), line.size()) < 0) {
    std::perror("supervisor: log");
  }
}

long Supervisor::answer_uname(const seccomp_notif& call) {
  ++unames_;
  utsname names{};
  if (uname(&names) != 0) {
    return -errno;
  }
  const auto put = [](char(&field)[sizeof(names.release)], const std::string& text) {
    if (!text.empty()) {
      std::snprintf(field, sizeof(field), "%s", text.c_str());
    }
  };
  put(names.release, options_.release);
  put(names.version, options_.version);
  return write_memory(static_cast<pid_t>(call.pid), call.data.args[0], &names, sizeof(names)) ? 0 : -EFAULT;
}

int Supervisor::ask_simfs(const std::string& request) {
  if (send(options_.modules, request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size())) {
    return EIO;
  }
  std::string reply;
  char letter = '\0';
  while (read(options_.modules, &letter, 1) == 1 && letter != '\n') {
    reply += letter;
  }
  if (reply.rfind("ok", 0) == 0) {
    return 0;
  }
  const int number = reply.rfind("errno ", 0) == 0 ? wire::error_number(reply.substr(6)) : 0;
  return number != 0 ? number : EIO;
}

int Supervisor::module_result(const std::string& operation, const std::string& name, const std::string& parameters) {
  std::string answer = options_.modules >= 0 ? "simfs" : "ok";
  for (Rule& rule : rules_) {
    if (rule.operation == operation && rule.times != 0 && fnmatch(rule.pattern.c_str(), name.c_str(), 0) == 0) {
      rule.times -= rule.times > 0 ? 1 : 0;
      answer = rule.answer;
      break;
    }
  }
  if (answer == "simfs" && options_.modules >= 0) {
    return ask_simfs("module\t" + operation + '\t' + wire::escape(name) + '\t' + wire::escape(parameters) + '\n');
  }
  return answer == "ok" || answer == "simfs" ? 0 : wire::error_number(answer);
}

// kernel/module/main.c: capability first, then what there is to load
long Supervisor::answer_module(const seccomp_notif& call) {
  const auto pid = static_cast<pid_t>(call.pid);
  const auto& args = call.data.args;
  const bool load = call.data.nr != SYS_delete_module;
  std::string name, parameters, version;
  if (call.data.nr == SYS_finit_module) {
    const std::string file = "fd/" + std::to_string(static_cast<int>(args[0]));
    name = module_name(proc_link(pid, file));
    parameters = read_string(pid, args[1]);
    version = image_field(read_start("/proc/" + std::to_string(pid) + '/' + file), "version");
  } else if (call.data.nr == SYS_init_module) {
    name = image_field(read_memory(pid, args[0], std::min<std::size_t>(args[1], image_limit)), "name");
    parameters = read_string(pid, args[2]);
  } else {
    name = read_string(pid, args[0]);
  }
  const int error = !is_root(pid)                      ? EPERM
                    : !name.empty()                    ? module_result(load ? "load" : "unload", name,
                                                    version.empty() ? parameters : parameters + " rack.version=" + version)
                    : call.data.nr == SYS_finit_module ? EBADF
                    : load                             ? ENOEXEC
                                                       : ENOENT;
  log(pid, load ? "load" : "unload", parameters.empty() ? name : name + ' ' + parameters, error == 0 ? "ok" : wire::error_name(error));
  return -error;
}

// kernel/reboot.c. The caller of a restart never comes back: whoever reads the event ends the node.
std::optional<long> Supervisor::answer_reboot(const seccomp_notif& call, bool& wait) {
  const auto pid = static_cast<pid_t>(call.pid);
  const auto magic = static_cast<unsigned>(call.data.args[0]), second = static_cast<unsigned>(call.data.args[1]);
  if (!is_root(pid)) {
    return -EPERM;
  }
  if (magic != LINUX_REBOOT_MAGIC1 || (second != LINUX_REBOOT_MAGIC2 && second != LINUX_REBOOT_MAGIC2A && second != LINUX_REBOOT_MAGIC2B &&
                                       second != LINUX_REBOOT_MAGIC2C)) {
    return -EINVAL;
  }
  const char* event = nullptr;
  switch (static_cast<unsigned>(call.data.args[2])) {
    case LINUX_REBOOT_CMD_CAD_ON:
    case LINUX_REBOOT_CMD_CAD_OFF:
      return 0;
    case LINUX_REBOOT_CMD_RESTART:
    case LINUX_REBOOT_CMD_RESTART2:
    case LINUX_REBOOT_CMD_KEXEC:
      event = "restart";
      break;
    case LINUX_REBOOT_CMD_HALT:
      event = "halt";
      break;
    case LINUX_REBOOT_CMD_POWER_OFF:
      event = "poweroff";
      break;
    default:
      return -EINVAL;
  }
  log(pid, "reboot", event, "ok");
  const std::string line = std::string(event) + '\n';
  if (options_.events >= 0 && write(options_.events, line.data(), line.size()) < 0) {
    std::perror("supervisor: events");
  }
  wait = true;
  return std::nullopt;
}

void Supervisor::note_exec(const seccomp_notif& call) {
  ++execs_;
  const auto pid = static_cast<pid_t>(call.pid);
  if (!tracer_.wants(pid)) {
    return;
  }
  const bool at = call.data.nr == SYS_execveat;
  const std::string path = read_string(pid, call.data.args[at ? 1 : 0]);
  std::string words = path;
  const std::string pointers = read_memory(pid, call.data.args[at ? 2 : 1], 64 * sizeof(std::uint64_t));
  for (std::size_t index = 1; (index + 1) * sizeof(std::uint64_t) <= pointers.size(); ++index) {
    std::uint64_t pointer = 0;
    std::memcpy(&pointer, pointers.data() + index * sizeof(pointer), sizeof(pointer));
    if (pointer == 0) {
      break;
    }
    words += ' ' + read_string(pid, pointer);
  }
  tracer_.about_to_exec(pid, path, words);
}

std::optional<long> Supervisor::answer(const seccomp_notif& call, bool& wait) {
  switch (call.data.nr) {
    case SYS_uname:
      return answer_uname(call);
    case SYS_init_module:
    case SYS_finit_module:
    case SYS_delete_module:
      return answer_module(call);
    case SYS_reboot:
      return answer_reboot(call, wait);
    default:
      note_exec(call);
      return std::nullopt;
  }
}

void Supervisor::receive() {
  seccomp_notif call{};
  if (ioctl(listener_, SECCOMP_IOCTL_NOTIF_RECV, &call) != 0) {
    return;  // its process was killed before we looked
  }
  bool wait = false;
  const auto result = answer(call, wait);
  if (wait) {
    return;
  }
  seccomp_notif_resp response{};
  response.id = call.id;
  if (!result) {
    response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  } else if (*result < 0) {
    response.error = static_cast<__s32>(*result);
  } else {
    response.val = *result;
  }
  (void)ioctl(listener_, SECCOMP_IOCTL_NOTIF_SEND, &response);  // ENOENT: killed meanwhile
}

std::string Supervisor::command(const std::vector<std::string>& words) {
  const std::string& verb = words[0];
  const auto number = [&](std::size_t index) { return std::strtol(words[index].c_str(), nullptr, 10); };
  if (verb == "rule" && (words.size() == 4 || words.size() == 5) && (words[1] == "load" || words[1] == "unload") &&
      (words[3] == "ok" || words[3] == "simfs" || wire::error_number(words[3]) != 0)) {
    rules_.push_front({words[1], words[2], words[3], words.size() == 5 ? number(4) : -1});
    return "ok";
  }
  if (verb == "rules" && words.size() == 2 && words[1] == "clear") {
    rules_.clear();
    return "ok";
  }
  if (verb == "count" && words.size() == 2) {
    tracer_.arm(Mode::count, words[1], 0, 0);
    return "ok";
  }
  if (verb == "kill" && words.size() == 4 && number(2) > 0 && (words[3] == "before" || words[3] == "after")) {
    tracer_.arm(words[3] == "before" ? Mode::kill_before : Mode::kill_after, words[1], static_cast<std::uint64_t>(number(2)), 0);
    return "ok";
  }
  if (verb == "fail" && words.size() == 4 && number(2) > 0 && wire::error_number(words[3]) != 0) {
    tracer_.arm(Mode::fail, words[1], static_cast<std::uint64_t>(number(2)), wire::error_number(words[3]));
    return "ok";
  }
  if (verb == "disarm" && words.size() == 1) {
    tracer_.arm(Mode::off, "", 0, 0);
    return "ok";
  }
  if (verb == "report" && words.size() == 1) {
    tracer_.reap();
    return "ok " + wire::escape(tracer_.report());
  }
  if (verb == "stats" && words.size() == 1) {
    return "ok uname=" + std::to_string(unames_) + " exec=" + std::to_string(execs_);
  }
  return "error rule load|unload GLOB ok|simfs|ERRNO [TIMES] | rules clear | count GLOB | kill GLOB N before|after | fail GLOB N ERRNO | "
         "disarm | report | stats";
}

int Supervisor::run(int signals) {
  while (true) {
    std::vector<pollfd> polled{{listener_, POLLIN, 0}, {signals, POLLIN, 0}, {options_.control, POLLIN, 0}};
    for (const auto& client : clients_) {
      polled.push_back({client.fd(), POLLIN, 0});
    }
    if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
      return 1;
    }
    if ((polled[0].revents & POLLIN) != 0) {
      receive();
    } else if (polled[0].revents != 0) {
      return 0;  // nobody is left under the filter
    }
    if (polled[1].revents != 0) {
      signalfd_siginfo information{};
      (void)!read(signals, &information, sizeof(information));
      tracer_.reap();
    }
    std::size_t index = 3;
    for (auto client = clients_.begin(); client != clients_.end() && index < polled.size(); ++index) {
      std::vector<std::string> lines;
      if (polled[index].revents == 0 || client->receive(lines)) {
        for (const std::string& line : lines) {
          const std::string reply = command(wire::words(line)) + '\n';
          (void)!send(client->fd(), reply.data(), reply.size(), MSG_NOSIGNAL);
        }
        ++client;
      } else {
        close(client->fd());
        client = clients_.erase(client);
      }
    }
    if (polled[2].revents != 0) {
      const int fd = accept4(options_.control, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd >= 0) {
        clients_.emplace_back(fd);
      }
    }
  }
}

// --- The start ---------------------------------------------------------------------------------------------------------------

void send_fd(int channel, int fd) {
  char byte = 'f';
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space.data();
  message.msg_controllen = space.size();
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  if (sendmsg(channel, &message, 0) != 1) {
    fail("cannot hand over the filter");
  }
}

int receive_fd(int channel) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space.data();
  message.msg_controllen = space.size();
  int fd = -1;
  if (recvmsg(channel, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message) != nullptr) {
    std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
  }
  return fd;
}

// The process that answers: a grandchild, so that the program has no child that it didn't make. It ends with the last program.
void become_supervisor(const Options& options, int channel) {
  setsid();
  prctl(PR_SET_NAME, "supervisor", 0, 0, 0);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, nullptr);
  const int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  const int listener = receive_fd(channel);
  if (listener < 0) {
    _exit(1);
  }
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {0, 1, 2}) {  // whoever waits for the program's output must not wait for us
    dup2(fd == 2 && options.log >= 0 ? options.log : null, fd);
  }
  if (write(channel, "r", 1) != 1) {
    _exit(1);
  }
  close(channel);
  _exit(Supervisor(options, listener).run(signals));
}

int start(Options& options) {
  std::array<int, 2> ends{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    fail("socketpair");
  }
  const pid_t middle = fork();
  if (middle < 0) {
    fail("fork");
  }
  if (middle == 0) {
    if (fork() == 0) {
      close(ends[0]);
      become_supervisor(options, ends[1]);
    }
    _exit(0);
  }
  waitpid(middle, nullptr, 0);
  close(ends[1]);
  const int listener = install_filter();
  drop_capabilities(options);
  send_fd(ends[0], listener);
  close(listener);
  char byte = 0;
  if (read(ends[0], &byte, 1) != 1) {
    throw std::runtime_error("the answering process did not start");
  }
  for (const int fd : {options.log, options.events, options.control, options.modules, ends[0]}) {
    if (fd > 2) {
      close(fd);
    }
  }
  execvp(options.program[0], options.program.data());
  fail(std::string("cannot run ") + options.program[0]);
}

// "fd:N" is an inherited descriptor, else a path.
bool inherited(const std::string& text, int& fd) {
  if (text.rfind("fd:", 0) != 0) {
    return false;
  }
  fd = std::atoi(text.c_str() + 3);
  return true;
}

int open_appending(const std::string& text) {
  int fd = -1;
  if (!inherited(text, fd)) {
    fd = open(text.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  }
  return fd >= 0 ? fd : (fail("cannot open " + text), -1);
}

int connect_to(const std::string& text) {
  int fd = -1;
  if (inherited(text, fd)) {
    return fd;
  }
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::snprintf(address.sun_path, sizeof(address.sun_path), "%s", text.c_str());
  fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) {
    fail("cannot connect to " + text);
  }
  return fd;
}

bool parse(int count, char** words, Options& options) {
  int index = 1;
  for (; index + 1 < count && words[index][0] == '-' && std::strcmp(words[index], "--") != 0; index += 2) {
    const std::string word = words[index], value = words[index + 1];
    if (word == "--release") {
      options.release = value;
    } else if (word == "--version") {
      options.version = value;
    } else if (word == "--log") {
      options.log = open_appending(value);
    } else if (word == "--events") {
      options.events = open_appending(value);
    } else if (word == "--simfs") {
      options.modules = connect_to(value);
    } else if (word == "--control") {
      if (!inherited(value, options.control) && (options.control = wire::listen_at(value)) < 0) {
        fail("cannot listen at " + value);
      }
    } else if (word == "--keep-capabilities") {
      options.capabilities.emplace();
      for (const char* at = value.c_str(); *at != '\0'; at += std::strcspn(at, ","), at += *at == ',' ? 1 : 0) {
        options.capabilities->insert(static_cast<unsigned>(std::strtoul(at, nullptr, 10)));
      }
    } else {
      return false;
    }
  }
  if (index >= count || std::strcmp(words[index], "--") != 0 || index + 1 >= count) {
    return false;
  }
  options.program.assign(words + index + 1, words + count);
  options.program.push_back(nullptr);
  return true;
}

}  // namespace

}  // namespace supervisor

int main(int count, char** words) {
  supervisor::Options options;
  try {
    if (!supervisor::parse(count, words, options)) {
      std::fputs(
          "usage: supervisor [--release TEXT] [--version TEXT] [--log PATH] [--events PATH] [--control SOCKET] [--simfs SOCKET]\n"
          "                  [--keep-capabilities N,N,...] -- PROGRAM [WORD...]\n"
          "PATH and SOCKET may be fd:N, an inherited descriptor.\n",
          stderr);
      return 2;
    }
    return supervisor::start(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "supervisor: %s\n", error.what());
    return 1;
  }
}
