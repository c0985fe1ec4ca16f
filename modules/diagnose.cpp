// SPDX-License-Identifier: MIT
// diagnose: why a GPU, a mapping or a guest does not get to where it is wanted. It changes nothing.
#include "common/core/module.hpp"
#include "common/readiness/ladder.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu {
namespace diagnose {
namespace {

enum class WayChoice { any, passthrough, nvidia_vgpu, intel_vgpu, intel_gvtg };

struct Params {
  std::optional<std::string> gpu, mapping, vgpu_type;
  std::optional<std::int64_t> vmid;
  WayChoice way = WayChoice::any;
};

struct Subject {
  std::string name;  ///< "0000:41:00.0 A40", "guest 201, hostpci0"
  gpu::LadderTarget target;
};

class Diagnosis {
 public:
  Diagnosis(const Params& params, const HostView& host) : params_(params), host_(host), reader_(host), doc_(gpu::read_host(reader_)) {}

  void run(Plan& out) {
    std::vector<Subject> subjects;
    if (params_.vmid)
      of_guest(subjects);
    else if (params_.mapping)
      of_mapping(subjects);
    else
      of_gpus(subjects);
    json targets = json::array(), text = json::array();
    bool ok = true;
    for (const Subject& subject : subjects) {
      const auto rungs = gpu::climb(host_, doc_, subject.target);
      json list = json::array(), blamed = nullptr;
      for (const gpu::Rung& rung : rungs) {
        list.push_back({{"name", rung.name},
                        {"state", gpu::name_of(rung.state)},
                        {"evidence", rung.evidence},
                        {"cause", rung.cause.empty() ? json(nullptr) : json(rung.cause)},
                        {"cure", rung.cure.empty() ? json(nullptr) : json(rung.cure)}});
        const bool first = rung.state == gpu::RungState::fail || rung.state == gpu::RungState::waiting;
        if (first && blamed.is_null()) blamed = list.back();
      }
      const char* way = gpu::name_of(subject.target.way);
      text.push_back(blamed.is_null() ? fmt::format("{} ({}): ready", subject.name, way)
                                      : fmt::format("{} ({}): {}: {}. Cure: {}", subject.name, way, blamed["name"].get<std::string>(),
                                                    blamed["cause"].get<std::string>(), blamed["cure"].get<std::string>()));
      ok = ok && blamed.is_null();
      targets.push_back({{"target", subject.name}, {"way", way}, {"rungs", std::move(list)}, {"blamed", std::move(blamed)}});
    }
    out.report("ok", ok).report("text", std::move(text)).report("targets", std::move(targets));
  }

 private:
  gpu::Way way_for(const gpu::Gpu& gpu, bool whole, bool mediated) const {
    switch (params_.way) {
      case WayChoice::passthrough:
        return gpu::Way::passthrough;
      case WayChoice::nvidia_vgpu:
        return gpu::Way::nvidia_vgpu;
      case WayChoice::intel_vgpu:
        return gpu::Way::intel_vgpu;
      case WayChoice::intel_gvtg:
        return gpu::Way::intel_gvtg;
      case WayChoice::any:
        break;
    }
    if (mediated) return gpu.is_intel() ? gpu::Way::intel_gvtg : gpu::Way::nvidia_vgpu;
    if (whole) return gpu::Way::passthrough;
    return gpu::way_of(gpu, doc_.technologies[static_cast<std::size_t>(&gpu - doc_.gpus.data())]);
  }

  Subject about(const gpu::Gpu& gpu, gpu::Way way) const {
    Subject out{fmt::format("{} {}", gpu.address, gpu.name), {}};
    out.target.gpu = &gpu;
    out.target.way = way;
    out.target.vgpu_type = params_.vgpu_type.value_or("");
    return out;
  }

  void of_gpus(std::vector<Subject>& out) const {
    std::optional<text::PciAddress> only;
    if (params_.gpu) only = text::parse_pci_address(*params_.gpu).or_fail("parameter 'gpu'");
    for (const gpu::Gpu& gpu : doc_.gpus)
      if (only ? only->covers(gpu.address) : gpu.kind == gpu::Kind::gpu) out.push_back(about(gpu, way_for(gpu, false, false)));
    if (only && out.empty()) {
      std::vector<std::string> there;
      for (const gpu::Gpu& gpu : doc_.gpus) there.push_back(gpu.address);
      throw ModuleError(fmt::format("parameter 'gpu': there is no GPU at {}; there {}", *params_.gpu,
                                    there.empty() ? std::string("is none") : fmt::format("are {}", fmt::join(there, ", "))));
    }
  }

