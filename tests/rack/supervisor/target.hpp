// SPDX-License-Identifier: MIT
// Reading and writing another process.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>

namespace supervisor {

// At most `limit` bytes, fewer where its memory ends.
std::string read_memory(pid_t pid, std::uint64_t address, std::size_t limit);
// Up to the NUL, at most 4096 bytes.
std::string read_string(pid_t pid, std::uint64_t address);
bool write_memory(pid_t pid, std::uint64_t address, const void* data, std::size_t size);
// Where a link in /proc/PID leads ("exe", "fd/3"), empty when it can't be read.
std::string proc_link(pid_t pid, const std::string& name);
bool is_root(pid_t pid);

}  // namespace supervisor
