// SPDX-License-Identifier: MIT
// What keeps a kernel module from being loaded: words on the kernel's command line and lines of modprobe.d. Guides for passthrough have
// many put there; it matters where a driver that was kept away is wished later.
#pragma once

#include "common/host/boot_facts.hpp"
#include "common/text/kernel_cmdline.hpp"

namespace pvegpu {

/// One such word or line, for one module.
struct ModuleBlock {
  std::string module;  ///< its name in the kernel: with underscores
  std::string text;    ///< as it stands there: "module_blacklist=xe,nouveau", "install xe /bin/false"
  std::string where;   ///< "the kernel's command line", "/etc/modprobe.d/old.conf line 3"
  bool strict;         ///< not even `modprobe MODULE` loads it; what only blacklists holds where udev loads a device's driver
  bool in_file;        ///< a line of modprobe.d
};

/// The words of a command line that keep this module from being loaded or from taking its device.
std::vector<text::KernelParameter> blocking_words(std::string_view cmdline, std::string_view module);
/// `word` without `module`; nullopt when nothing is left of it.
std::optional<text::KernelParameter> without_module(const text::KernelParameter& word, std::string_view module);

/// What holds now: the command line of the running kernel, and modprobe.d.
std::vector<ModuleBlock> read_module_blocks(const HostView& host, const BootFacts& boot);
/// Those of one module. `by_name`: it is loaded by its name, so that only the strict ones count.
std::vector<ModuleBlock> blocks_of(const std::vector<ModuleBlock>& all, std::string_view module, bool by_name = false);

/// What the boot loader's files give to the next boot; the running kernel's where that can't be told.
std::string next_command_line(const HostView& host, const BootFacts& boot);

/// "'blacklist xe' in /etc/modprobe.d/old.conf line 2 keeps xe from being loaded"
std::string block_cause(const std::vector<ModuleBlock>& blocks);
/// What to do about them: a sentence without its full stop.
std::string block_cure(const std::vector<ModuleBlock>& blocks);

/// What a task that wishes this module has to say of its blocks.
struct BlockVerdict {
  std::string refusal;  ///< something keeps it away at the next boot too: the cause and the cure
  std::string wait;     ///< only the running kernel was started so: the next boot brings it
  std::string doubt;    ///< it is loaded in spite of them: told as a warning
};
BlockVerdict judge_blocks(const HostView& host, const BootFacts& boot, const std::string& module, bool loaded, bool by_name = false);

}  // namespace pvegpu
