// SPDX-License-Identifier: MIT
// NVIDIA's installer, and the daemons that come with it.
#include "common/driver/nvidia.hpp"
#include "common/host/programs.hpp"
#include "common/host/units.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::driver {
namespace {

/// What is left of a driver, whole or not, is taken away.
Result<> remove_nvidia(Host& host, const std::string& copy) {
  if (host.exists("/usr/bin/nvidia-uninstall"))
    (void)PVEGPU_TRY(run_checked(host, {"/usr/bin/nvidia-uninstall", "--silent"}, std::chrono::seconds(1200)));
  else if (host.exists("/usr/bin/nvidia-vgpu-mgr") && host.exists(copy))
    (void)PVEGPU_TRY(run_checked(host, {copy, "--uninstall", "--silent"}, std::chrono::seconds(1200)));
  return dkms_remove(host, "nvidia");
}

std::string why_not_built(const HostView& host, const std::string& kernel, const std::string& version) {
  const auto built = built_nvidia(host, kernel);
  return built == version ? std::string() : fmt::format("its module nvidia is {}", built.value_or("not there"));
}

/// What the logs of a failed installation say.
std::string why_failed(const HostView& host, const std::string& version, const CommandResult& done) {
  std::vector<std::string> lines;
  const auto add = [&](const std::string& log, std::size_t most) {
    for (std::string& line : telling_lines(log, most))
      if (std::find(lines.begin(), lines.end(), line) == lines.end()) lines.push_back(std::move(line));
  };
  add(host.read_file(nvidia_installer_log).value_or(""), 4);
  add(host.read_file(fmt::format("/var/lib/dkms/nvidia/{}/build/make.log", version)).value_or(""), 4);
  if (lines.empty()) add(done.err + "\n" + done.out, 4);
  const std::string end = done.timed_out ? "it did not end in time" : fmt::format("exit code {}", done.exit_code);
  if (lines.empty()) return fmt::format("NVIDIA's installer failed ({}) and {} does not say why", end, nvidia_installer_log);
  return fmt::format("NVIDIA's installer failed ({}): {}; all of it is in {}", end, fmt::join(lines, " / "), nvidia_installer_log);
}

/// "active, enabled" of the daemon that guests need.
std::optional<std::string> manager_now(const HostView& host) {
  const auto shown = host.query(Query::unit_state(vgpu_manager));
  if (!shown || unit_property(shown->out, "LoadState") == "not-found") return std::nullopt;
  const std::string active = unit_property(shown->out, "ActiveState"), boot = unit_property(shown->out, "UnitFileState");
  if (active.empty()) return std::nullopt;
  return active + (boot.empty() ? "" : ", " + boot);
}

/// What nvidia-vgpud says against the selected cards, "" when it ended well or failed over others only.
std::string vgpud_complaint(const HostView& host, const std::vector<std::string>& selected) {
  if (unit_state(host, vgpu_daemon) != "failed") return {};
  const auto log = host.query(Query::unit_log(vgpu_daemon));
  if (!log) return fmt::format("nvidia-vgpud failed, and its log can't be read: {}", log.error().message);
  const auto refused = cards_refused_by_vgpud(log->out);
  for (const std::string& address : selected)
    if (std::find(refused.begin(), refused.end(), address) != refused.end())
      return fmt::format("nvidia-vgpud does not support {} as a vGPU card with this driver", address);
  if (!refused.empty()) return {};
  return fmt::format("nvidia-vgpud failed: {}; see journalctl -b -u nvidia-vgpud", fmt::join(telling_lines(log->out), " / "));
}

Result<> daemons_serve(const HostView& host, const std::vector<std::string>& selected) {
  const auto now = manager_now(host);
  if (now == "active, enabled" || now == "active, static") {
    const std::string told = vgpud_complaint(host, selected);
    return told.empty() ? Result<>() : Error{told};
  }
  const std::string state = unit_state(host, vgpu_manager);
  return Error{fmt::format("{} is {}; see journalctl -b -u {}", vgpu_manager,
                           state.empty()       ? "not there"
                           : state == "active" ? *now
                                               : state,
                           vgpu_manager)};
}

}  // namespace

// The installer unpacks itself in /tmp and puts as much again and the modules into /usr; 16.4 is 54 MiB packed and 330 MiB unpacked.
const DriverKind nvidia_kind = {.module = nvidia_note,
                                .step = "NVIDIA vGPU host driver",
                                .build_step = "NVIDIA driver for kernel ",
                                .name = "the NVIDIA driver",
                                .by_hand = "nvidia-uninstall",
                                .package = "nvidia",
                                .in_initramfs = false,
                                .builds_for_running = true,
                                .rooms = {{1, 200}, {7, 100}, {7, 100}},
                                .installed = installed_nvidia,
                                .remove = remove_nvidia,
                                .built = built_nvidia,
                                .why_not_built = why_not_built};

Result<> run_nvidia_installer(Host& host, const std::string& copy, const std::string& version, const std::vector<std::string>& options) {
  std::vector<std::string> argv = {copy, "--silent", "--dkms"};
  argv.insert(argv.end(), options.begin(), options.end());
  const CommandResult done = PVEGPU_TRY(host.run({argv, std::chrono::seconds(3600)}));
  if (done.timed_out || done.exit_code != 0) return Error{why_failed(host, version, done)};
  const std::string kernel = host.kernel_release();
  if (built_nvidia(host, kernel) == version) return {};
  return Error{fmt::format("NVIDIA's installer says that it succeeded, but kernel {} has no module nvidia {}; see {}", kernel, version,
                           nvidia_installer_log)};
}

void plan_vgpu_daemons(const HostView& host, const std::vector<std::string>& cards, bool fresh, Plan& out) {
  if (!fresh && daemons_serve(host, cards)) return;
  Step step;
  step.target = "NVIDIA's vGPU daemons";
  if (!fresh) step.current = vgpud_complaint(host, cards).empty() ? manager_now(host) : "nvidia-vgpud failed";
  step.desired = "active, enabled";
  step.verify = [cards](const HostView& now) { return daemons_serve(now, cards); };
  step.within = std::chrono::seconds(10);
  // nvidia-vgpud forks, tells the driver its types and ends: starting it succeeds although it may fail over a card (recorded of 510).
  // What it says about cards is judged afterwards.
  out.ensure_program(std::move(step), {{{"systemctl", "daemon-reload"},
                                        {"systemctl", "enable", "--", vgpu_daemon, vgpu_manager},
                                        {"systemctl", "start", "--", vgpu_daemon},
                                        {"systemctl", "start", "--", vgpu_manager}},
                                       std::chrono::seconds(600),
                                       [cards](const HostView& now, const std::string& failed) {
                                         const std::string told = vgpud_complaint(now, cards);
                                         return told.empty() ? failed : told;
                                       }});
}

}  // namespace pvegpu::driver
