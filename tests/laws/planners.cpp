// SPDX-License-Identifier: MIT
// The made-up planners.
#include "tests/laws/planners.hpp"

#include "common/base/strings.hpp"
#include "tests/laws/fake_apt.hpp"

namespace pvegpu::laws {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::string conf = "/etc/modprobe.d/pve-gpu.conf";
const std::string driver_conf = "/etc/drv/pve-gpu.conf";
const std::string vf_count = "/sys/class/drm/card0/device/sriov_numvfs";
const std::string vf_total = "/sys/class/drm/card0/device/sriov_totalvfs";

FollowUp program(std::vector<std::string> argv, int rank = 50) { return {.kind = "program", .argv = std::move(argv), .rank = rank}; }

std::optional<std::string> nothing_left(const std::string&) { return std::nullopt; }

/// Takes back every file that this module changed.
void withdraw_all(const HostView&, Plan& plan) {
  for (const std::string& path : plan.recorded_files()) plan.withdraw(path, nothing_left);
}
Planner withdraw_all_then(std::vector<FollowUp> then) {
  return [then](const HostView&, Plan& plan) {
    for (const std::string& path : plan.recorded_files()) plan.withdraw(path, nothing_left, {.then = then});
  };
}

FollowUp apt_like() {
  FollowUp out = program({"fetch-lists"}, 20);
  out.on_failure = FollowUp::OnFailure::revert;
  return out;
}

/// systemd as far as ensure_stopped() asks: one unit that runs, kept below /run/units.
FakeHost world_with_unit() {
  const std::string state = "/run/units/ActiveState";
  FakeHost host = bare_world();
  host.file(state, "active");
  host.answer("systemctl show", [state](const FakeHost& world, const std::vector<std::string>&) {
    return CommandResult{0, false, fmt::format("ActiveState={}\n", world.bytes(state)), ""};
  });
  host.program("systemctl stop", [state](FakeHost& world, const std::vector<std::string>&) {
    world.file(state, "inactive");
    return CommandResult{};
  });
  return host;
}

}  // namespace

FakeHost bare_world() {
  FakeHost host;
  host.dir("/etc").dir("/run").dir("/var/lib").dir("/boot").dir("/etc/modprobe.d").file("/etc/hostname", "pve1\n");
  host.file("/proc/cmdline", "root=/dev/sda1 ro quiet\n", 0444);
  host.product("/boot/initrd.img", "update-initramfs", {"/etc/modprobe.d", "/etc/initramfs-tools"});
  host.product("/boot/grub.cfg", "update-grub", {"/etc/default"});
  host.product("/run/units.loaded", "systemctl daemon-reload", {"/etc/systemd"});
  host.product("/var/lib/lists", "fetch-lists", {"/etc/sources"});
  return host;
}

void set_attribute(const HostView& host, Plan& plan, const std::string& path, const std::string& value, std::chrono::milliseconds within) {
  Step step;
  step.observe = [path](const HostView& now) -> Result<std::optional<std::string>> {
    return std::optional<std::string>(PVEGPU_TRY(now.read_attr(path)));
  };
  step.target = "attribute " + path;
  step.current = step.observe(host).or_fail("read attribute");
  if (step.current == value) return;
  step.desired = value;
  step.apply = [path, value](Host& now) { return now.write_attr(path, value); };
  step.within = within;
  plan.effect(std::move(step));
}

Subject subject_of(const std::string& name, std::function<FakeHost()> world, Planner run, Planner undo) {
  const auto as_task = [name](const Planner& planner, const char* instance) {
    return [name, planner, instance](FakeHost& host, RunMode mode) { return execute({name, name + instance}, planner, mode, host); };
  };
  Subject out{name, [world] { return world().make_products(); }, as_task(run, " run")};
  if (undo) out.undo = as_task(undo, " undo");
  return out;
}

