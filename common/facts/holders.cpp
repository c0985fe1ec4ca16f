// SPDX-License-Identifier: MIT
// Sources: udev(7) (directories and their order, keys, patterns, continued lines), modprobe.d(5), drivers/vfio/pci/vfio_pci.c (ids=
// vendor:device[:subvendor[:subdevice[:class[:mask]]]]), Documentation/ABI/testing/sysfs-bus-pci (driver_override, new_id),
// initramfs-tools(7), driverctl(8).
#include "common/facts/holders.hpp"

#include "common/base/strings.hpp"
#include "common/text/pci_address.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <cctype>
#include <set>

namespace pvegpu::gpu {
namespace {

constexpr std::uint64_t largest = 256 << 10;
constexpr const char* our_mark = "Made by pve.gpu";
constexpr const char* running_cmdline = "/proc/cmdline";

bool is_hex(char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }

/// Whether a file's text can have to do with giving devices away at all.
bool gives_devices(std::string_view text) {
  return text::contains(text, "driver_override") || text::contains(text, "vfio-pci") || text::contains(text, "vfio_pci") ||
         text::contains(text, "pci-stub");
}

/// "10de:2235[:subvendor[:subdevice[…]]]": whether it is this card.
bool id_takes(const std::string& id, const catalogue::PciIds& ids) {
  const auto parts = text::split(text::lower(id), ':');
  const std::uint16_t own[] = {ids.vendor, ids.device, ids.subsystem_vendor, ids.subsystem_device};
  if (parts.size() < 2) return false;
  for (std::size_t i = 0; i < parts.size() && i < 4; ++i) {
    if (i >= 2 && (parts[i].empty() || parts[i] == "ffffffff")) continue;
    std::string digits = parts[i];
    while (digits.size() > 4 && digits[0] == '0') digits.erase(0, 1);
    if (fmt::format("{:0>4}", digits) != hex4(own[i])) return false;
  }
  return true;
}

bool list_takes(std::string_view list, const catalogue::PciIds& ids) {
  std::string plain(list);
  plain.erase(std::remove_if(plain.begin(), plain.end(), [](char c) { return c == '"' || c == '\''; }), plain.end());
  const auto all = text::split(plain, ',');
  return std::any_of(all.begin(), all.end(), [&](const std::string& id) { return id_takes(id, ids); });
}

/// The driver whose ids= this word is, "" for another word: "vfio-pci.ids=…", "vfio_pci.ids=…", "pci-stub.ids=…".
std::string ids_word(std::string_view word, std::string_view& list) {
  for (const char* driver : {"vfio-pci", "vfio_pci", "pci-stub", "pci_stub"}) {
    const std::string key = std::string(driver) + ".ids=";
    const auto at = word.find(key);
    if (at == word.npos) continue;
    list = word.substr(at + key.size());
    return driver[0] == 'v' ? "vfio-pci" : "pci-stub";
  }
  return {};
}

std::string driver_in(std::string_view text) {
  for (const char* driver : {"vfio-pci", "pci-stub"})
    if (text::contains(text, driver)) return driver;
  return {};
}

std::string read_small(Reader& reader, const std::string& path) {
  const auto info = reader.host().stat(path);
  if (!info || info->type != FileType::regular) return {};  // also a link to /dev/null, which hides a file
  if (info->size > largest) {
    reader.note(fmt::format("{} has more than 256 KiB and was not looked at", path));
    return {};
  }
  return reader.file(path, "lines that give devices to drivers").value_or("");
}

std::vector<std::string> list_of(Reader& reader, const std::string& directory) {
  return reader.list(directory, "files that give devices to drivers").value_or(std::vector<std::string>());
}

/// Lines of three words or more; of the holder, where it stands is filled in.
template <class Line>
void for_each_modprobe_line(Reader& reader, const Line& each) {
  std::set<std::string> seen;
  for (const char* directory :
       {"/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"})
    for (const std::string& name : list_of(reader, directory)) {
      if (!name.ends_with(".conf") || !seen.insert(name).second) continue;
      Holder at{Holder::Kind::modprobe_ids, fmt::format("{}/{}", directory, name)};
      const std::string text = read_small(reader, at.path);
      at.ours = text::contains(text, our_mark);
      for (const std::string& line : text::lines(text)) {
        ++at.line;
        at.text = text::trim(line).substr(0, 200);
        if (const auto words = text::words(line); words.size() > 2) each(at, words);
      }
    }
}

class Finder {
 public:
  Finder(Reader& reader, const Gpu& gpu) : reader_(reader), gpu_(gpu) {}

