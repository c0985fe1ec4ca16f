// SPDX-License-Identifier: MIT
// What of a recording leaves the machine: where names of hosts, guests and people stand in it, and what is left out altogether.
#pragma once

#include "common/record/masks.hpp"
#include "common/record/recording.hpp"

namespace pvegpu::record {

/// The masks for everything in a recording that identifies someone.
Masks masks_for(const Recording& recording);

/// The recording with these masks, and without what no judgement reads: comments, what is a guest's own business, lines of scripts and
/// tables of the kernel about other things. The checksums and copies of files that our own notes hold follow.
Recording masked(const Recording& recording, const Masks& masks);

}  // namespace pvegpu::record