  const text::PciMapping* find_mapping(const std::string& id) const {
    if (doc_.guests.mappings)
      for (const text::PciMapping& mapping : *doc_.guests.mappings)
        if (mapping.id == id) return &mapping;
    return nullptr;
  }

  /// The first card of this node that the mapping leads to, and whether a VF of it is meant.
  gpu::Place card_of(const text::PciMapping& mapping) const {
    for (const text::PciMapEntry& entry : mapping.entries)
      if (entry.node == doc_.facts.node)
        if (const auto place = gpu::find_place(doc_.gpus, entry.members[0]); place.gpu) return place;
    return {};
  }

  void through(Subject& subject, const text::PciMapping& mapping, bool mediated) const {
    const gpu::Place place = card_of(mapping);
    subject.target.mapping = &mapping;
    subject.target.gpu = place.gpu;
    if (place.gpu) subject.target.way = way_for(*place.gpu, !mediated && !place.vf, mediated);
  }

  void of_mapping(std::vector<Subject>& out) const {
    Subject subject{"mapping " + *params_.mapping, {}};
    subject.target.vgpu_type = params_.vgpu_type.value_or("");
    if (const text::PciMapping* mapping = find_mapping(*params_.mapping))
      through(subject, *mapping, mapping->mdev);
    else
      throw ModuleError(fmt::format(
          "parameter 'mapping': there is no mapping '{}' in /etc/pve/mapping/pci.cfg; make it with pve.gpu.mapping", *params_.mapping));
    out.push_back(std::move(subject));
  }

  void of_guest(std::vector<Subject>& out) const {
    const gpu::Guest* guest = nullptr;
    if (doc_.guests.guests)
      for (const gpu::Guest& each : *doc_.guests.guests)
        if (each.vmid == *params_.vmid) guest = &each;
    if (!guest)
      throw ModuleError(
          fmt::format("parameter 'vmid': no guest {} of {} has a PCI device; give it one with pve.gpu.hostpci, or ask its node",
                      *params_.vmid, doc_.facts.node.value_or("this node")));
    for (const text::HostPci& line : guest->config.hostpci) {
      Subject subject{fmt::format("guest {}, hostpci{}", guest->vmid, line.index), {}};
      subject.target.guest = guest;
      subject.target.hostpci = &line;
      subject.target.vgpu_type = line.mdev;
      if (!line.mapping.empty()) {
        if (const text::PciMapping* mapping = find_mapping(line.mapping))
          through(subject, *mapping, !line.mdev.empty());
        else
          subject.target.missing_mapping = line.mapping;
      } else if (!line.addresses.empty()) {
        const gpu::Place place = gpu::find_place(doc_.gpus, line.addresses[0]);
        subject.target.gpu = place.gpu;
        if (place.gpu) subject.target.way = way_for(*place.gpu, line.mdev.empty() && !place.vf, !line.mdev.empty());
      }
      out.push_back(std::move(subject));
    }
  }

  const Params& params_;
  const HostView& host_;
  Reader reader_;
  gpu::HostDocument doc_;
};

void plan(const Params& params, const HostView& host, Plan& out) { Diagnosis(params, host).run(out); }

const ModuleDoc doc{
    .name = "diagnose",
    .summary = "Why a GPU, a mapping or a guest is not ready, and what cures it",
    .description =
        {"Climbs a ladder of checks, from the firmware to the guest, in the order in which one thing rests on the other: firmware, "
         "command line, IOMMU, board, build of the driver, rival drivers, driver, display, SR-IOV, vGPU types, mapping, guest, use.",
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
    .returns = R"(ok:
  description: Everything that was asked about is ready.
  returned: always
  type: bool
text:
  description: A line for each target that a person can read.
  returned: always
  type: list
  elements: str
targets:
  description: The GPUs, the mapping, or the devices of the guest that were asked about.
  returned: always
  type: list
  elements: dict
  contains:
    target:
      description: What it is.
      type: str
      sample: 0000:41:00.0 A40
    way:
      description: How guests get it, one of V(passthrough), V(nvidia_vgpu), V(intel_vgpu), V(intel_gvtg).
      type: str
      sample: nvidia_vgpu
    blamed:
      description: The first rung that is false, V(null) when none is.
      type: dict
    rungs:
      description: All rungs, in order.
      type: list
      elements: dict
      contains:
        name:
          description: Name of the rung.
          type: str
          sample: iommu
        state:
          description: One of V(ok), V(fail), V(unknown), V(not_needed), V(waiting).
          type: str
        evidence:
          description: What was seen.
          type: list
          elements: str
        cause:
          description: Why it is false.
          type: str
        cure:
          description: The task or command that cures it.
          type: str
)",
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
