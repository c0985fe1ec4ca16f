// SPDX-License-Identifier: MIT
// The laws of the one judge, on every described host, each GPU of it.
//   L9 agreement        what is blamed first is the same wherever it is told: with programs asked and without, by diagnose, host_info, and
//                       by each task that rests on it, up to its own step: sriov, vgpu, vfio, mapping, hostpci and the drivers
//   L10 cures act       a cure that is a task of this collection does something there, or says what else is lacking; following cures ends
//                       at ready, or at what a person has to do, within ten
//   L11 healthy is ready  on the hosts that are meant to be healthy (tests/fixtures/diagnose/healthy_*) nothing is blamed
#include "common/cluster/cluster_lock.hpp"
#include "common/cluster/membership.hpp"
#include "common/driver/nvidia.hpp"
#include "common/facts/select.hpp"
#include "common/readiness/judge.hpp"
#include "common/text/vfio_script.hpp"
#include "tests/laws/fixtures.hpp"

#include <gtest/gtest.h>

#include <set>

namespace pvegpu::laws {
namespace {

using readiness::Condition;
using readiness::Question;
using readiness::Rung;
using readiness::State;
using readiness::Way;

constexpr RunMode check{.check = true, .diff = true};
constexpr RunMode real{.check = false, .diff = true};

/// One world for each machine: fixtures of several modules describe the same kinds of hosts.
std::vector<Fixture> hosts() {
  std::vector<Fixture> out;
  for (Fixture& each : fixtures())
    if (each.module == "diagnose" || each.module == "host_info" || each.module == "sriov" || each.module == "vgpu" ||
        each.module == "nvidia_driver" || each.module == "i915_sriov_driver" || each.module == "vfio")
      out.push_back(std::move(each));
  return out;
}

std::string names(const Condition* condition) { return condition ? condition->name : "ready"; }

/// What a task says it waits for or refuses over.
std::string reason_of(const json& answer) {
  return answer.value("failed", false) ? answer.value("msg", "") : answer.value("pending_reason", "");
}

bool says(const std::string& text, const std::string& what) { return text.find(what) != text.npos; }

class Readiness : public testing::TestWithParam<Fixture> {};

TEST_P(Readiness, L9_agreement) {
  FakeHost host = GetParam().world();
  const gpu::Machine machine = gpu::require_machine(host);
  FakeHost asked = GetParam().world();
  const json document = run_task("host_info", json::object(), asked);
  for (std::size_t i = 0; i < machine.gpus.size(); ++i) {
    const gpu::Gpu& gpu = machine.gpus[i];
    for (const Way way : {Way::passthrough, Way::nvidia_vgpu, Way::intel_vgpu, Way::intel_gvtg, Way::amd_mxgpu}) {
      SCOPED_TRACE(fmt::format("{} {}", gpu.address, readiness::name_of(way)));
      Question question{.host = host, .machine = machine, .gpu = &gpu, .way = way};
      const auto quick = readiness::judge(question);
      question.asks_programs = true;
      const auto exact = readiness::judge(question);
      EXPECT_EQ(names(readiness::first_unmet(quick)), names(readiness::first_unmet(exact))) << "programs decide about a condition";
      const json& technologies = document["gpus"][i]["technologies"];
      const Condition* unmet = readiness::first_unmet(quick);
      const bool lacks = unmet && unmet->rung < Rung::mapping;
      std::vector<std::string> told;
      if (way == Way::passthrough) told = {"passthrough"};
      if (way == Way::intel_vgpu) told = {"intel_sriov"};
      if (way == Way::intel_gvtg) told = {"intel_gvtg"};
      if (way == Way::amd_mxgpu) told = {"amd_mxgpu"};
      if (way == Way::nvidia_vgpu) told = {"nvidia_mdev", "nvidia_sriov_mdev", "nvidia_vendor_vfio"};
      int ready = 0, possible = 0;
      for (const std::string& name : told) {
        ready += technologies[name]["ready"].get<bool>() ? 1 : 0;
        possible += technologies[name]["possible"].get<bool>() ? 1 : 0;
        if (technologies[name]["possible"].get<bool>() && lacks) {
          EXPECT_TRUE(says(technologies[name]["missing"].at(0), unmet->cause)) << technologies[name].dump(1) << unmet->cause;
        }
      }
      if (lacks) {
        EXPECT_EQ(ready, 0) << unmet->name;
      } else if (possible > 0 && document["host"]["iommu"]["active"].is_boolean()) {
        EXPECT_EQ(ready, 1) << technologies.dump(1);
      }
    }
  }
}

/// What diagnose blames is what the task refuses over or waits for, unless its own step brings it.
void expect_told(const Fixture& fixture, const std::string& module, const json& args, const Condition& blamed) {
  FakeHost host = fixture.world();
  const json answer = run_task(module, args, host, check);
  const std::string reason = reason_of(answer) + answer.value("skipped", json::array()).dump();
  EXPECT_TRUE(says(reason, blamed.cause)) << module << " says: " << reason << "\ndiagnose blames " << blamed.name << ": " << blamed.cause;
}

TEST_P(Readiness, L9_tasks_agree) {
  FakeHost host = GetParam().world();
  const gpu::Machine machine = gpu::require_machine(host);
  for (const gpu::Gpu& gpu : machine.gpus) {
    if (!gpu.is_nvidia() || gpu.vgpu_class() == catalogue::VgpuClass::none || gpu.unlocked) continue;
    SCOPED_TRACE(gpu.address);
    const Question question{.host = host, .machine = machine, .gpu = &gpu, .way = Way::nvidia_vgpu, .asks_programs = true};
    const auto conditions = readiness::judge(question);
    const Condition* blamed = readiness::first_unmet(conditions);
    if (!blamed || blamed->rung >= Rung::mapping) continue;
    expect_told(GetParam(), "vgpu", {{"boards", {gpu.address}}}, *blamed);
    if (blamed->rung < Rung::sriov && blamed->cure.by != readiness::BroughtBy::sriov && question.on_vfs())
      expect_told(GetParam(), "sriov", {{"device", gpu.address}}, *blamed);
  }
}

// --- L9 of tasks that give cards to guests ----------------------------------------------------------------------------------------

/// All that an answer says.
std::string words_of(const json& answer) { return reason_of(answer) + answer.value("warnings", json::array()).dump(-1, ' ', false); }

/// As it stands in a JSON text.
std::string quoted(const std::string& text) {
  const std::string all = json(text).dump();
  return all.substr(1, all.size() - 2);
}

void expect_said(const std::string& task, const json& answer, const Condition& blamed) {
  const std::string words = words_of(answer);
  EXPECT_TRUE(says(words, blamed.cause) || says(words, quoted(blamed.cause)))
      << task << " says: " << words << "\nthe judge blames " << blamed.name << ": " << blamed.cause;
}

bool counts(const Condition& each) { return each.state == State::unmet && !each.next_boot && each.rung < Rung::mapping; }

/// vfio makes ready for the next boot: what a boot brings to the host, and what it does itself, it goes past.
bool is_before_vfio(const Condition& each) {
  const bool of_host = each.rung < Rung::iommu || each.name == "iommu_on";
  const bool own = each.cure.module == "vfio" || each.name == "vfio_allowed" || each.name == "no_firmware_framebuffer";
  return counts(each) && !of_host && !own && !(each.name == "host_spares_it" && each.by_choice);
}

void expect_vfio_agrees(FakeHost host, const gpu::Machine& machine, const gpu::Gpu& gpu) {
  if (host.exists(text::vfio_script_file)) return;  // it may remember another card at this address
  const Question question{.host = host, .machine = machine, .gpu = &gpu, .way = Way::passthrough, .asks_programs = true};
  const auto conditions = readiness::judge(question);
  const json answer = run_task("vfio", {{"devices", {gpu.address}}}, host, check);
  const auto objection = std::find_if(conditions.begin(), conditions.end(), is_before_vfio);
  if (objection != conditions.end()) {
    EXPECT_TRUE(answer.value("failed", false)) << answer.dump(1) << objection->name;
    return expect_said("vfio", answer, *objection);
  }
  const bool by_use = says(answer.value("msg", ""), "shut it down first") || says(answer.value("msg", ""), "keeps vfio_pci away");
  const auto of_host = std::find_if(conditions.begin(), conditions.end(), counts);
  if (of_host != conditions.end() && of_host->name == "iommu_on" && !by_use) expect_said("vfio", answer, *of_host);
  if (answer.value("failed", false)) {
    EXPECT_TRUE(by_use) << "vfio refuses what nothing is said against: " << answer.value("msg", "");
  }
}

/// Is this a node on which guests and mappings can be written?
bool is_writable_node(const FakeHost& host, const gpu::Machine& machine) {
  Reader reader(host);
  return machine.facts.has_mappings() && machine.guests.mappings && machine.facts.node && cluster::writable_pmxcfs(host) &&
         cluster::read_membership(reader).pmxcfs;
}

void expect_agrees(const std::string& task, const json& args, FakeHost host, const gpu::Machine& machine, const gpu::Gpu& gpu, Way way) {
  const Question question{.host = host, .machine = machine, .gpu = &gpu, .way = way, .asks_programs = true};
  const auto unmet = readiness::first_unmet(question, Rung::mapping);
  const json answer = run_task(task, args, host, check);
  SCOPED_TRACE(readiness::name_of(way));
  if (unmet) return expect_said(task, answer, *unmet);
  EXPECT_FALSE(answer.contains("pending_on")) << task << " waits for what the judge finds met: " << answer["pending_reason"];
}

TEST_P(Readiness, L9_givers_agree) {
  FakeHost host = GetParam().world();
  if (host.exists("/etc/pve")) host.file("/etc/pve/mapping/pci.cfg", "");
  const gpu::Machine machine = gpu::require_machine(host);
  for (const gpu::Gpu& gpu : machine.gpus) {
    SCOPED_TRACE(gpu.address);
    if (gpu.kind == gpu::Kind::virtual_display) continue;
    expect_vfio_agrees(host, machine, gpu);
    if (!is_writable_node(host, machine)) continue;
    FakeHost with_guest = host;
    with_guest.file(fmt::format("/etc/pve/nodes/{}/qemu-server/999.conf", *machine.facts.node), "name: law\n");
    const bool offers = gpu.framework == catalogue::Framework::mdev;
    const Way mediated = gpu.is_intel() ? Way::intel_gvtg : Way::nvidia_vgpu;
    expect_agrees("mapping", {{"id", "law"}, {"devices", {gpu.address}}}, host, machine, gpu, offers ? mediated : Way::passthrough);
    expect_agrees("hostpci", {{"vmid", 999}, {"host", {gpu.address}}}, with_guest, machine, gpu, Way::passthrough);
    if (gpu.is_nvidia() || gpu.is_intel())
      expect_agrees("hostpci", {{"vmid", 999}, {"host", {gpu.address}}, {"mdev", "law-1"}}, with_guest, machine, gpu, mediated);
    const bool classic = gpu.is_nvidia() && gpu.vgpu_class() == catalogue::VgpuClass::classic;  // its vGPUs are on the card
    if (gpu.sriov.total > 0 && gpu.sriov.vfs.empty() && !classic)
      expect_agrees("mapping", {{"id", "law"}, {"vfs_of", {gpu.address}}}, host, machine, gpu, readiness::vf_way_of(gpu));
  }
}

/// An installation rests on little: what it asks, it asks the judge. Its fixtures say which driver.
TEST_P(Readiness, L9_drivers_agree) {
  const Fixture& fixture = GetParam();
  const bool nvidia = fixture.module == "nvidia_driver";
  if (!nvidia && fixture.module != "i915_sriov_driver") return;
  const json args = fixture.read("args.json");
  if (args.value("state", "present") != "present") return;
  FakeHost host = fixture.world();
  const gpu::Machine machine = gpu::require_machine(host);
  const json answer = run_task(fixture.module, args, host, check);
  const json named = args.value("boards", args.value("devices", json::array()));
  std::vector<Condition> unmet;
  for (const gpu::Gpu& gpu : machine.gpus) {
    const bool meant = named.empty() || std::any_of(named.begin(), named.end(), [&](const json& word) {
                         return word.is_string() && gpu::is_meant(gpu, word.get<std::string>());
                       });
    if (!meant || (nvidia ? gpu.vgpu_class() == catalogue::VgpuClass::none || !gpu.is_nvidia() : !gpu.is_intel())) continue;
    Question question{.host = host, .machine = machine, .gpu = &gpu, .way = nvidia ? Way::nvidia_vgpu : Way::intel_vgpu};
    if (nvidia) question.nvidia = driver::parse_nvidia_file(args.value("file", "")).version;
    for (const char* name : {nvidia ? "nvidia_branch" : "intel_board", "not_on_vfio"})
      if (Condition each = readiness::judge(question, name); each.state == State::unmet) unmet.push_back(std::move(each));
  }
  if (unmet.empty()) return;
  EXPECT_TRUE(answer.value("failed", false) &&
              std::any_of(unmet.begin(), unmet.end(), [&](const Condition& each) { return says(answer.value("msg", ""), each.cause); }))
      << fixture.module << " says: " << reason_of(answer) << "\nthe judge blames " << unmet[0].name << ": " << unmet[0].cause;
}

/// Follows the cures of one GPU on one way.
void follow_cures(FakeHost host, const std::string& gpu, const std::string& way) {
  std::set<std::string> ended_well;
  for (int turn = 0;; ++turn) {
    ASSERT_LT(turn, 10) << "cures lead in a circle";
    const json diagnosis = run_task("diagnose", {{"gpu", gpu}, {"way", way}}, host);
    if (diagnosis.value("failed", false)) return;
    const json& blamed = diagnosis["targets"].at(0)["blamed"];
    if (blamed.is_null() || blamed["task"].is_null()) return;  // ready, or what is left is for hands
    std::string module = blamed["task"]["module"];
    module = module.substr(module.rfind('.') + 1);
    const json& args = blamed["task"]["args"];
    const std::string cause = blamed["cause"], key = module + args.dump();
    SCOPED_TRACE(fmt::format("turn {}: {}: {}: {} {}", turn, blamed["condition"].get<std::string>(), cause, module, args.dump()));
    const json checked = run_task(module, args, host, check);
    const std::string reason = reason_of(checked);
    if (says(reason, "missing required") || says(reason, "is required") || says(reason, "are missing")) return;  // the user's to bring
    const bool acts = !checked.value("steps", json::array()).empty();
    ASSERT_TRUE(acts || !reason.empty() || checked.value("reboot_required", false)) << "the cure does nothing: " << checked.dump(1);
    if (!acts) {
      EXPECT_TRUE(reason.empty() || !says(reason, cause)) << "the cure refuses over what it is to cure: " << reason;
      return;
    }
    const json done = run_task(module, args, host, real);
    if (done.value("failed", false) || done.value("reboot_required", false)) return;  // from here on a person reboots, or reads why
    ASSERT_TRUE(ended_well.insert(key).second) << "the cure ended well and cured nothing";
  }
}

TEST_P(Readiness, L10_cures_act) {
  const FakeHost host = GetParam().world();
  for (const gpu::Gpu& gpu : gpu::require_machine(host).gpus)
    for (const char* way : {"any", "passthrough", "nvidia_vgpu", "intel_vgpu", "intel_gvtg"}) {
      SCOPED_TRACE(fmt::format("{} {}", gpu.address, way));
      follow_cures(host, gpu.address, way);
    }
}

std::string title_of(const testing::TestParamInfo<Fixture>& of) { return of.param.module + "_" + of.param.name; }

INSTANTIATE_TEST_SUITE_P(Hosts, Readiness, testing::ValuesIn(hosts()), title_of);

TEST(Healthy, L11_healthy_is_ready) {
  int seen = 0;
  for (const Fixture& fixture : fixtures()) {
    if (fixture.module != "diagnose" || !fixture.name.starts_with("healthy_")) continue;
    ++seen;
    SCOPED_TRACE(fixture.name);
    FakeHost host = fixture.world();
    const json answer = run_task("diagnose", json::object(), host);
    EXPECT_TRUE(answer.value("ok", false)) << answer.value("text", json()).dump(1);
    if (!host.effects().empty()) ADD_FAILURE() << "diagnose changed something";
  }
  EXPECT_GE(seen, 40) << "hosts that are meant to be healthy";
}

}  // namespace
}  // namespace pvegpu::laws
