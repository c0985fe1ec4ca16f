// SPDX-License-Identifier: MIT
// The vGPU types of a GPU: which its driver offers on the card or its VFs, what runs of them, and how many more fit.
#pragma once

#include "common/facts/gpu.hpp"
#include "common/facts/host_facts.hpp"

namespace pvegpu::gpu {

/// Of a GPU whose VFs and mediated devices are known: framework, types, names of what runs, and the board where types tell it. `on_card`:
/// the card itself has mdev_supported_types.
void read_offered_types(Reader& reader, const HostFacts& facts, bool on_card, Gpu& gpu);

/// How many more instances of each type fit: for VFs what one free VF says is a yes or no, the rest is counted. Called again when
/// it is known which VFs guests hold.
void count_available(Gpu& gpu);

}  // namespace pvegpu::gpu