  std::vector<Holder> run() {
    udev();
    driverctl();
    modprobe();
    cmdline();
    scripts();
    units();
    return std::move(out_);
  }

 private:
  std::string read(const std::string& path) { return read_small(reader_, path); }
  std::vector<std::string> list(const std::string& directory) { return list_of(reader_, directory); }

  void add(Holder::Kind kind, const std::string& path, unsigned line, const std::string& text, std::string driver, bool ours) {
    for (const Holder& each : out_)
      if (each.path == path && each.line == line) return;
    out_.push_back({kind, path, line, text::trim(text).substr(0, 200), std::move(driver), ours});
  }

  void udev() {
    std::set<std::string> seen;  // a file hides those of its name in later directories
    for (const char* directory :
         {"/etc/udev/rules.d", "/run/udev/rules.d", "/usr/local/lib/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d"})
      for (const std::string& name : list(directory)) {
        if (!name.ends_with(".rules") || !seen.insert(name).second) continue;
        const std::string path = fmt::format("{}/{}", directory, name), text = read(path);
        if (gives_devices(text)) udev_file(path, text);
      }
  }

  void udev_file(const std::string& path, const std::string& text) {
    const auto lines = text::lines(text);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const unsigned first = static_cast<unsigned>(i) + 1;
      std::string rule = lines[i];
      while (rule.ends_with("\\") && i + 1 < lines.size()) rule = rule.substr(0, rule.size() - 1) + " " + text::trim(lines[++i]);
      if (text::trim(rule).starts_with("#") || !gives_devices(rule) || !rule_takes(rule, gpu_)) continue;
      add(Holder::Kind::udev_rule, path, first, rule, driver_in(rule), text::contains(text, our_mark));
    }
  }

  void driverctl() {
    for (const std::string& name : list("/etc/driverctl.d")) {
      if (name != "pci-" + gpu_.address && name != gpu_.address) continue;
      const std::string path = "/etc/driverctl.d/" + name, driver = text::trim(read(path));
      add(Holder::Kind::driverctl, path, 1, driver, driver, false);
    }
  }

  void modprobe() {
    add_id_lists(Holder::Kind::modprobe_ids);
    std::vector<Holder> softdeps;
    for_each_modprobe_line(reader_, [&](const Holder& at, const std::vector<std::string>& words) {
      if (words[0] == "softdep" && words[2] == "pre:" && is_card_driver(words[1]) && !driver_in(at.text).empty())
        softdeps.push_back({Holder::Kind::softdep, at.path, at.line, at.text, driver_in(at.text), at.ours});
      if (words[0] == "install" && words[2].starts_with("/")) script(words[2], Holder::Kind::script);
    });
    // Alone they only change an order.
    const bool by_ids = std::any_of(out_.begin(), out_.end(), [](const Holder& each) { return each.kind == Holder::Kind::modprobe_ids; });
    if (by_ids) out_.insert(out_.end(), softdeps.begin(), softdeps.end());
  }

  bool is_card_driver(const std::string& module) const {
    for (const char* driver : {"nvidia", "nouveau", "nvidiafb", "nvidia_drm"})
      if (gpu_.is_nvidia() && module.starts_with(driver)) return true;
    if (gpu_.is_intel()) return module == "i915" || module == "xe";
    return gpu_.is_amd() && (module == "amdgpu" || module == "radeon");
  }

  void cmdline() {
    const std::size_t before = out_.size();
    add_id_lists(Holder::Kind::cmdline_ids);
    // What runs counts where no file makes it.
    if (out_.size() > before + 1 && out_.back().path == running_cmdline) out_.pop_back();
  }

  void add_id_lists(Holder::Kind kind) {
    if (id_lists_.empty()) id_lists_ = read_id_lists(reader_);
    for (const IdList& each : id_lists_)
      if (each.holder.kind == kind && each.takes(gpu_.ids))
        add(kind, each.holder.path, each.holder.line, each.holder.text, each.holder.driver, each.holder.ours);
  }

