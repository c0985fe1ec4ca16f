// SPDX-License-Identifier: MIT
// tests/fixtures/MODULE/CASE: a machine, arguments and the answer that they give there.
//   machine.yml        the host, see tests/rack/machines/README.md
//   recording.json     or instead of it: what a host answered to pve-gpu record, unpacked (./dev fixture)
//   args.json          the task's parameters
//   world.json         (optional) how the host behaves, see FakeHost::world(); also
//                        "earlier"  a list of arguments of runs of this module (or of `_ansible_module_name`) that came before
//                        "nvidia"   how NVIDIA's programs behave, see fake_nvidia.hpp
//                        "edits"    {PATH: bytes, or null to remove it}: what someone did by hand after them
//   expected.json      the answer of a run in check mode with diff
//   expected_run.json  the answer of the run itself, only where it is another
// PVE_GPU_REGENERATE=1 writes the answers instead of comparing them; PVE_GPU_FIXTURES="MODULE/CASE …" (patterns): there are no others.
#pragma once

#include "common/record/recording.hpp"
#include "tests/laws/laws.hpp"

namespace pvegpu::laws {

struct Fixture {
  std::string module, name;
  std::string directory;  ///< of its files
  std::string tree;       ///< of its machine

  json read(const std::string& file) const;
  std::optional<json> read_if_there(const std::string& file) const;
  /// Its world answers, but does not behave: only the laws of check mode say something of it.
  bool recorded() const;
  FakeHost world() const;
  /// The task as a subject; `undo` is the same with `state: absent`, where the module has that.
  Subject subject() const;
};

/// The host of a machine's tree, with what makes its initramfs and boot loader's files.
FakeHost world_of(const std::string& tree);
/// The host of a recording: the files that were read, links, directories, programs' answers. What was not asked is not there.
FakeHost world_of(const record::Recording& recording);
/// A task on a world of the test's own.
json run_task(const std::string& module, const json& args, FakeHost& host, RunMode mode = {});

/// Makes the trees where they are missing or old. Throws when the fixtures can't be made.
void make_trees();
std::vector<Fixture> fixtures();

}  // namespace pvegpu::laws
