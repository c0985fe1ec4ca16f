// SPDX-License-Identifier: MIT
// A host in memory out of a recording.
#include "common/base/strings.hpp"
#include "common/record/recorder.hpp"
#include "tests/laws/fixtures.hpp"

#include <algorithm>

namespace pvegpu::laws {
namespace {

using record::Question;

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

/// The path without "..", and without the links that were recorded: files are put where they are.
std::string real_path(const std::string& path, const std::map<std::string, std::string>& links, int depth = 0) {
  std::string at;
  for (const std::string& part : text::split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      at = parent_of(at);
      continue;
    }
    at += "/" + part;
    if (const auto link = links.find(at); link != links.end() && depth < 40)
      at = real_path(link->second.starts_with('/') ? link->second : parent_of(at) + "/" + link->second, links, depth + 1);
  }
  return at;
}

}  // namespace

FakeHost world_of(const record::Recording& recording) {
  FakeHost host;
  const record::ReplayHost replay(recording);
  host.user(replay.effective_uid()).release(replay.kernel_release());
  // Where a link is depends on those in its path, which are shorter.
  std::vector<std::string> asked;
  for (const auto& [path, answer] : recording.of(Question::link)) asked.push_back(path);
  std::stable_sort(asked.begin(), asked.end(),
                   [](const auto& x, const auto& y) { return std::count(x.begin(), x.end(), '/') < std::count(y.begin(), y.end(), '/'); });
  std::map<std::string, std::string> links;
  for (const std::string& path : asked)
    if (const auto target = replay.read_link(path)) links[real_path(parent_of(path), links) + path.substr(path.rfind('/'))] = *target;
  for (const auto& [path, target] : links) host.link(path, target);
  const auto meta = [&](const std::string& path) { return replay.stat(path).value_or(FileInfo{FileType::regular, 0644}); };
  const auto put_dir = [&](const std::string& path) {
    const std::string real = real_path(path, links);
    if (real.size() > 1 && !host.stat(real)) host.dir(real);
  };
  const auto put_file = [&](const std::string& path, const std::string& bytes) {
    const FileInfo info = meta(path);
    host.file(real_path(path, links), bytes, info.mode, info.uid, info.gid);
  };
  for (const auto& [path, answer] : recording.of(Question::directory))
    if (answer.is_array()) put_dir(path);
  for (const auto& [path, answer] : recording.of(Question::file))
    if (const auto bytes = replay.read_file(path)) put_file(path, *bytes);
  // What was only looked at.
  for (const auto& [path, answer] : recording.of(Question::info))
    if (const auto info = replay.stat(path); info && !host.stat(real_path(path, links))) {
      if (info->type == FileType::directory)
        put_dir(path);
      else
        put_file(path, "");
    }
  for (const auto& [path, answer] : recording.of(Question::directory))
    for (const std::string& name : replay.list_dir(path).value_or({}))
      if (const std::string entry = real_path(path, links) + "/" + name; !host.stat(entry, Links::keep)) host.file(entry, "");

  for (const PciDevice& device : replay.pci_devices().value_or({})) {
    const std::string top = "/sys/bus/pci/devices/" + device.address;
    put_file(top + "/vendor", fmt::format("0x{:04x}\n", device.vendor));
    put_file(top + "/device", fmt::format("0x{:04x}\n", device.device));
    if (!replay.read_file(top + "/class")) put_file(top + "/class", fmt::format("0x{:04x}00\n", device.device_class));
  }
  std::map<std::string, std::string> names;  // by vendor
  for (const auto& [ids, answer] : recording.of(Question::pci_name))
    if (answer.is_string() && !answer.get_ref<const std::string&>().empty())
      names[ids.substr(0, 4)] += fmt::format("\t{}  {}\n", ids.substr(5), answer.get<std::string>());
  std::string ids;
  for (const auto& [vendor, devices] : names) ids += fmt::format("{}  vendor\n{}", vendor, devices);
  host.file("/usr/share/misc/pci.ids", ids);

  for (const auto& [key, answer] : recording.of(Question::kernel_module)) {
    const auto words = text::words(key);
    if (const auto module = replay.kernel_module(words.at(0), words.at(1))) host.module(words[0], words[1], *module);
  }
  json answers = json::object();
  for (const auto& [key, answer] : recording.of(Question::query)) {
    const auto argv = parse_json(key);
    if (!argv || !answer.contains("exit")) continue;
    answers[fmt::format("{}", fmt::join(argv->get<std::vector<std::string>>(), " "))] = {
        {"exit", answer["exit"]}, {"out", record::to_bytes(answer["out"])}, {"err", record::to_bytes(answer["err"])}};
  }
  json world{{"answers", answers}};
  for (const auto& [path, answer] : recording.of(Question::space))
    if (answer.is_number()) world["free_space"] = answer;
  return host.world(world).restart();
}

}  // namespace pvegpu::laws
