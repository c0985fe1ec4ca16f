// SPDX-License-Identifier: MIT
// Fixtures from the source directory, their trees in the build directory.
#include "tests/laws/fixtures.hpp"

#include "common/core/registry.hpp"
#include "common/host/real_host.hpp"
#include "common/text/grub_script.hpp"
#include "common/base/strings.hpp"
#include "tests/laws/fake_apt.hpp"
#include "tests/laws/fake_i915.hpp"
#include "tests/laws/fake_journal.hpp"
#include "tests/laws/fake_nvidia.hpp"
#include "tests/laws/fake_pvesh.hpp"
#include "tests/laws/fake_qm.hpp"
#include "tests/laws/fake_sriov.hpp"
#include "tests/laws/fake_sysfs.hpp"
#include "tests/laws/fake_systemctl.hpp"

#include <stdlib.h>

#include <algorithm>

namespace pvegpu::laws {
namespace {

const std::string fixture_directory = PVE_GPU_SOURCE_DIR "/tests/fixtures";
const std::string tree_directory = PVE_GPU_BINARY_DIR "/trees";
std::vector<std::string> made;

const Module& module_named(const std::string& name) {
  for (const RegistryEntry& entry : registry())
    if (name == entry.name) return entry.module();
  throw std::runtime_error("tests/fixtures has a folder for a module that does not exist: " + name);
}

/// Query::grub_cmdline by a real shell, on a copy of this host's files. Answers are kept: the laws ask the same thousands of times.
CommandResult source_grub_defaults(const FakeHost& host, std::vector<std::string> argv) {
  const std::string defaults = "/etc/default/grub", dropins = defaults + ".d";
  std::map<std::string, std::string> files;
  const auto copy = [&](const std::string& path) {
    if (const auto bytes = host.read_file(path)) files["/" + path.substr(std::string("/etc/default/").size())] = *bytes;
  };
  copy(defaults);
  for (const std::string& name : host.list_dir(dropins).value_or({})) copy(dropins + "/" + name);
  static std::map<std::pair<std::vector<std::string>, std::map<std::string, std::string>>, CommandResult> known;
  const auto [result, is_new] = known.try_emplace({argv, files});
  if (!is_new) return result->second;

  char place[] = "/tmp/pve-gpu-grub-XXXXXX";
  if (!::mkdtemp(place)) throw std::runtime_error("no temporary directory for GRUB's defaults");
  const std::string top = place;
  RealHost disk;
  disk.make_dir(top + "/grub.d", 0755).or_fail("copy GRUB's defaults");
  for (const auto& [path, bytes] : files) disk.write_file(top + path, bytes).or_fail("copy GRUB's defaults");
  for (std::string& word : argv)
    if (word.starts_with(defaults)) word = top + word.substr(std::string("/etc/default").size());
  result->second = run_program({argv, std::chrono::seconds(600)}).or_fail("source GRUB's defaults");
  (void)run_program({{"rm", "-r", top}, std::chrono::seconds(600)});
  std::string& err = result->second.err;
  for (std::size_t at; (at = err.find(top)) != std::string::npos;) err.replace(at, top.size(), "/etc/default");
  return result->second;
}

/// The menu that update-grub makes: 10_linux's line, read by GRUB's syntax check.
Result<std::string> grub_menu(const FakeHost& host) {
  std::vector<Query::GrubFile> files = {{"/etc/default/grub"}};
  for (const std::string& name : host.list_dir("/etc/default/grub.d").value_or({}))
    if (name.ends_with(".cfg")) files.push_back({"/etc/default/grub.d/" + name});
  const CommandResult sourced = source_grub_defaults(host, Query::grub_cmdline(files).argv());
  if (sourced.exit_code != 0) return Error{sourced.err};
  const auto values = text::split(sourced.out, '\0');
  const std::string words = values.at(values.size() - 3) + " " + values.at(values.size() - 2);
  const auto read = text::parse_grub_command(words);
  if (read.open || (read.end < words.size() && text::contains("|&<>{}$", words.substr(read.end, 1))))
    return Error{"error: syntax error.\nSyntax errors are detected in generated GRUB config file."};
  return fmt::format("menuentry 'Proxmox VE' {{\n\tlinux\t/boot/vmlinuz-{} root=/dev/mapper/pve-root ro {}\n}}\n", host.kernel_release(),
                     words);
}

json run_module(const Module& module, json args, FakeHost& host, RunMode mode) {
  args["_ansible_check_mode"] = mode.check;
  args["_ansible_diff"] = mode.diff;
  return module.run(args, host);
}

bool can_be_absent(const json& options) {
  if (!options.contains("state") || !options["state"].contains("choices")) return false;
  const json& choices = options["state"]["choices"];
  return std::find(choices.begin(), choices.end(), "absent") != choices.end();
}

}  // namespace

json run_task(const std::string& module, const json& args, FakeHost& host, RunMode mode) {
  return run_module(module_named(module), args, host, mode);
}

json Fixture::read(const std::string& file) const {
  const std::string path = directory + "/" + file;
  auto value = parse_json(RealHost().read_file(path).or_fail("read a fixture"));
  if (!value) throw std::runtime_error(path + ": " + value.error().message);
  return *value;
}

std::optional<json> Fixture::read_if_there(const std::string& file) const {
  if (!RealHost().exists(directory + "/" + file)) return std::nullopt;
  return read(file);
}

FakeHost world_of(const std::string& tree) {
  static std::map<std::string, std::shared_ptr<const Tree>> trees;
  auto& below = trees[tree];
  if (!below) below = load_tree(tree);
  FakeHost host(below, tree);
  for (const char* path : {"/etc", "/run", "/var/lib", "/boot"})
    if (!host.exists(path)) host.dir(path);
  host.product("/var/lib/apt/lists/made", "apt-get update", {"/etc/apt"});
  host.product("/boot/initrd.img", "update-initramfs",
               {"/etc/modprobe.d", "/etc/modules", "/etc/modules-load.d", "/etc/initramfs-tools", "/lib/firmware/intel-ucode",
                "/lib/firmware/amd-ucode"});
  if (host.exists("/etc/default/grub")) host.product("/boot/grub/grub.cfg", "update-grub", {"/etc/default"}, grub_menu);
  if (host.exists("/etc/kernel/proxmox-boot-uuids"))
    host.product("/boot/esp", "proxmox-boot-tool refresh", {"/etc/kernel", "/etc/default"});
  host.product("/run/systemd/loaded", "systemctl daemon-reload", {"/etc/systemd"});
  host.answer("sh -ec while [ $# -gt 1 ]; do case $1 in as-it-is)", source_grub_defaults);
  host.answer("zpool get -H all", [](const FakeHost& h, const std::vector<std::string>& argv) {  // machine.py: write_pools
    const auto answer = h.read_file("/var/lib/rack/zpool/" + argv.at(4));
    return answer ? CommandResult{0, false, *answer, ""}
                  : CommandResult{1, false, "", fmt::format("cannot open '{}': no such pool\n", argv.at(4))};
  });
  host.answer("nvidia-smi -q -i", [](const FakeHost& h, const std::vector<std::string>& argv) {  // cardstate.py: write_modes
    const auto answer = h.read_file("/run/rack-nvidia-smi/" + argv.at(3));
    return answer ? CommandResult{0, false, *answer, ""} : CommandResult{6, false, "No devices were found\n", ""};
  });
  model_driver_binding(host);
  model_journal(host);
  add_qm(host);
  add_pvesh(host);
  host.make_products();
  return host;
}

bool Fixture::recorded() const { return RealHost().exists(directory + "/recording.json"); }

FakeHost Fixture::world() const {
  if (recorded()) {
    const auto bytes = RealHost().read_file(directory + "/recording.json").or_fail("read a fixture");
    return world_of(record::unpack(bytes).or_fail(directory + "/recording.json"));
  }
  FakeHost host = world_of(tree);
  json description = read_if_there("world.json").value_or(json::object());
  // Two models of NVIDIA's programs and services: the driver's own, and that of a driver that is there.
  if (module == "nvidia_driver" || module == "display_mode" || module == "vgpu") {
    add_nvidia(host, description.value("nvidia", json::object()));
    description.erase("nvidia");
  } else if (module == "i915_sriov_driver") {
    add_i915(host, description.value("i915", json::object()));
    description.erase("i915");
  } else if (module == "repo" || module == "microcode") {
    add_apt(host, description.value("apt", json::object()));
    description.erase("apt");
  } else {
    model_systemctl(host);
    model_sriov(host, description.value("sriov", json::object()));
    description.erase("sriov");
  }
  host.make_products();
  const json earlier = description.value("earlier", json::array()), edits = description.value("edits", json::object());
  description.erase("earlier");
  description.erase("edits");
  for (const json& args : earlier) {
    const json answer = run_module(module_named(args.value("_ansible_module_name", module)), args, host, {});
    if (answer.value("failed", false))
      throw std::runtime_error(fmt::format("{}/{}: an earlier run fails: {}", module, name, dump_json(answer)));
  }
  for (const auto& [path, bytes] : edits.items()) bytes.is_null() ? host.gone(path) : host.file(path, bytes.get<std::string>());
  if (!edits.empty()) host.make_products();
  host.world(description);
  return host.restart();
}

Subject Fixture::subject() const {
  const Module& task = module_named(module);
  const json args = read("args.json");
  Subject out;
  out.name = module + "_" + name;
  // Made once and copied: the laws begin there thousands of times.
  out.world = [fixture = *this, made = std::make_shared<std::optional<FakeHost>>()] {
    if (!*made) *made = fixture.world();
    return **made;
  };
  out.run = [&task, args](FakeHost& host, RunMode mode) { return run_module(task, args, host, mode); };
  const json options = (*task.describe())["DOCUMENTATION"]["options"];
  if (can_be_absent(options)) {
    json absent = args;
    absent["state"] = "absent";
    absent.erase("follow_ups");  // what the run put off, absence does
    const auto add = [&](const std::string& way, const json& asked) {
      out.absences.emplace_back(way, [&task, asked](FakeHost& host, RunMode mode) { return run_module(task, asked, host, mode); });
    };
    if (!options.contains("conflicts"))
      add("absent", absent);
    else
      for (const json& value : options["conflicts"]["choices"]) {
        absent["conflicts"] = value;
        add(fmt::format("absent with conflicts={}", value.get<std::string>()), absent);
      }
  }
  // Undo takes back what earlier runs did too: that is not the world in which this run began.
  const bool came_first = !read_if_there("world.json").value_or(json::object()).contains("earlier");
  if (came_first && can_be_absent(options) && args.value("state", "") != "absent") {
    json absent = args;
    absent["state"] = "absent";
    absent.erase("follow_ups");  // what the run put off, undo does
    out.undo = [&task, absent](FakeHost& host, RunMode mode) { return run_module(task, absent, host, mode); };
  }
  return out;
}

void make_trees() {
  std::vector<std::string> argv = {PVE_GPU_PYTHON, "-B", PVE_GPU_SOURCE_DIR "/tests/laws/make_trees.py", fixture_directory, tree_directory};
  if (const char* some = std::getenv("PVE_GPU_FIXTURES"))
    for (const std::string& pattern : text::words(some)) argv.push_back(pattern);
  const CommandResult result = run_program({argv, std::chrono::seconds(1800)}).or_fail("make the trees of the fixtures");
  if (result.exit_code != 0) throw std::runtime_error("the trees of the fixtures can't be made: " + result.err);
  made = text::lines(result.out);
}

std::vector<Fixture> fixtures() {
  std::vector<Fixture> out;
  for (const std::string& each : made) {
    const auto slash = each.find('/');
    out.push_back({each.substr(0, slash), each.substr(slash + 1), fixture_directory + "/" + each, tree_directory + "/" + each});
  }
  return out;
}

}  // namespace pvegpu::laws
