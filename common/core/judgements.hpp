// SPDX-License-Identifier: MIT
// Every module's judgement of a host, recorded, and any module's judgement of a recording.
#pragma once

#include "common/core/run.hpp"
#include "common/record/recorder.hpp"

namespace pvegpu {

/// A task that is to be recorded too, beside those that are always.
struct RecordedTask {
  std::string module;
  json args;
};

/// Asks all of `modules`, in check mode, about this host: each GPU, mapping, guest and kernel of it, as far as their parameters have
/// defaults or follow from what the host has, and `tasks`. What identifies people and machines is masked (record/masks.hpp).
record::Recording record_judgements(const std::vector<RegistryEntry>& modules, const HostView& host,
                                    const std::vector<RecordedTask>& tasks);
/// The same without masks: for tests.
record::Recording record_unmasked(const std::vector<RegistryEntry>& modules, const HostView& host, const std::vector<RecordedTask>& tasks);

/// The answer of a module, in check mode whatever the arguments say, from a recording. What it asked and is not in the recording is
/// counted in a warning.
Answer replay_task(const Module& module, std::string_view args_text, const record::ReplayHost& recorded);

}  // namespace pvegpu
