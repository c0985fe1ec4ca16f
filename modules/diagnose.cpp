// SPDX-License-Identifier: MIT
// diagnose: why a GPU, a mapping or a guest does not get to where it is wanted. It changes nothing.
#include "common/core/module.hpp"
#include "common/readiness/judge.hpp"
#include "common/base/strings.hpp"

#include <map>

namespace pvegpu {
namespace diagnose {
namespace {

enum class WayChoice { any, passthrough, nvidia_vgpu, intel_vgpu, intel_gvtg };

struct Params {
  std::optional<std::string> gpu, mapping, vgpu_type;
  std::optional<std::int64_t> vmid;
  WayChoice way = WayChoice::any;
};

using readiness::Condition;
using readiness::Question;
using readiness::Rung;
using readiness::State;
using readiness::Way;

struct Subject {
  std::string name;  ///< "0000:41:00.0 A40", "guest 201, hostpci0"
  Question question;
};

/// The conditions of one rung as one: the first that is not met speaks for it.
struct RungView {
  std::string state = "not_needed";
  std::vector<std::string> evidence;
  const Condition* told = nullptr;

  void add(const Condition& each) {
    evidence.insert(evidence.end(), each.evidence.begin(), each.evidence.end());
    const bool unmet = each.state == State::unmet;
    if (told && told->state == State::unmet) return;
    if (unmet || (each.state == State::unknown && !told)) told = &each;
    if (unmet)
      // A reboot that is still to come brings it.
      state =
          each.cure.by == readiness::BroughtBy::reboot && each.cure.module.empty() && each.rung == Rung::command_line ? "waiting" : "fail";
    else if (each.state == State::unknown)
      state = "unknown";
    else if (each.state == State::met && state == "not_needed")
      state = "ok";
  }
  bool fails() const { return told && told->state == State::unmet; }
};

struct RungAnswer {
  std::string name, state;
  std::vector<std::string> evidence;
  std::string cause;
  std::string cure;

  static void fields(Reply<RungAnswer>& out) {
    out.field("name", &RungAnswer::name, {.doc = "Name of the rung.", .sample = "iommu"});
    out.field("state", &RungAnswer::state, {.doc = "One of V(ok), V(fail), V(unknown), V(not_needed), V(waiting)."});
    out.field("evidence", &RungAnswer::evidence, {.doc = "What was seen."});
    out.field("cause", &RungAnswer::cause, {.doc = "Why it is false.", .null_if_empty = true});
    out.field("cure", &RungAnswer::cure, {.doc = "The task or command that cures it.", .null_if_empty = true});
  }
};

/// The task that cures it.
struct TaskAnswer {
  std::string module;
  json args;

  static void fields(Reply<TaskAnswer>& out) { out.field("module", &TaskAnswer::module).field("args", &TaskAnswer::args); }
};

struct BlamedAnswer : RungAnswer {
  std::string condition, brought_by;
  std::optional<TaskAnswer> task;

  static void fields(Reply<BlamedAnswer>& out) {
    out.field("name", &BlamedAnswer::name);
    out.field("state", &BlamedAnswer::state);
    out.field("evidence", &BlamedAnswer::evidence);
    out.field("cause", &BlamedAnswer::cause, {.null_if_empty = true});
    out.field("cure", &BlamedAnswer::cure, {.null_if_empty = true});
    out.field("condition", &BlamedAnswer::condition);
    out.field("brought_by", &BlamedAnswer::brought_by, {.null_if_empty = true});
    out.field("task", &BlamedAnswer::task);
  }
};

struct TargetAnswer {
  std::string target;
  std::string way;
  std::vector<RungAnswer> rungs;
  std::optional<BlamedAnswer> blamed;

  static void fields(Reply<TargetAnswer>& out) {
    out.field("target", &TargetAnswer::target, {.doc = "What it is.", .sample = "0000:41:00.0 A40"});
    out.field("way", &TargetAnswer::way,
              {.doc = "How guests get it, one of V(passthrough), V(nvidia_vgpu), V(intel_vgpu), V(intel_gvtg).", .sample = "nvidia_vgpu"});
    out.field("rungs", &TargetAnswer::rungs, {.doc = "All rungs, in order."});
    out.field("blamed", &TargetAnswer::blamed, {.doc = "The first rung that is false, V(null) when none is."});
  }
};

struct Answer {
  bool ok = false;
  std::vector<std::string> text;
  std::vector<TargetAnswer> targets;