  void scripts() {
    const std::string top = "/etc/initramfs-tools/scripts";
    for (const std::string& directory : list(top))
      for (const std::string& name : reader_.host().list_dir(fmt::format("{}/{}", top, directory)).value_or({}))
        script(fmt::format("{}/{}/{}", top, directory, name), Holder::Kind::script);
    script("/etc/rc.local", Holder::Kind::script);
  }

  void units() {
    for (const std::string& name : list("/etc/systemd/system")) {
      if (!name.ends_with(".service")) continue;
      const std::string path = "/etc/systemd/system/" + name, text = read(path);
      lines_of(path, text, Holder::Kind::unit);
      for (const std::string& line : text::lines(text)) {
        if (!line.starts_with("Exec")) continue;
        for (const std::string& word : text::words(line.substr(std::min(line.find('=') + 1, line.size()))))
          if (word.starts_with("/usr/local/") || word.starts_with("/root/") || word.starts_with("/opt/") || word.ends_with(".sh"))
            script(word, Holder::Kind::script);
      }
    }
  }

  void script(const std::string& path, Holder::Kind kind) { lines_of(path, read(path), kind); }

  /// The first line that names the card, of a file that gives devices away.
  void lines_of(const std::string& path, const std::string& text, Holder::Kind kind) {
    if (!gives_devices(text)) return;
    unsigned number = 0;
    for (const std::string& line : text::lines(text)) {
      ++number;
      if (text::trim(line).starts_with("#") || !names_card(line, gpu_)) continue;
      return add(kind, path, number, line, driver_in(text), text::contains(text, our_mark));
    }
  }

  Reader& reader_;
  const Gpu& gpu_;
  std::vector<IdList> id_lists_;
  std::vector<Holder> out_;
};

/// One match of a udev rule.
struct Match {
  std::string key, value;
  bool negated = false;
};

/// KEY=="value" and KEY!="value"; assignments are left out.
std::vector<Match> matches_of(std::string_view rule) {
  std::vector<Match> out;
  for (std::size_t at = 0; at < rule.size();) {
    const auto quote = rule.find('"', at);
    if (quote == rule.npos) break;
    const auto end = rule.find('"', quote + 1);
    const std::string before = text::trim(rule.substr(at, quote - at));
    const bool equal = before.ends_with("=="), unequal = before.ends_with("!=");
    if (end != rule.npos && (equal || unequal)) {
      std::string key = text::trim(before.substr(0, before.size() - 2));
      key.erase(0, std::min(key.find_first_not_of(", \t"), key.size()));
      out.push_back({std::move(key), std::string(rule.substr(quote + 1, end - quote - 1)), unequal});
    }
    if (end == rule.npos) break;
    at = end + 1;
  }
  return out;
}

bool fits(const std::string& patterns, const std::string& value) {
  for (const std::string& pattern : text::split(patterns, '|'))
    if (::fnmatch(text::lower(pattern).c_str(), value.c_str(), 0) == 0) return true;
  return false;
}

}  // namespace

std::string Holder::where() const { return fmt::format("{} line {}", path, line); }

std::string Holder::how() const {
  const std::string to = driver.empty() ? "another driver" : driver;
  switch (kind) {
    case Kind::udev_rule:
      return fmt::format("a udev rule gives it to {}", to);
    case Kind::driverctl:
      return fmt::format("driverctl gives it to {}", to);
    case Kind::modprobe_ids:
      return fmt::format("an option of modprobe gives all cards with its ids to {}", to);
    case Kind::cmdline_ids:
      return fmt::format("the kernel's command line gives all cards with its ids to {}", to);
    case Kind::softdep:
      return fmt::format("{} is loaded before its driver", to);
    case Kind::script:
      return fmt::format("a script gives it to {}", to);
    case Kind::unit:
      return fmt::format("a unit gives it to {}", to);
  }
  return {};
}

