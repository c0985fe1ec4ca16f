// SPDX-License-Identifier: MIT
// Sources: kernel/module/main.c (blacklisted(): module_blacklist= is a list of exact names, a string parameter, so the last one counts);
// libkmod (libkmod-config.c: modprobe.blacklist= adds up, "blacklist" and "install" in modprobe.d; dashes are underscores);
// modprobe.d(5): directories and their order; i915_module.c and xe_module.c: nomodeset.
#include "common/host/module_block.hpp"

#include "common/text/grub_script.hpp"
#include "common/base/strings.hpp"

#include <algorithm>
#include <set>

namespace pvegpu {
namespace {

constexpr const char* running_line = "the kernel's command line";

std::string kernel_name(std::string_view module) {
  std::string out(module);
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

/// The modules that a word keeps away.
std::vector<std::string> named_in(const text::KernelParameter& word) {
  if (word.key == "nomodeset") return {"i915", "xe"};
  std::vector<std::string> out;
  const bool kernels = text::same_key(word.key, "module_blacklist");
  if (!kernels && word.key != "modprobe.blacklist") return out;
  for (const std::string& name : text::split(word.value.value_or(""), ','))
    if (!name.empty()) out.push_back(kernels ? name : kernel_name(name));
  return out;
}

std::vector<text::KernelParameter> blocking(std::string_view cmdline) {
  std::vector<text::KernelParameter> out;
  for (const text::KernelParameter& word : text::parse_kernel_cmdline(cmdline)) {
    const bool list = text::same_key(word.key, "module_blacklist");
    if (list) std::erase_if(out, [](const auto& earlier) { return text::same_key(earlier.key, "module_blacklist"); });
    if (list || !named_in(word).empty()) out.push_back(word);
  }
  return out;
}

bool keeps(const text::KernelParameter& word, std::string_view module) {
  const auto names = named_in(word);
  return std::find(names.begin(), names.end(), kernel_name(module)) != names.end();
}

/// An install line that loads nothing.
bool does_nothing(const std::string& command) {
  const std::string program = command.substr(command.rfind('/') + 1);
  return program == "false" || program == "true" || program == ":" || program == "exit";
}

void read_modprobe_file(const std::string& path, const std::string& bytes, std::vector<ModuleBlock>& out) {
  unsigned number = 0;
  for (const std::string& line : text::lines(bytes)) {
    ++number;
    const auto words = text::words(line);
    const bool strict = words.size() >= 3 && words[0] == "install" && does_nothing(words[2]);
    if (strict || (words.size() >= 2 && words[0] == "blacklist"))
      out.push_back({kernel_name(words[1]), text::trim(line), fmt::format("{} line {}", path, number), strict, true});
  }
}

}  // namespace

std::vector<text::KernelParameter> blocking_words(std::string_view cmdline, std::string_view module) {
  auto out = blocking(cmdline);
  std::erase_if(out, [&](const auto& word) { return !keeps(word, module); });
  return out;
}

std::optional<text::KernelParameter> without_module(const text::KernelParameter& word, std::string_view module) {
  if (!word.value) return std::nullopt;
  auto names = text::split(*word.value, ',');
  std::erase_if(names, [&](const std::string& name) { return name.empty() || kernel_name(name) == kernel_name(module); });
  if (names.empty()) return std::nullopt;
  return text::KernelParameter{word.key, fmt::format("{}", fmt::join(names, ","))};
}

std::vector<ModuleBlock> read_module_blocks(const HostView& host, const BootFacts& boot) {
  std::vector<ModuleBlock> out;
  for (const text::KernelParameter& word : blocking(boot.cmdline.value_or("")))
    for (const std::string& name : named_in(word))
      out.push_back({name, word.print(), running_line, word.key != "modprobe.blacklist", false});
  std::set<std::string> seen;  // a file hides those of its name in later directories
  for (const char* directory :
       {"/etc/modprobe.d", "/run/modprobe.d", "/usr/local/lib/modprobe.d", "/usr/lib/modprobe.d", "/lib/modprobe.d"})
    for (const std::string& name : host.list_dir(directory).value_or({})) {
      if (!name.ends_with(".conf") || !seen.insert(name).second) continue;
      const std::string path = fmt::format("{}/{}", directory, name);
      read_modprobe_file(path, host.read_file(path).value_or(""), out);
    }
  return out;
}

std::vector<ModuleBlock> blocks_of(const std::vector<ModuleBlock>& all, std::string_view module, bool by_name) {
  std::vector<ModuleBlock> out;
  for (const ModuleBlock& block : all)
    if (block.module == kernel_name(module) && (block.strict || !by_name)) out.push_back(block);
  return out;
}

std::string next_command_line(const HostView& host, const BootFacts& boot) {
  if (boot.loader == LoaderKind::systemd_boot) {
    if (const auto line = host.read_file("/etc/kernel/cmdline")) return line->substr(0, line->find('\n'));
  } else if (boot.loader != LoaderKind::unknown && host.exists("/etc/default/grub")) {
    std::vector<Query::GrubFile> files;
    for (const std::string& path : grub_default_files(host)) files.push_back({path});
    if (const auto values = grub_values(host, files)) return text::loader_cmdline(text::parse_grub_command(values->back()).arguments);
  }
  return boot.cmdline.value_or("");
}

std::string block_cause(const std::vector<ModuleBlock>& blocks) {
  std::vector<std::string> all;
  for (const ModuleBlock& block : blocks) all.push_back(fmt::format("'{}' {} {}", block.text, block.in_file ? "in" : "on", block.where));
  return fmt::format("{} keep{} {} away", fmt::join(all, " and "), all.size() == 1 ? "s" : "", blocks.at(0).module);
}

std::string block_cure(const std::vector<ModuleBlock>& blocks) {
  std::vector<std::string> steps;
  bool files = false;
  for (const ModuleBlock& block : blocks) {
    files = files || block.in_file;
    if (block.in_file)
      steps.push_back(fmt::format("take that line out of {}", block.where));
    else if (text::contains(block.text, ","))
      steps.push_back(fmt::format("take {} out of that list where the boot loader's files have it", block.module));
    else
      steps.push_back(fmt::format("pve.gpu.kernel_cmdline with parameters: ['{}'], state: absent, conflicts: remove", block.text));
  }
  if (files) steps.emplace_back("update-initramfs -u -k all");
  return fmt::format("{}, then a reboot", fmt::join(steps, ", then "));
}

BlockVerdict judge_blocks(const HostView& host, const BootFacts& boot, const std::string& module, bool loaded, bool by_name) {
  BootFacts next = boot;
  next.cmdline = next_command_line(host, boot);
  const auto now = blocks_of(read_module_blocks(host, boot), module, by_name),
             then = blocks_of(read_module_blocks(host, next), module, by_name);
  const bool sure = std::any_of(then.begin(), then.end(), [](const ModuleBlock& block) { return block.strict; });
  BlockVerdict out;
  if (!then.empty() && loaded && !sure)
    out.doubt = fmt::format("{} is loaded all the same; if the next boot comes without it: {}", block_cause(then), block_cure(then));
  else if (!then.empty())
    out.refusal = fmt::format("{}: {}", block_cause(then), block_cure(then));
  else if (!now.empty() && !loaded)
    out.wait = fmt::format("{}; the next boot is without it", block_cause(now));
  return out;
}

}  // namespace pvegpu
