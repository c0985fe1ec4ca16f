// SPDX-License-Identifier: MIT
// Sources: drivers/pci/pci-sysfs.c (resource_show: a line "start end flags" for each resource; power_state; resourceN_resize),
// include/linux/pci.h (resources 0 to 5 the BARs, 6 the ROM, 7 to 12 the BARs of VFs, then windows of bridges), include/linux/ioport.h
// (flags), drivers/pci/setup-bus.c (what finds no room is set to 0, or marked UNSET), Documentation/ABI/testing/sysfs-bus-pci (power_state
// from kernel 5.11 on, reset_method from 5.15 on and only where a method is known), kernel/resource.c (/proc/iomem, addresses for root
// only), Documentation/ABI/testing/sysfs-kernel-iommu_groups (reserved_regions).
#include "common/facts/card_state.hpp"

#include "common/base/strings.hpp"
#include "common/text/kernel_cmdline.hpp"

#include <algorithm>
#include <charconv>

namespace pvegpu::gpu {
namespace {

constexpr std::uint64_t flag_io = 0x100, flag_memory = 0x200, flag_unset = 0x20000000;
constexpr unsigned first_vf_line = 7, lines_without_bridge = 13;

std::string directory_of(const Gpu& gpu) { return "/sys/bus/pci/devices/" + gpu.address; }

std::optional<std::uint64_t> hex(std::string_view word) {
  if (word.starts_with("0x")) word.remove_prefix(2);
  std::uint64_t out = 0;
  const auto parsed = std::from_chars(word.data(), word.data() + word.size(), out, 16);
  return parsed.ec == std::errc() && parsed.ptr == word.data() + word.size() ? std::optional(out) : std::nullopt;
}

/// The register of a BAR in the configuration space; 0 where that can't be read.
std::uint32_t bar_register(const std::string& config, unsigned index) {
  const std::size_t at = 0x10 + 4 * std::size_t{index};
  std::uint32_t out = 0;
  for (std::size_t i = 0; i < 4 && at + 4 <= config.size(); ++i)
    out |= static_cast<std::uint32_t>(static_cast<unsigned char>(config[at + i])) << (8 * i);
  return out;
}

bool reads_ff(const std::string& config) {
  const std::string_view header = std::string_view(config).substr(0, 64);
  return header.size() == 64 && header.find_first_not_of('\xff') == header.npos;
}

std::optional<std::vector<Bar>> read_bars(Reader& reader, const std::string& path, const std::string& config) {
  const auto text = reader.file(path, "memory windows of the card");
  if (!text) return std::nullopt;
  std::vector<Bar> out;
  unsigned number = 0;
  bool upper_half = false;  // of a 64-bit register, which takes two places
  for (const std::string& line : text::lines(*text)) {
    const unsigned at = number++;
    if (at >= lines_without_bridge) break;
    if (at == 6) continue;
    const auto fields = text::words(line);
    const auto start = fields.size() == 3 ? hex(fields[0]) : std::nullopt, end = start ? hex(fields[1]) : std::nullopt;
    const auto flags = end ? hex(fields[2]) : std::nullopt;
    if (!flags) {
      reader.add_unreadable(path, "memory windows of the card", fmt::format("line {}: '{}' is not start, end and flags", number, line));
      return std::nullopt;
    }
    Bar bar;
    bar.of_vfs = at >= first_vf_line;
    bar.index = bar.of_vfs ? at - first_vf_line : at;
    bar.evidence = {fmt::format("{} line {}", path, number), line};
    const std::uint32_t reg = bar.of_vfs || upper_half ? 0 : bar_register(config, at);
    upper_half = !bar.of_vfs && !upper_half && (reg & 7) == 4;
    if (*flags & (flag_io | flag_memory)) {
      bar.io = *flags & flag_io;
      bar.assigned = *start != 0 && !(*flags & flag_unset);
      if (*end > *start) bar.size = *end - *start + 1;
      if (bar.assigned) bar.start = *start;
    } else if ((reg & 1) != 0 || (reg & 0xc) != 0) {
      // The kernel forgets a window that found no room; its type still stands in the register.
      bar.io = reg & 1;
      bar.evidence.value += fmt::format(" (its register in the configuration space: {:#010x})", reg);
    } else {
      continue;
    }
    out.push_back(std::move(bar));
  }
  return out;
}

/// Names under which /proc/iomem shows a framebuffer of the firmware: simplefb (drivers/firmware/sysfb_simplefb.c), simpledrm, efifb,
/// vesafb.
constexpr const char* framebuffer_names[] = {"BOOTFB", "simple-framebuffer", "simplefb",        "efifb",
                                             "vesafb", "efi-framebuffer",    "vesa-framebuffer"};

bool is_framebuffer(std::string_view name) {
  return std::any_of(std::begin(framebuffer_names), std::end(framebuffer_names), [&](const char* each) { return name.starts_with(each); });
}

bool blacklists_sysfb(const text::KernelParameter& word) {
  if (!text::same_key(word.key, "initcall_blacklist")) return false;
  const auto names = text::split(word.value.value_or(""), ',');
  return std::find(names.begin(), names.end(), "sysfb_init") != names.end();
}

/// From 5.15 on one initcall, sysfb_init, hands the firmware's framebuffer to whichever driver (drivers/firmware/sysfb.c); before, each
/// driver is switched off by its own video= word.
void find_parameter(const FirmwareConsole& console, std::string_view holder, FirmwareFramebuffer& out) {
  const auto kernel = catalogue::parse_major_minor(console.kernel);
  const bool modern = kernel && !(*kernel < catalogue::MajorMinor{5, 15});
  const char* driver = holder.starts_with("vesa") ? "vesafb" : holder.starts_with("efi") ? "efifb" : "simplefb";
  out.parameter = modern ? "initcall_blacklist=sysfb_init" : fmt::format("video={}:off", driver);
  for (const text::KernelParameter& word : text::parse_kernel_cmdline(console.cmdline))
    out.given = out.given || (modern ? blacklists_sysfb(word) : word.print() == out.parameter);
}

/// "  fd000000-fdffffff : 0000:41:00.0"
struct MemoryLine {
  std::size_t depth = 0;
  std::uint64_t start = 0, end = 0;
  std::string name;
};

std::optional<MemoryLine> parse_memory_line(const std::string& line) {
  MemoryLine out;
  const auto first = line.find_first_not_of(' '), dash = line.find('-'), colon = line.find(" : ");
  if (first == line.npos || dash == line.npos || colon == line.npos || dash > colon) return std::nullopt;
  const auto start = hex(std::string_view(line).substr(first, dash - first));
  const auto end = hex(std::string_view(line).substr(dash + 1, colon - dash - 1));
  if (!start || !end) return std::nullopt;
  out.depth = first / 2;
  out.start = *start;
  out.end = *end;
  out.name = line.substr(colon + 3);
  return out;
}

/// "0000:41:00.0"
bool is_function(const std::string& name) { return name.size() >= 12 && name[name.size() - 2] == '.' && name[name.size() - 5] == ':'; }

}  // namespace

std::string Evidence::str() const { return fmt::format("{}: {}", path, value); }

std::string Bar::name() const { return fmt::format("{}BAR {}", of_vfs ? "VF " : "", index); }

const Bar* CardState::bar(unsigned index) const {
  for (std::size_t i = 0; bars && i < bars->size(); ++i)
    if (!(*bars)[i].of_vfs && (*bars)[i].index == index) return &(*bars)[i];
  return nullptr;
}

namespace {

std::vector<const Bar*> without_address(const std::optional<std::vector<Bar>>& bars, bool of_vfs) {
  std::vector<const Bar*> out;
  for (std::size_t i = 0; bars && i < bars->size(); ++i)
    if (const Bar& bar = (*bars)[i]; bar.of_vfs == of_vfs && !bar.io && !bar.assigned) out.push_back(&bar);
  return out;
}

/// Without the file nothing can be reset from kernel 5.15 on; a kernel before that has no such file. That it is a kernel's own tree at all
/// shows in power_state, which has been there for longer.
std::optional<std::vector<std::string>> read_reset_methods(Reader& reader, const std::string& directory, bool has_power_state) {
  if (const auto text = reader.attr(directory + "/reset_method", "reset methods of the card")) return text::words(*text);
  const auto kernel = catalogue::parse_major_minor(reader.host().kernel_release());
  if (has_power_state && kernel && !(*kernel < catalogue::MajorMinor{5, 15}) && !reader.host().exists(directory + "/reset_method"))
    return std::vector<std::string>();
  return std::nullopt;
}

}  // namespace

std::vector<const Bar*> CardState::unassigned() const { return without_address(bars, false); }

std::vector<const Bar*> CardState::unassigned_of_vfs() const { return without_address(bars, true); }

CardState read_card_state(Reader& reader, const Gpu& gpu) {
  const std::string directory = directory_of(gpu);
  CardState out;
  out.power_state = reader.attr(directory + "/power_state", "power state of the card");
  const auto config = reader.file(directory + "/config", "configuration space of the card");
  if (config && config->size() >= 64) {
    out.gone = reads_ff(*config);
    std::string bytes;
    for (std::size_t i = 0; i < 4; ++i) bytes += fmt::format("{}{:02x}", i ? " " : "", static_cast<unsigned char>((*config)[i]));
    out.config = {directory + "/config", bytes + " …"};
  } else if (config) {
    reader.add_unreadable(directory + "/config", "configuration space of the card", fmt::format("it has {} bytes", config->size()));
  }
  out.bars = read_bars(reader, directory + "/resource", config && !out.gone.value_or(true) ? *config : std::string());
  if (out.bars) out.bar1_resizable = reader.host().exists(directory + "/resource1_resize");
  out.reset_methods = read_reset_methods(reader, directory, out.power_state.has_value());
  return out;
}

FirmwareConsole read_firmware_console(Reader& reader, const BootFacts& boot) {
  FirmwareConsole out;
  out.kernel = reader.host().kernel_release();
  out.cmdline = boot.cmdline.value_or("");
  const auto text = reader.file("/proc/iomem", "memory of the firmware's console");
  if (!text || text->empty()) return out;
  out.framebuffers.emplace();
  std::vector<MemoryLine> parents, windows;
  unsigned number = 0;
  for (const std::string& line : text::lines(*text)) {
    ++number;
    const auto memory = parse_memory_line(line);
    if (!memory) continue;
    parents.resize(std::min(parents.size(), memory->depth));
    if (is_function(memory->name)) windows.push_back(*memory);
    if (is_framebuffer(memory->name)) {
      FirmwareConsole::Framebuffer found{memory->name, {}, false, {fmt::format("/proc/iomem line {}", number), text::trim(line)}};
      for (const MemoryLine& parent : parents)
        if (is_function(parent.name)) found.cards.push_back(parent.name);
      for (const MemoryLine& window : windows)  // it may stand beside the window that it is in
        if (window.end > 0 && window.start <= memory->start && memory->end <= window.end) found.cards.push_back(window.name);
      found.hidden = found.cards.empty() && memory->end == 0;
      if (found.hidden) reader.add_unreadable("/proc/iomem", "memory of the firmware's console", "it shows addresses to root only");
      out.framebuffers->push_back(std::move(found));
    }
    parents.push_back(*memory);
  }
  return out;
}

FirmwareFramebuffer framebuffer_in(const FirmwareConsole& console, const Gpu& gpu) {
  FirmwareFramebuffer out;
  if (!console.framebuffers) return out;
  bool hidden = false;
  for (const FirmwareConsole::Framebuffer& each : *console.framebuffers) {
    hidden = hidden || each.hidden;
    if (std::find(each.cards.begin(), each.cards.end(), gpu.address) == each.cards.end()) continue;
    out.in_card = true;
    out.evidence = each.evidence;
    find_parameter(console, each.name, out);
    return out;
  }
  if (!hidden) out.in_card = false;
  return out;
}

namespace {

std::optional<std::vector<Evidence>> direct_regions_of(Reader& reader, const std::string& group) {
  const std::string path = fmt::format("/sys/kernel/iommu_groups/{}/reserved_regions", group);
  const auto text = reader.file(path, "memory that the firmware reserves for an IOMMU group");
  if (!text) return std::nullopt;
  std::vector<Evidence> out;
  unsigned number = 0;
  for (const std::string& line : text::lines(*text)) {
    ++number;
    const auto fields = text::words(line);
    if (fields.size() == 3 && fields[2] == "direct") out.push_back({fmt::format("{} line {}", path, number), line});
  }
  return out;
}

}  // namespace

std::optional<std::vector<Evidence>> read_direct_regions(Reader& reader, const Gpu& gpu) {
  if (!gpu.iommu_group) return std::nullopt;
  return direct_regions_of(reader, std::to_string(*gpu.iommu_group));
}

std::optional<std::vector<DirectRegion>> read_host_direct_regions(Reader& reader) {
  const std::string root = "/sys/kernel/iommu_groups";
  const auto groups = reader.list(root, "IOMMU groups");
  if (!groups) return std::nullopt;
  std::vector<DirectRegion> out;
  for (const std::string& group : *groups) {
    const auto found = direct_regions_of(reader, group);
    if (!found || found->empty()) continue;
    std::int64_t number = 0;
    std::from_chars(group.data(), group.data() + group.size(), number);
    const auto devices = reader.list(fmt::format("{}/{}/devices", root, group), "members of an IOMMU group");
    for (const Evidence& evidence : *found) out.push_back({number, devices && !devices->empty(), evidence});
  }
  return out;
}

std::vector<PciDevice> nvswitches(const std::vector<PciDevice>& devices) {
  // NVIDIA's nvswitch driver takes every bridge (class 0680) of its vendor: 1af1 on HGX A100, 22a3 on HGX H100 and H200 (pci.ids), those of
  // V100 before them. Smaller ids with that class are the Ethernet of nForce mainboards. HGX B200 has NVSwitches that are no PCI functions.
  std::vector<PciDevice> out;
  for (const PciDevice& device : devices)
    if (device.vendor == 0x10de && device.device_class == 0x0680 && device.device >= 0x1ac0) out.push_back(device);
  return out;
}

}  // namespace pvegpu::gpu
