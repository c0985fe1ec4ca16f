// SPDX-License-Identifier: MIT
// Which cards a task means, by the words that people write.
#pragma once

#include "common/facts/gpu.hpp"

namespace pvegpu::gpu {

/// Whether a word names the model: "A40", "NVIDIA A40", "nvidia rtx a5000", "10de:2235"; case does not matter. `names`: what the card is
/// called, by the catalogue and by the host.
bool names_model(std::string_view word, const std::vector<std::string>& names, std::string_view id);
bool is_model(const Gpu& gpu, std::string_view word);

/// Whether a word means the card: "all", its address or slot ("0000:41:00.0", "41:00"), or its model.
bool is_meant(const Gpu& gpu, std::string_view word);

}  // namespace pvegpu::gpu
