// SPDX-License-Identifier: MIT
// Reading and writing another process.
#include "target.hpp"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

namespace supervisor {

std::string read_memory(pid_t pid, std::uint64_t address, std::size_t limit) {
  constexpr std::size_t page = 4096;
  std::string text;
  while (text.size() < limit) {  // page by page: one that isn't mapped spoils the whole of a call
    std::array<char, page> buffer{};
    const std::uint64_t from = address + text.size();
    const std::size_t size = std::min<std::size_t>(page - from % page, limit - text.size());
    const iovec local{buffer.data(), size};
    const iovec remote{reinterpret_cast<void*>(from), size};
    const ssize_t got = process_vm_readv(pid, &local, 1, &remote, 1, 0);
    if (got <= 0) {
      break;
    }
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

std::string read_string(pid_t pid, std::uint64_t address) {
  constexpr std::size_t page = 4096;
  std::string text = read_memory(pid, address, page - address % page);
  if (text.find('\0') == std::string::npos) {
    text += read_memory(pid, address + text.size(), page - text.size());
  }
  return text.substr(0, text.find('\0'));
}

bool write_memory(pid_t pid, std::uint64_t address, const void* data, std::size_t size) {
  const iovec local{const_cast<void*>(data), size};
  const iovec remote{reinterpret_cast<void*>(address), size};
  return process_vm_writev(pid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

std::string proc_link(pid_t pid, const std::string& name) {
  std::array<char, 4096> buffer{};
  const std::string path = "/proc/" + std::to_string(pid) + '/' + name;
  const ssize_t got = readlink(path.c_str(), buffer.data(), buffer.size());
  return got < 0 ? std::string() : std::string(buffer.data(), static_cast<std::size_t>(got));
}

bool is_root(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/status";
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::array<char, 4096> buffer{};
  const ssize_t got = fd < 0 ? -1 : read(fd, buffer.data(), buffer.size() - 1);
  if (fd >= 0) {
    close(fd);
  }
  const std::string text(buffer.data(), got < 0 ? 0 : static_cast<std::size_t>(got));
  const auto line = text.find("\nUid:\t");  // real, effective, saved, file system
  const auto effective = line == std::string::npos ? line : text.find('\t', line + 6);
  return effective != std::string::npos && std::atoi(text.c_str() + effective + 1) == 0;
}

}  // namespace supervisor
