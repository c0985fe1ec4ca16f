// SPDX-License-Identifier: MIT
// A directory that goes with the test.
#pragma once

#include "common/host/real_host.hpp"

#include <cstdlib>

namespace pvegpu {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char pattern[] = "/tmp/pve-gpu-test.XXXXXX";
    if (!::mkdtemp(pattern)) throw std::runtime_error("can't make a directory in /tmp");
    path_ = pattern;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() { (void)run_program({{"rm", "-rf", "--", path_}}); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace pvegpu
