// SPDX-License-Identifier: MIT
// The executable: one answer a run, whoever calls and however. The only place that prints.
#include "common/core/judgements.hpp"
#include "common/core/run.hpp"
#include "common/host/fd.hpp"
#include "common/host/real_host.hpp"

#include "version.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace {

using namespace pvegpu;

constexpr const char* usage = R"(pve-gpu: Ansible modules for GPU hosts, in one executable

  pve-gpu --list               the modules, one a line
  pve-gpu --describe NAME      a module's documentation as JSON
  pve-gpu --version
  pve-gpu NAME [ARGS.json]     run a module by hand; without a file, arguments come from standard input
  pve-gpu ARGS_FILE            as Ansible runs it: the file says which module
  pve-gpu --staged             as the action plugin runs it: says that it started, then reads standard input
  pve-gpu record FILE [NAME ARGS.json]...
                               writes what this host answers to every module's questions, for a bug report: without secrets,
                               names and addresses masked; zcat FILE shows it. NAME ARGS.json: what this task asks, too
  pve-gpu NAME [ARGS.json] --recorded FILE
                               a module's answer from such a recording, in check mode, on any machine

A module is run without changing anything by "_ansible_check_mode": true in its arguments, and shows differences
by "_ansible_diff": true. A key that is nearly one of Ansible's is refused.
)";

int answer(const Answer& result) {
  const bool written = std::fputs(result.line.c_str(), stdout) >= 0 && std::fputc('\n', stdout) >= 0 && std::fflush(stdout) == 0;
  return result.failed || !written ? 1 : 0;
}

Result<std::string> read_all(int fd, std::string_view name = "standard input") {
  std::string out;
  char buffer[16384];
  while (true) {
    const ssize_t n = ::read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Error::from_errno(fmt::format("read arguments from {}", name), errno);
    if (n == 0) return out;
    out.append(buffer, static_cast<std::size_t>(n));
    if (out.size() > std::size_t{64} << 20) return Error{"the arguments are larger than 64 MiB"};
  }
}

/// Arguments may come through a pipe, too: pve-gpu NAME <(COMMAND).
Result<std::string> read_file(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return Error::from_errno("read " + path, errno);
  return read_all(fd.get(), path);
}

int run(const std::vector<RegistryEntry>& modules, std::string name, Result<std::string> args, Host& host) {
  if (!args) return answer(failed_answer(args.error().message));
  return answer(run_task(modules, std::move(name), std::move(*args), host));
}

/// Writes a recording of this host.
int record(const std::vector<RegistryEntry>& modules, const std::vector<std::string>& words, Host& host) {
  std::vector<RecordedTask> tasks;
  for (std::size_t i = 1; i + 1 < words.size(); i += 2) {
    auto args = parse_json(read_file(words[i + 1]).or_fail("record"));
    if (!args || !args->is_object()) throw ModuleError(words[i + 1] + " holds no JSON object: the arguments of " + words[i]);
    tasks.push_back({words[i], *std::move(args)});
  }
  const std::string bytes = pack(record_judgements(modules, host, tasks));
  host.write_file(words[0], bytes, {.mode = 0600}).or_fail("record");
  std::printf(
      "pve-gpu: %s is written (%zu kB). Names, addresses and numbers that identify are masked; look into it before you give it away: zcat "
      "%s\n",
      words[0].c_str(), (bytes.size() + 1023) / 1024, words[0].c_str());
  return 0;
}

