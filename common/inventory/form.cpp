// SPDX-License-Identifier: MIT
// The hardware forms: A server with vGPU cards, B server with cards passed through whole, C PC with one card passed through whole, D PC
// whose Intel graphics is split, E workstation with cards passed through whole, F workstation with vGPU cards.
#include "common/inventory/form.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::gpu {
namespace {

enum class Body { server, workstation, pc };

const char* name_of_form(char letter) {
  switch (letter) {
    case 'A':
      return "server_vgpu";
    case 'B':
      return "server_passthrough";
    case 'C':
      return "pc_farm";
    case 'D':
      return "pc_igpu";
    case 'E':
      return "workstation_passthrough";
    case 'F':
      return "workstation_vgpu";
    default:
      return "none";
  }
}

bool any_of_words(const std::string& text, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* word) { return text::contains(text, word); });
}

/// SMBIOS 3.6, table 17: main server, rack mount, multi-system, blade, blade enclosure.
bool is_server_chassis(std::int64_t type) { return type == 17 || type == 23 || type == 25 || type == 28 || type == 29; }

class Guess {
 public:
  Guess(const std::vector<Gpu>& gpus, const std::vector<Technologies>& technologies, const HostFacts& facts)
      : gpus_(gpus), technologies_(technologies), facts_(facts) {}

  Form run() {
    std::vector<const Gpu*> vgpu, whole, split;
    for (std::size_t i = 0; i < gpus_.size(); ++i) {
      const Gpu& gpu = gpus_[i];
      if (gpu.kind != Kind::gpu && gpu.kind != Kind::accelerator) continue;
      if (gpu.integrated()) {
        if (technologies_[i].intel_sriov.possible || technologies_[i].intel_gvtg.possible) split.push_back(&gpu);
      } else if (shares(technologies_[i]) && gpu.driver != "vfio-pci") {
        vgpu.push_back(&gpu);
      } else if (!is_display_only(gpu)) {
        whole.push_back(&gpu);
      }
    }
    if (vgpu.empty() && whole.empty() && split.empty()) {
      say(gpus_.empty() ? "it has no GPU" : "none of its display devices can serve desktops");
      return finish(0);
    }
    const Body body = find_body(vgpu.size() + whole.size());
    for (const Gpu* gpu : vgpu) say(fmt::format("{} at {} can be split into vGPUs", gpu->name, gpu->address));
    for (const Gpu* gpu : whole)
      say(fmt::format("{} at {} {}", gpu->name, gpu->address,
                      gpu->driver == "vfio-pci" ? "is bound to vfio-pci" : "can only be passed through whole"));
    for (const Gpu* gpu : split) say(fmt::format("{} at {} can be split among guests", gpu->name, gpu->address));
    if (body == Body::server) return finish(vgpu.empty() && !whole.empty() ? 'B' : vgpu.empty() ? 'D' : 'A');
    if (!vgpu.empty()) return finish('F');
    if (whole.empty()) return finish('D');
    return finish(body == Body::workstation ? 'E' : 'C');
  }

 private:
  void say(std::string reason) { reasons_.push_back(std::move(reason)); }

  Form finish(char letter) { return {letter, name_of_form(letter), std::move(reasons_)}; }

  static bool shares(const Technologies& t) {
    return t.nvidia_mdev.possible || t.nvidia_sriov_mdev.possible || t.nvidia_vendor_vfio.possible || t.amd_mxgpu.possible ||
           t.intel_sriov.possible;
  }

  /// A second card that shows the console, beside the cards that matter: an RTX A2000 beside an A5000.
  bool is_display_only(const Gpu& gpu) const {
    if (!gpu.boot_vga || gpu.driver == "vfio-pci") return false;
    return std::any_of(gpus_.begin(), gpus_.end(),
                       [&](const Gpu& other) { return &other != &gpu && other.kind == Kind::gpu && !other.integrated(); });
  }

  Body find_body(std::size_t cards) {
    const std::string model = facts_.cpu.model.value_or("");
    const std::string product = facts_.dmi.product.value_or("");
    const auto chassis = facts_.dmi.chassis_type;
    const bool bmc = std::any_of(gpus_.begin(), gpus_.end(), [](const Gpu& gpu) { return gpu.kind == Kind::management_display; });
    const bool desk_cpu = any_of_words(model, {"Xeon(R) W", "Threadripper"});
    const bool desk_product = any_of_words(product, {"Precision", "ThinkStation", "Workstation", "CELSIUS", " Z2", " Z4", " Z6", " Z8"});
    if (chassis && is_server_chassis(*chassis)) {
      say(fmt::format("its chassis is a server's (SMBIOS type {})", *chassis));
      return Body::server;
    }
    if (desk_product) {
      say(fmt::format("it is a workstation by its model, {}", product));
      return Body::workstation;
    }
    if (bmc) {
      say("it has a management controller's display");
      return Body::server;
    }
    if (any_of_words(model, {"EPYC", "Xeon"}) && !desk_cpu) {
      say(fmt::format("it has a server's CPU, {}", model));
      return Body::server;
    }
    if (desk_cpu) {
      say(fmt::format("it has a workstation's CPU, {}", model));
      return Body::workstation;
    }
    const bool professional =
        std::any_of(gpus_.begin(), gpus_.end(), [](const Gpu& gpu) { return gpu.is_nvidia() && !gpu.boards.empty(); });
    if (professional || cards > 1) {
      say(fmt::format("it has no sign of a server, and {}", professional ? "a professional card" : "several cards"));
      return Body::workstation;
    }
    say("it has no sign of a server or a workstation");
    return Body::pc;
  }

  const std::vector<Gpu>& gpus_;
  const std::vector<Technologies>& technologies_;
  const HostFacts& facts_;
  std::vector<std::string> reasons_;
};

}  // namespace

Form guess_form(const std::vector<Gpu>& gpus, const std::vector<Technologies>& technologies, const HostFacts& facts) {
  return Guess(gpus, technologies, facts).run();
}

void Form::fields(Reply<Form>& out) {
  out.field("letter", [](const Form& form) { return form.letter ? std::string(1, form.letter) : std::string(); },
            {.doc = "V(A) to V(F), V(null) when none fits.", .sample = "A", .null_if_empty = true});
  out.field("name", [](const Form& form) { return form.letter ? form.name : std::string(); },
            {.doc = "V(server_vgpu), V(server_passthrough), V(pc_farm), V(pc_igpu), V(workstation_passthrough) or V(workstation_vgpu).",
             .null_if_empty = true});
  out.field("reasons", &Form::reasons, {.doc = "Why."});
}

}  // namespace pvegpu::gpu