  static void fields(Reply<Answer>& out) {
    out.field("ok", &Answer::ok, {.doc = "Everything that was asked about is ready."});
    out.field("text", &Answer::text, {.doc = "A line for each target that a person can read."});
    out.field("targets", &Answer::targets, {.doc = "The GPUs, the mapping, or the devices of the guest that were asked about."});
  }
};

class Diagnosis {
 public:
  Diagnosis(const Params& params, const HostView& host) : params_(params), host_(host), machine_(gpu::require_machine(host)) {}

  void run(Plan& out) {
    std::vector<Subject> subjects;
    if (params_.vmid)
      of_guest(subjects);
    else if (params_.mapping)
      of_mapping(subjects);
    else
      of_gpus(subjects);
    Answer answer{true};
    for (const Subject& subject : subjects) {
      TargetAnswer told = judged(subject);
      answer.text.push_back(told.blamed ? fmt::format("{} ({}): {}: {}. Cure: {}", subject.name, told.way, told.blamed->name,
                                                      told.blamed->cause, told.blamed->cure)
                                        : fmt::format("{} ({}): ready", subject.name, told.way));
      answer.ok = answer.ok && !told.blamed;
      answer.targets.push_back(std::move(told));
    }
    out.report(answer);
  }

 private:
  static TargetAnswer judged(const Subject& subject) {
    const auto conditions = readiness::judge(subject.question);
    std::map<Rung, RungView> rungs;
    for (const Condition& each : conditions) rungs[each.rung].add(each);
    TargetAnswer out{subject.name, readiness::name_of(subject.question.way)};
    for (const auto& [rung, view] : rungs) {
      RungAnswer told{readiness::name_of(rung), view.state, view.evidence};
      if (view.told) told.cause = view.told->cause;
      const bool waits = view.fails() && out.blamed;
      if (waits) {
        told.state = "waiting";
        told.cause = fmt::format("it rests on {}: {}", out.blamed->name, told.cause);
      }
      if (view.fails()) told.cure = view.told->cure.text;
      if (view.fails() && !waits) {
        const readiness::Cure& cure = view.told->cure;
        out.blamed = BlamedAnswer{told, view.told->name, readiness::name_of(cure.by)};
        if (!cure.module.empty()) out.blamed->task = TaskAnswer{"pve.gpu." + cure.module, cure.args};
      }
      out.rungs.push_back(std::move(told));
    }
    return out;
  }

  Way way_for(const gpu::Place& place, bool mediated) const {
    switch (params_.way) {
      case WayChoice::passthrough:
        return Way::passthrough;
      case WayChoice::nvidia_vgpu:
        return Way::nvidia_vgpu;
      case WayChoice::intel_vgpu:
        return Way::intel_vgpu;
      case WayChoice::intel_gvtg:
        return Way::intel_gvtg;
      case WayChoice::any:
        break;
    }
    return readiness::way_of(place, mediated, machine_);
  }

  Question ask() const { return {.host = host_, .machine = machine_, .asks_programs = true, .vgpu_type = params_.vgpu_type.value_or("")}; }

  void of_gpus(std::vector<Subject>& out) const {
    std::optional<text::PciAddress> only;
    if (params_.gpu) only = text::parse_pci_address(*params_.gpu).or_fail("parameter 'gpu'");
    for (const gpu::Gpu& gpu : machine_.gpus) {
      if (only ? !only->covers(gpu.address) : gpu.kind != gpu::Kind::gpu) continue;
      Question question = ask();
      question.gpu = &gpu;
      question.way = params_.way == WayChoice::any ? readiness::way_of(gpu, machine_) : way_for({&gpu}, false);
      out.push_back({fmt::format("{} {}", gpu.address, gpu.name), question});
    }
    if (only && out.empty()) {
      std::vector<std::string> there;
      for (const gpu::Gpu& gpu : machine_.gpus) there.push_back(gpu.address);
      throw ModuleError(fmt::format("parameter 'gpu': there is no GPU at {}; there {}", *params_.gpu,
                                    there.empty() ? std::string("is none") : fmt::format("are {}", fmt::join(there, ", "))));
    }
  }

  const text::PciMapping* find_mapping(const std::string& id) const {
    if (machine_.guests.mappings)
      for (const text::PciMapping& mapping : *machine_.guests.mappings)
        if (mapping.id == id) return &mapping;
    return nullptr;
  }

  /// The first card of this node that the mapping leads to, and whether a VF of it is meant.
  gpu::Place card_of(const text::PciMapping& mapping) const {
    for (const text::PciMapEntry& entry : mapping.entries)
      if (entry.node == machine_.facts.node)
        if (const auto place = gpu::find_place(machine_.gpus, entry.members[0]); place.gpu) return place;
    return {};
  }

