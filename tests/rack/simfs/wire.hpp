// SPDX-License-Identifier: MIT
// How the rack's tools are spoken to: a line of words separated by tabs, answered by a line "ok …", "errno NAME" or "error …".
#pragma once

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace wire {

inline constexpr std::array<std::pair<const char*, int>, 31> errors{{
    {"EPERM", EPERM},
    {"ENOENT", ENOENT},
    {"EINTR", EINTR},
    {"EIO", EIO},
    {"ENXIO", ENXIO},
    {"ENOEXEC", ENOEXEC},
    {"EBADF", EBADF},
    {"EAGAIN", EAGAIN},
    {"ENOMEM", ENOMEM},
    {"EACCES", EACCES},
    {"EFAULT", EFAULT},
    {"EBUSY", EBUSY},
    {"EEXIST", EEXIST},
    {"EXDEV", EXDEV},
    {"ENODEV", ENODEV},
    {"ENOTDIR", ENOTDIR},
    {"EISDIR", EISDIR},
    {"EINVAL", EINVAL},
    {"ENFILE", ENFILE},
    {"EMFILE", EMFILE},
    {"EFBIG", EFBIG},
    {"ENOSPC", ENOSPC},
    {"EROFS", EROFS},
    {"ERANGE", ERANGE},
    {"ENAMETOOLONG", ENAMETOOLONG},
    {"ENOSYS", ENOSYS},
    {"ENOTEMPTY", ENOTEMPTY},
    {"EUSERS", EUSERS},
    {"EOPNOTSUPP", EOPNOTSUPP},
    {"ETIMEDOUT", ETIMEDOUT},
    {"EKEYREJECTED", EKEYREJECTED},
}};

inline std::string error_name(int number) {
  for (const auto& [name, value] : errors) {
    if (value == number) {
      return name;
    }
  }
  return std::to_string(number);
}

// 0 for a name that is none of the list.
inline int error_number(std::string_view name) {
  for (const auto& [known, value] : errors) {
    if (name == known) {
      return value;
    }
  }
  return 0;
}

// Text as one word without tabs, newlines and bytes outside ASCII: \t, \n, \\, \xHH.
inline std::string escape(std::string_view text) {
  std::string out;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (letter == '\n' || letter == '\t' || letter == '\\') {
      out += letter == '\n' ? "\\n" : letter == '\t' ? "\\t" : "\\\\";
    } else if (byte < 0x20 || byte > 0x7e) {
      std::array<char, 5> hex{};
      std::snprintf(hex.data(), hex.size(), "\\x%02x", byte);
      out += hex.data();
    } else {
      out += letter;
    }
  }
  return out;
}

inline std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '\\' || at + 1 == text.size()) {
      out += text[at];
      continue;
    }
    const char kind = text[++at];
    if (kind == 'x' && at + 2 < text.size()) {
      out += static_cast<char>(std::strtoul(std::string(text.substr(at + 1, 2)).c_str(), nullptr, 16));
      at += 2;
    } else {
      out += kind == 'n' ? '\n' : kind == 't' ? '\t' : kind;
    }
  }
  return out;
}

inline std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> found;
  while (true) {
    const auto tab = line.find('\t');
    found.push_back(unescape(line.substr(0, tab)));
    if (tab == std::string_view::npos) {
      return found;
    }
    line.remove_prefix(tab + 1);
  }
}

// A listening socket at a path, which is replaced; -1 and errno when that fails.
inline int listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    return -1;
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  unlink(path.c_str());
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 || listen(fd, 64) != 0) {
    return -1;
  }
  return fd;
}

// What has come in from one client: whole lines are handed out, the rest waits.
class Client {
 public:
  explicit Client(int fd) : fd_(fd) {}
  [[nodiscard]] int fd() const { return fd_; }
  // False: the client is gone.
  bool receive(std::vector<std::string>& lines) {
    std::array<char, 4096> buffer{};
    const ssize_t got = read(fd_, buffer.data(), buffer.size());
    if (got <= 0) {
      return got < 0 && (errno == EAGAIN || errno == EINTR);
    }
    pending_.append(buffer.data(), static_cast<std::size_t>(got));
    for (auto end = pending_.find('\n'); end != std::string::npos; end = pending_.find('\n')) {
      lines.push_back(pending_.substr(0, end));
      pending_.erase(0, end + 1);
    }
    return true;
  }

 private:
  int fd_;
  std::string pending_;
};

}  // namespace wire