std::vector<Subject> planners() {
  std::vector<Subject> out;
  const auto add = [&](const char* name, std::function<FakeHost()> world, Planner run, Planner undo = {}) {
    out.push_back(subject_of(name, std::move(world), std::move(run), std::move(undo)));
  };

  add(
      "files_in_new_directories", bare_world,
      [](const HostView&, Plan& plan) {
        plan.ensure_file("/etc/a/b/one.conf", "1\n", {.meta = {.mode = 0600}});
        plan.ensure_file("/etc/a/b/two.conf", "2\n");
        plan.ensure_file("/etc/hostname", "pve1\n");
      },
      withdraw_all);

  // The second file can only be planned when the first is there: its directory was made for another file, in another round.
  add(
      "directory_of_an_earlier_round", bare_world,
      [](const HostView& host, Plan& plan) {
        plan.ensure_file("/etc/drop.d/first", "1\n");
        if (!host.exists("/etc/drop.d/first")) return void(plan.later({"step", "the second file needs the first"}));
        plan.ensure_file("/etc/drop.d/second", "2\n");
      },
      withdraw_all);

  add(
      "foreign_files",
      [] {
        return bare_world()
            .file("/etc/default/grub", "GRUB_TIMEOUT=5\n", 0640, 7, 8)
            .file("/etc/modprobe.d/old.conf", "options a b=1\n", 0600, 0, 5)
            .file("/etc/bytes", std::string("\0\xff\xfe no newline", 14), 04755, 3, 4);
      },
      [](const HostView&, Plan& plan) {
        plan.ensure_file("/etc/default/grub", "GRUB_TIMEOUT=1\n", {.meta = {.mode = 0600, .uid = 0, .gid = 0}, .then = {follow_up_grub()}});
        plan.ensure_file("/etc/modprobe.d/old.conf", "", {.then = {follow_up_initramfs()}});
        plan.ensure_file("/etc/bytes", "text\n");
      },
      withdraw_all_then({follow_up_grub(), follow_up_initramfs()}));

  add(
      "mode_and_owner_only", [] { return bare_world().file("/etc/key", "k\n", 0644, 9, 9); },
      [](const HostView&, Plan& plan) { plan.ensure_file("/etc/key", "k\n", {.meta = {.mode = 0600, .uid = 0, .gid = 0}}); },
      // By its name, as modules do it: without a record there is nothing to take back.
      [](const HostView&, Plan& plan) { plan.withdraw("/etc/key", [](const std::string& theirs) { return std::optional(theirs); }); });

  // A run that dies before it writes the second version leaves the first, which is ours too.
  add(
      "file_in_two_versions", [] { return bare_world().file("/etc/list", "theirs\n", 0640, 3, 4); },
      [](const HostView& host, Plan& plan) {
        const bool second = host.exists("/etc/second");
        plan.ensure_file("/etc/list", second ? "theirs\nsecond\n" : "theirs\nfirst\n");
        plan.ensure_file("/etc/second", "2\n");
        if (!second) plan.later({"step", "the list needs the second file"});
      },
      withdraw_all);

  // As `Later` in DESIGN: the number of VFs is known when the driver is loaded, which a follow-up of the first step brings.
  add(
      "step_that_needs_an_earlier_one",
      [] {
        FakeHost host = bare_world();
        host.program("systemctl restart drv", [](FakeHost& world, const std::vector<std::string>&) {
          world.file(vf_total, "7\n", 0444).file(vf_count, "0\n");
          return CommandResult{};
        });
        return host;
      },
      [](const HostView& host, Plan& plan) {
        plan.ensure_file(driver_conf, "max_vfs=7\n", {.then = {follow_up_daemon_reload(), program({"systemctl", "restart", "drv"})}});
        if (!host.exists(vf_total)) return void(plan.later({"driver", "the driver must be loaded before its VFs can be counted"}));
        set_attribute(host, plan, vf_count, host.read_attr(vf_total).or_fail("read VFs"));
      });

  add(
      "two_follow_ups_of_one_program",
      [] {
        FakeHost host = bare_world();
        host.product("/boot/initrd-1", "update-initramfs -u -k 1", {driver_conf});
        host.product("/boot/initrd-2", "update-initramfs -u -k 2", {"/etc/drv"});
        return host;
      },
      [](const HostView&, Plan& plan) {
        const auto one = program({"update-initramfs", "-u", "-k", "1"}, 60), two = program({"update-initramfs", "-u", "-k", "2"}, 60);
        plan.ensure_file(driver_conf, "x\n", {.then = {one, two}});
        plan.ensure_file("/etc/drv/other.conf", "y\n", {.then = {two}});
      },
      withdraw_all_then({program({"update-initramfs", "-u", "-k", "1"}, 60), program({"update-initramfs", "-u", "-k", "2"}, 60)}));

  add("puts_off_what_can_be_put_off", bare_world, [](const HostView&, Plan& plan) {
    plan.put_off_next_boot_work();
    plan.ensure_file(conf, "x\n", {.then = {follow_up_initramfs()}});
    plan.ensure_file("/etc/systemd/system/pve-gpu.service", "[Service]\n", {.then = {follow_up_daemon_reload()}});
  });

  add(
      "driver_that_appears_late",
      [] {
        FakeHost host = bare_world();
        host.file("/lib/modules/6.8.12-4-pve/kernel/drv.ko", "ELF").file("/sys/card/state", "off\n");
        host.on_module("drv", [](FakeHost& world, bool) -> Result<> {
          world.file("/sys/module/drv/version", "2.0\n", 0444);
          return {};
        });
        host.attribute("/sys/card/state", [](FakeHost& world, const std::string& value) -> Result<> {
          world.after(seconds(3), [value](FakeHost& later) { later.file("/sys/card/state", value + "\n"); });
          return {};
        });
        return host;
      },
      [](const HostView& host, Plan& plan) {
        if (!host.exists("/sys/module/drv/initstate")) plan.ensure_loaded({"drv"}, "2.0");
        set_attribute(host, plan, "/sys/card/state", "on", seconds(10));
      });

  // sriov_numvfs goes from one number to another through 0 only (EBUSY else).
  add(
      "attribute_through_zero",
      [] {
        FakeHost host = bare_world();
        host.file(vf_count, "4\n").file(vf_total, "8\n", 0444);
        host.attribute(vf_count, [](FakeHost& world, const std::string& value) -> Result<> {
          if (value != "0" && world.bytes(vf_count) != "0\n") return Error::from_errno("write sriov_numvfs", EBUSY);
          world.file(vf_count, value + "\n");
          return {};
        });
        return host;
      },
      [](const HostView& host, Plan& plan) {
        if (host.read_attr(vf_count).or_fail("read VFs") != "8" && host.read_attr(vf_count).or_fail("read VFs") != "0")
          set_attribute(host, plan, vf_count, "0");
        if (host.read_attr(vf_count).or_fail("read VFs") == "0")
          set_attribute(host, plan, vf_count, "8");
        else if (host.read_attr(vf_count).or_fail("read VFs") != "8")
          plan.later({"step", "the old VFs must go first"});
      });

  add("wait_for_a_reboot", bare_world, [](const HostView& host, Plan& plan) {
    plan.ensure_file("/etc/default/grub.d/pve-gpu.cfg", "iommu=on\n", {.then = {follow_up_grub()}});
    const bool running = text::contains(host.read_attr("/proc/cmdline").or_fail("read the command line"), "iommu=on");
    plan.reboot_if(!running, "the running kernel was started without iommu=on");
    if (!running) plan.later({"reboot", "the IOMMU is off until the next boot; if it is off after it, switch on VT-d in the BIOS"});
  });

  add(
      "revert_on_failure", [] { return bare_world().file("/etc/sources/main", "old source\n", 0640, 3, 4); },
      [](const HostView&, Plan& plan) {
        plan.ensure_file("/etc/sources/main", "new source\n", {.then = {apt_like()}});
        plan.ensure_file("/etc/sources/more/extra", "extra\n", {.then = {apt_like()}});
      },
      withdraw_all_then({apt_like()}));

  add("unit", world_with_unit, [](const HostView&, Plan& plan) {
    plan.ensure_file("/etc/systemd/system/pve-gpu.service", "[Service]\n", {.then = {follow_up_daemon_reload()}});
    plan.ensure_stopped("pve-gpu.service");
  });

  // An installer: no file of ours, its effect is seen by a question.
  add(
      "installer",
      [] {
        FakeHost host = bare_world();
        host.program("install-driver", [](FakeHost& world, const std::vector<std::string>& argv) {
          world.file("/usr/lib/driver", argv.at(1));
          return CommandResult{};
        });
        return host;
      },
      [](const HostView&, Plan& plan) {
        const auto version = [](const HostView& h) -> Result<std::optional<std::string>> {
          if (auto now = h.read_attr("/usr/lib/driver")) return std::optional<std::string>(*now);
          return std::optional<std::string>();
        };
        Step step;
        step.target = "driver";
        step.desired = "2.0";
        step.observe = version;
        plan.ensure_program(step, {{{"install-driver", "2.0"}}});
      });

  // A package, with what it depends on; what hangs on it is made of its files.
  const auto archive = [](const std::string& books) {
    return [books] {
      FakeHost host = bare_world();
      host.file("/etc/modprobe.d/keep.conf", "").file("/lib/keep", "").dir("/var/lib/dpkg");
      host.file("/etc/apt/sources.list", "deb http://mirror.example.org/debian bookworm main\n");
      if (!books.empty()) host.file("/var/lib/dpkg/status", books);
      add_apt(host,
              json{{"packages",
                    {{"tool", {{"version", "2.0"}, {"depends", {"library"}}, {"files", {{"/etc/modprobe.d/tool.conf", "options tool\n"}}}}},
                     {"library", {{"version", "1.1"}, {"files", {{"/lib/library", "1.1"}}}}}}}});
      return host;
    };
  };
  const auto install = [](const HostView&, Plan& plan) { (void)plan.ensure_package("tool", {.then = {follow_up_initramfs()}}); };
  const auto uninstall = [](const HostView&, Plan& plan) { plan.ensure_no_package("tool", {follow_up_initramfs()}); };
  const char* library = "Package: library\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0\n\n";
  add("package", archive(""), install, uninstall);
  add("package_whose_needs_are_there", archive(library), install, uninstall);
  add("package_that_left_its_configuration",
      archive(std::string(library) + "Package: tool\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 2.0\n\n"), install,
      uninstall);

  // What the host does not show: a note says what was done, from before it is done until the module forgets it.
  const NoteName note{"noted", "tool", "/var/lib/pve-gpu/noted/tool.json"};
  const auto set = [note](const char* value, bool keep) {
    return [note, value, keep](const HostView& host, Plan& plan) {
      const auto known = plan.note(note);
      const std::string now = host.read_attr("/etc/firmware").or_fail("read the mode");
      const std::string wanted = keep ? value : known ? known->at("before").get<std::string>() : now;
      Step step;
      step.target = "mode";
      step.current = now;
      step.desired = wanted;
      step.observe = [](const HostView& h) -> Result<std::optional<std::string>> {
        return std::optional(PVEGPU_TRY(h.read_attr("/etc/firmware")));
      };
      step.apply = [wanted](Host& h) -> Result<> {
        const CommandResult done = PVEGPU_TRY(h.run({{"set-mode", wanted}}));
        return done.exit_code == 0 ? Result<>() : Result<>(Error{"the tool failed"});
      };
      if (keep) step.note_before = NoteChange{note, json{{"before", known ? known->at("before") : json(now)}}};
      if (now != wanted) plan.effect(std::move(step));
      if (!keep) plan.ensure_note(note, std::nullopt, "note of the mode");
    };
  };
  const auto firmware = [] {
    FakeHost host = bare_world();
    host.file("/etc/firmware", "on\n");
    host.program("set-mode", [](FakeHost& world, const std::vector<std::string>& argv) {
      world.file("/etc/firmware", argv.at(1) + "\n");
      return CommandResult{};
    });
    return host;
  };
  add("noted", firmware, set("off", true), set("", false));

  // The note of a version that kept it in a file of its own.
  add(
      "noted_elsewhere",
      [firmware] {
        return firmware().file("/etc/firmware", "off\n").file("/var/lib/pve-gpu/noted/tool.json", R"({"before": "on"})", 0600);
      },
      set("dark", true));

  return out;
}

}  // namespace pvegpu::laws