  void through(Question& question, const text::PciMapping& mapping, bool mediated) const {
    const gpu::Place place = card_of(mapping);
    question.mapping = &mapping;
    question.gpu = place.gpu;
    if (place.gpu) question.way = way_for(place, mediated);
  }

  void of_mapping(std::vector<Subject>& out) const {
    const text::PciMapping* mapping = find_mapping(*params_.mapping);
    if (!mapping)
      throw ModuleError(fmt::format(
          "parameter 'mapping': there is no mapping '{}' in /etc/pve/mapping/pci.cfg; make it with pve.gpu.mapping", *params_.mapping));
    Question question = ask();
    through(question, *mapping, mapping->mdev);
    out.push_back({"mapping " + *params_.mapping, question});
  }

  void of_guest(std::vector<Subject>& out) const {
    const gpu::Guest* guest = nullptr;
    if (machine_.guests.guests)
      for (const gpu::Guest& each : *machine_.guests.guests)
        if (each.vmid == *params_.vmid) guest = &each;
    if (!guest)
      throw ModuleError(
          fmt::format("parameter 'vmid': no guest {} of {} has a PCI device; give it one with pve.gpu.hostpci, or ask its node",
                      *params_.vmid, machine_.facts.node.value_or("this node")));
    for (const text::HostPci& line : guest->config.hostpci) {
      Question question = ask();
      question.guest = guest;
      question.hostpci = &line;
      question.vgpu_type = line.mdev;
      if (!line.mapping.empty()) {
        if (const text::PciMapping* mapping = find_mapping(line.mapping))
          through(question, *mapping, !line.mdev.empty());
        else
          question.missing_mapping = line.mapping;
      } else if (!line.addresses.empty()) {
        const gpu::Place place = gpu::find_place(machine_.gpus, line.addresses[0]);
        question.gpu = place.gpu;
        if (place.gpu) question.way = way_for(place, !line.mdev.empty());
      }
      out.push_back({fmt::format("guest {}, {}", guest->vmid, line.key()), question});
    }
  }

  const Params& params_;
  const HostView& host_;
  const gpu::Machine machine_;
};

void plan(const Params& params, const HostView& host, Plan& out) { Diagnosis(params, host).run(out); }

const ModuleDoc doc{
    .name = "diagnose",
    .summary = "Why a GPU, a mapping or a guest is not ready, and what cures it",
    .description =
        {"Climbs a ladder of checks, from the firmware to the guest, in the order in which one thing rests on the other: firmware, "
         "command line, IOMMU, board, display, card, build of the driver, rival drivers, driver, SR-IOV, vGPU types, mapping, guest, use.",
         "The first rung that is false is blamed, with the evidence, the cause, and the task or command that cures it. What is false "
         "above it is V(waiting): it may be cured along.",
         "It changes nothing, and the task does not fail when something is not ready: look at RV(ok)."},
    .examples = R"(- name: What is wrong with the GPUs of this host
  pve.gpu.diagnose:
  register: found

- name: Show it
  ansible.builtin.debug:
    var: found.text

- name: Why does guest 201 not start
  pve.gpu.diagnose:
    vmid: 201
)",
    .answer = answer_of<Answer>,
    .effects = Effects::none,
};

}  // namespace
}  // namespace diagnose

template <>
struct EnumNames<diagnose::WayChoice> {
  static constexpr std::pair<diagnose::WayChoice, const char*> values[] = {{diagnose::WayChoice::any, "any"},
                                                                           {diagnose::WayChoice::passthrough, "passthrough"},
                                                                           {diagnose::WayChoice::nvidia_vgpu, "nvidia_vgpu"},
                                                                           {diagnose::WayChoice::intel_vgpu, "intel_vgpu"},
                                                                           {diagnose::WayChoice::intel_gvtg, "intel_gvtg"}};
};

PVEGPU_MODULE(diagnose, diagnose::Params, diagnose::doc,
              Spec<diagnose::Params>{}
                  .param("gpu", &diagnose::Params::gpu,
                         {.doc = "Address of one GPU. Without it, and without the next two, all GPUs of the host."})
                  .param("mapping", &diagnose::Params::mapping, {.doc = "A resource mapping: is it good on this node."})
                  .param("vmid", &diagnose::Params::vmid, {.doc = "A guest of this node: would it start with its devices."})
                  .param("vgpu_type", &diagnose::Params::vgpu_type, {.doc = "The vGPU type that is wanted, by name."})
                  .param("way", &diagnose::Params::way, {.doc = "How guests shall get the GPU; V(any) for what the hardware suggests."})
                  .mutually_exclusive({"gpu", "mapping", "vmid"}),
              diagnose::plan)

}  // namespace pvegpu
