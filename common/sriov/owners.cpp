// SPDX-License-Identifier: MIT
// Who makes virtual functions at boot.
#include "common/sriov/owners.hpp"

#include "common/text/pci_address.hpp"
#include "common/base/strings.hpp"
#include "common/text/unit_file.hpp"

#include <algorithm>
#include <set>

namespace pvegpu::gpu {
namespace {

constexpr const char* own_units = "/etc/systemd/system";
constexpr const char* unit_places[] = {"/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
                                       "/lib/systemd/system"};
constexpr std::uint64_t largest_script = 64 * 1024;

bool makes_vfs(std::string_view text) { return text::contains(text, "sriov-manage") || text::contains(text, "sriov_numvfs"); }

/// What a text that makes VFs names: addresses in paths of sysfs and after sriov-manage's options.
void find_cards(std::string_view text, BootOwner& out) {
  const bool manage = text::contains(text, "sriov-manage");
  std::string word;
  const auto take = [&] {
    if (manage && text::lower(word) == "all") out.all_nvidia = true;
    if (const auto address = text::parse_pci_address(word); address && address->function)
      if (std::find(out.cards.begin(), out.cards.end(), address->str()) == out.cards.end()) out.cards.push_back(address->str());
    word.clear();
  };
  for (const char c : text)
    if (std::isalnum(static_cast<unsigned char>(c)) || c == ':' || c == '.')
      word += c;
    else
      take();
  take();
  // Of "pci0000:00/0000:00:02.0" the root bus is no function, so it was not taken; of a bridge above the card only the last counts.
  if (!manage && out.cards.size() > 1) {
    std::vector<std::string> last;
    for (const std::string& card : out.cards)
      if (text::contains(text, card + "/sriov_numvfs")) last.push_back(card);
    if (!last.empty()) out.cards = std::move(last);
  }
}

/// The enabled units that come from this file: itself, or the instances of a template.
std::vector<std::string> enabled_units(const std::set<std::string>& wanted, const std::string& name) {
  std::vector<std::string> out;
  const auto at = name.find("@.");
  for (const std::string& unit : wanted)
    if (unit == name || (at != name.npos && unit.starts_with(name.substr(0, at + 1)) && unit.ends_with(name.substr(at + 1))))
      out.push_back(unit);
  return out;
}

std::set<std::string> wanted_units(const HostView& host) {
  std::set<std::string> out;
  for (const std::string& dir : host.list_dir(own_units).value_or({}))
    if (dir.ends_with(".wants") || dir.ends_with(".requires"))
      for (const std::string& unit : host.list_dir(fmt::format("{}/{}", own_units, dir)).value_or({})) out.insert(unit);
  return out;
}

std::string replace_all(std::string text, std::string_view what, std::string_view by) {
  for (std::size_t at = 0; (at = text.find(what, at)) != text.npos; at += by.size()) text.replace(at, what.size(), by);
  return text;
}

/// The command lines of a unit, and the short scripts that they run.
std::optional<BootOwner> judge_unit(const HostView& host, const std::string& file, const std::string& unit) {
  const auto settings = text::parse_unit_file(host.read_file(file).value_or(""));
  BootOwner out;
  out.kind = BootOwner::Kind::guide;
  out.file = file;
  out.text = unit;
  bool any = false;
  for (const char* key : {"ExecStartPre", "ExecStart", "ExecStartPost"})
    for (const std::string& value : text::unit_values(settings, "Service", key)) {
      const std::string line = replace_all(replace_all(value, "%i", text::unit_instance(unit)), "%I", text::unit_instance(unit));
      const auto words = text::words(line);
      const std::string program = words[0].substr(std::min(words[0].find('/'), words[0].size()));
      const bool plain = program == "/usr/lib/nvidia/sriov-manage" && words.size() == 3 && words[1] == "-e";
      if (!plain && !program.ends_with("/sleep")) out.kind = BootOwner::Kind::unit;
      if (makes_vfs(line)) {
        find_cards(line, out);
        any = true;
        continue;
      }
      for (const std::string& word : words) {
        const std::string path = word.substr(std::min(word.find('/'), word.size()));
        const auto info = path.empty() ? Result<FileInfo>(Error{}) : host.stat(path);
        if (!info || info->type != FileType::regular || info->size > largest_script) continue;
        const std::string script = host.read_file(path).value_or("");
        if (!script.starts_with("#!") || !makes_vfs(script)) continue;
        find_cards(script, out);
        any = true;
      }
    }
  return any ? std::optional(out) : std::nullopt;
}

void find_units(const HostView& host, const std::string& switched_off, std::vector<BootOwner>& out) {
  const auto wanted = wanted_units(host);
  for (const char* name : shipped_templates)
    for (const std::string& unit : enabled_units(wanted, fmt::format("{}@.service", name))) {
      BootOwner owner;
      owner.kind = BootOwner::Kind::shipped;
      owner.text = unit;
      find_cards("sriov-manage " + text::unit_instance(unit), owner);
      out.push_back(std::move(owner));
    }
  std::set<std::string> seen;  // /lib is /usr/lib, and the first place wins
  for (const char* place : unit_places)
    for (const std::string& name : host.list_dir(place).value_or({})) {
      const std::string file = fmt::format("{}/{}", place, name);
      const bool shipped = std::any_of(std::begin(shipped_templates), std::end(shipped_templates),
                                       [&](const char* known) { return name.starts_with(known); });
      if (!name.ends_with(".service") || shipped || name.starts_with("pve-gpu-") || !seen.insert(name).second) continue;
      const auto units = enabled_units(wanted, name);
      if (units.empty()) continue;
      const auto info = host.stat(file, Links::keep);
      if (!info || info->type != FileType::regular) continue;
      for (const std::string& unit : units)
        if (!host.exists(fmt::format("{}/{}.d/{}", own_units, unit, switched_off)))
          if (auto owner = judge_unit(host, file, unit)) out.push_back(*std::move(owner));
    }
}

void find_lines(const HostView& host, BootOwner::Kind kind, const std::string& file, std::vector<BootOwner>& out) {
  int number = 0;
  for (const std::string& line : text::lines(host.read_file(file).value_or(""))) {
    ++number;
    const std::string trimmed = text::trim(line);
    if (trimmed.starts_with('#') || trimmed.starts_with(';') || !makes_vfs(trimmed)) continue;
    BootOwner owner;
    owner.kind = kind;
    owner.file = file;
    owner.line = number;
    owner.text = line;
    find_cards(trimmed, owner);
    out.push_back(std::move(owner));
  }
}

void find_in_directory(const HostView& host, BootOwner::Kind kind, const std::string& dir, std::string_view suffix,
                       std::vector<BootOwner>& out) {
  for (const std::string& name : host.list_dir(dir).value_or({}))
    if (name.ends_with(suffix)) find_lines(host, kind, fmt::format("{}/{}", dir, name), out);
}

}  // namespace

bool BootOwner::may_concern(const std::string& address, bool nvidia) const {
  if (std::find(cards.begin(), cards.end(), address) != cards.end()) return true;
  return all_nvidia ? nvidia : cards.empty();
}

std::vector<BootOwner> find_boot_owners(const HostView& host, const std::string& switched_off) {
  using Kind = BootOwner::Kind;
  std::vector<BootOwner> out;
  find_units(host, switched_off, out);
  find_lines(host, Kind::sysfs, "/etc/sysfs.conf", out);
  find_in_directory(host, Kind::sysfs, "/etc/sysfs.d", ".conf", out);
  find_in_directory(host, Kind::tmpfiles, "/etc/tmpfiles.d", ".conf", out);
  find_in_directory(host, Kind::other, "/etc/udev/rules.d", ".rules", out);
  find_lines(host, Kind::other, "/etc/rc.local", out);
  find_lines(host, Kind::other, "/etc/crontab", out);
  find_in_directory(host, Kind::other, "/etc/cron.d", "", out);
  find_lines(host, Kind::other, "/var/spool/cron/crontabs/root", out);
  return out;
}

bool wanted_at_boot(const HostView& host, const std::string& unit) { return wanted_units(host).count(unit) > 0; }

bool has_unit_file(const HostView& host, const std::string& name) {
  return std::any_of(std::begin(unit_places), std::end(unit_places),
                     [&](const char* place) { return host.exists(fmt::format("{}/{}", place, name)); });
}

}  // namespace pvegpu::gpu