int dispatch(const std::vector<std::string>& words, const std::string& called_as) {
  const std::vector<RegistryEntry> modules = registry();
  const auto known = [&](const std::string& name) {
    for (const RegistryEntry& entry : modules)
      if (name == entry.name) return true;
    return false;
  };
  RealHost host;

  if (known(called_as)) return run(modules, called_as, words.empty() ? read_all(0) : read_file(words[0]), host);
  if (words.empty() || words[0] == "--help" || words[0] == "-h") {
    std::fputs(usage, words.empty() ? stderr : stdout);
    return words.empty() ? 2 : 0;
  }
  if (words[0] == "--version") {
    std::puts("pve-gpu " PVE_GPU_VERSION);
    return 0;
  }
  if (words[0] == "--list") {
    for (const RegistryEntry& entry : modules) std::puts(entry.name);
    return 0;
  }
  if (words[0] == "--describe") {
    for (const RegistryEntry& entry : modules)
      if (words.size() == 2 && words[1] == entry.name) {
        const auto documentation = entry.module().describe();
        if (documentation) std::puts(documentation->dump(2).c_str());
        if (!documentation) std::fprintf(stderr, "pve-gpu: this one carries no documentation; see: ansible-doc pve.gpu.%s\n", entry.name);
        return documentation ? 0 : 2;
      }
    std::fputs("pve-gpu: --describe takes the name of a module; --list lists them\n", stderr);
    return 2;
  }
  if (words[0] == "--staged") {
    // The action plugin's script has us open as descriptor 3, by which it starts what it has checked: programs that we start need
    // not inherit it. By that name we would be "3" in a list of processes.
    ::close(3);
    ::prctl(PR_SET_NAME, "pve-gpu");
    // The action plugin must know that a module began, so that it is never run a second time.
    std::puts("pve-gpu:started");
    std::fflush(stdout);
    return run(modules, {}, read_all(0), host);
  }
  if (words[0] == "record") {
    if (words.size() < 2 || words.size() % 2 != 0 || words[1].starts_with('-')) {
      std::fputs("pve-gpu: record takes the name of the file to write, then pairs of a module and a file of its arguments\n", stderr);
      return 2;
    }
    for (std::size_t i = 2; i < words.size(); i += 2)
      if (!known(words[i])) return answer(failed_answer(fmt::format("there is no module '{}'; pve-gpu --list names them", words[i])));
    return record(modules, {words.begin() + 1, words.end()}, host);
  }
  if (words.size() >= 3 && words[words.size() - 2] == "--recorded" && known(words[0])) {
    auto recording = record::unpack(read_file(words.back()).or_fail("recording"));
    if (!recording) return answer(failed_answer(fmt::format("{}: {}", words.back(), recording.error().message)));
    auto args = words.size() > 3 && words[1] != "-" ? read_file(words[1])
                : ::isatty(0)                       ? Result<std::string>(std::string("{}"))
                                                    : read_all(0);
    if (!args) return answer(failed_answer(args.error().message));
    for (const RegistryEntry& entry : modules)
      if (words[0] == entry.name)
        return answer(replay_task(entry.module(), args->empty() ? "{}" : *args, record::ReplayHost(*std::move(recording))));
  }
  if (known(words[0])) {
    // "--recorded" without its file must not become a run on this machine.
    if (words.size() > 2 || (words.size() == 2 && words[1].starts_with("--")))
      return answer(failed_answer("a module takes one file of arguments, and --recorded FILE at the end"));
    if (words.size() > 1 && words[1] != "-") return run(modules, words[0], read_file(words[1]), host);
    if (words.size() == 1 && ::isatty(0)) return run(modules, words[0], std::string("{}"), host);
    auto args = read_all(0);
    return run(modules, words[0], args && args->empty() ? std::string("{}") : std::move(args), host);
  }
  auto args = read_file(words[0]);
  if (!args && args.error().not_found())
    return answer(failed_answer(
        fmt::format("there is neither a module nor a file of arguments called '{}'; pve-gpu --list names the modules", words[0])));
  return run(modules, {}, std::move(args), host);
}

/// The name we were called by, as Ansible uploads a module: .../AnsiballZ_repo
std::string own_name(const char* argv0) {
  std::string name = argv0 ? argv0 : "";
  name.erase(0, name.rfind('/') + 1);
  constexpr std::string_view prefix = "AnsiballZ_";
  if (name.starts_with(prefix)) name.erase(0, prefix.size());
  return name;
}

}  // namespace

#ifdef PVEGPU_WITHOUT_DOCUMENTATION
bool pvegpu::documented() noexcept { return false; }
#endif

/// In the place of libstdc++'s own, which brings its demangler along: 45 kB.
void __gnu_cxx::__verbose_terminate_handler() {
  std::fputs("pve-gpu: an exception could not be handled; please report it\n", stderr);
  std::abort();
}

int main(int argc, char** argv) {
  // Ours, whatever our parent ignores or blocks: with SIGCHLD ignored, how a program ended could not be found out.
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGCHLD, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  try {
    return dispatch({argv + (argc > 0 ? 1 : 0), argv + argc}, own_name(argc > 0 ? argv[0] : nullptr));
  } catch (const pvegpu::ModuleError& e) {
    return answer(failed_answer(e.what()));
  } catch (const std::exception& e) {
    return answer(failed_answer(fmt::format("internal error: {}; please report it", e.what())));
  }
}