bool names_card(std::string_view line, const Gpu& gpu) {
  std::string lowered = text::lower(line);
  lowered.erase(std::remove(lowered.begin(), lowered.end(), '\\'), lowered.end());  // shells may escape the colons
  const std::string slot = gpu.address.substr(gpu.address.find(':') + 1);           // "81:00.0"
  const std::string device = slot.substr(0, slot.find('.')), domain = gpu.address.substr(0, gpu.address.find(':'));
  for (auto at = lowered.find(device); at != lowered.npos; at = lowered.find(device, at + 1)) {
    const std::string_view before = std::string_view(lowered).substr(0, at), after = std::string_view(lowered).substr(at + device.size());
    if (before.ends_with(":")) {
      const std::string_view rest = before.substr(0, before.size() - 1);
      std::size_t digits = 0;
      while (digits < rest.size() && is_hex(rest[rest.size() - 1 - digits])) ++digits;
      if (rest.substr(rest.size() - digits) != domain) continue;
    } else if (domain != "0000" || (!before.empty() && (is_hex(before.back()) || before.back() == '.'))) {
      continue;
    }
    if (after.empty() || (after[0] != '.' && after[0] != ':' && !is_hex(after[0]))) return true;  // the whole slot
    if (after[0] != '.' || after.size() < 2) continue;
    if (!is_hex(after[1]) || (after[1] == slot.back() && (after.size() == 2 || !is_hex(after[2])))) return true;
  }
  // "echo 10de 1bb3 > …/new_id"
  return text::contains(lowered, "new_id") && text::contains(lowered, hex4(gpu.ids.vendor) + " " + hex4(gpu.ids.device));
}

bool rule_takes(std::string_view rule, const Gpu& gpu) {
  const std::pair<const char*, std::string> own[] = {
      {"vendor", "0x" + hex4(gpu.ids.vendor)},
      {"device", "0x" + hex4(gpu.ids.device)},
      {"subsystem_vendor", "0x" + hex4(gpu.ids.subsystem_vendor)},
      {"subsystem_device", "0x" + hex4(gpu.ids.subsystem_device)},
      {"class", fmt::format("0x{:04x}00", gpu.pci_class)},
  };
  bool named = false;
  for (const Match& match : matches_of(rule)) {
    std::optional<std::string> value;
    if (match.key == "KERNEL" || match.key == "KERNELS") value = gpu.address;
    for (const auto& [name, text] : own)
      if (match.key == fmt::format("ATTR{{{}}}", name) || match.key == fmt::format("ATTRS{{{}}}", name)) value = text;
    if (match.key == "ENV{PCI_ID}") value = hex4(gpu.ids.vendor) + ":" + hex4(gpu.ids.device);
    if (match.key == "ENV{PCI_SLOT_NAME}") value = gpu.address;
    if ((match.key == "SUBSYSTEM" || match.key == "SUBSYSTEMS") && !match.negated && !fits(match.value, "pci")) return false;
    if (match.key == "ACTION" && match.value == "remove" && !match.negated) return false;
    if (!value) continue;
    if (fits(match.value, *value) == match.negated) return false;
    named = named || !match.negated;
  }
  return named;
}

bool IdList::takes(const catalogue::PciIds& card) const { return list_takes(ids, card); }

bool IdList::names(const catalogue::PciIds& card) const {
  return text::contains(text::lower(ids), hex4(card.vendor) + ":" + hex4(card.device));
}

std::vector<IdList> read_id_lists(Reader& reader) {
  std::vector<IdList> out;
  for_each_modprobe_line(reader, [&](Holder at, const std::vector<std::string>& words) {
    std::string_view list;
    at.driver = words[0] == "options" ? ids_word(words[1] + ".ids=", list) : "";
    for (std::size_t i = 2; i < words.size() && !at.driver.empty(); ++i)
      if (words[i].starts_with("ids=")) out.push_back({at, words[i].substr(4)});
  });
  std::vector<std::string> files = {"/etc/kernel/cmdline", "/etc/default/grub"};
  for (const std::string& name : list_of(reader, "/etc/default/grub.d"))
    if (name.ends_with(".cfg")) files.push_back("/etc/default/grub.d/" + name);
  files.push_back(running_cmdline);
  for (const std::string& path : files) {
    unsigned number = 0;
    for (const std::string& line : text::lines(reader.file(path, "kernel command line").value_or(""))) {
      ++number;
      if (text::trim(line).starts_with("#")) continue;
      for (const std::string& word : text::words(line)) {
        std::string_view list;
        if (const std::string driver = ids_word(word, list); !driver.empty())
          out.push_back({{Holder::Kind::cmdline_ids, path, number, word, driver}, std::string(list)});
      }
    }
  }
  return out;
}

std::vector<Holder> read_holders(Reader& reader, const Gpu& gpu) { return Finder(reader, gpu).run(); }

}  // namespace pvegpu::gpu
