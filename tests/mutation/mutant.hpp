// SPDX-License-Identifier: MIT
// All mutants are in one executable; PVE_GPU_MUTANT says which one is alive. Included before everything else.
#pragma once

#include <cstdlib>

inline bool pve_gpu_mutant(int number) {
  static const int alive = [] {
    const char* given = std::getenv("PVE_GPU_MUTANT");
    return given ? std::atoi(given) : 0;
  }();
  return number == alive;
}
