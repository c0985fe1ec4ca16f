// SPDX-License-Identifier: MIT
// Preloaded into the executable in a root that only describes a machine (root.py): the running kernel's name, and what a real kernel does
// when modules are loaded or attributes are written, by the script /run/case/kernel. Nothing reaches the kernel of this machine.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>

namespace {

std::string attributes[64];  // by descriptor: the path of an attribute that is open for writing

template <class F>
F next(const char* name) {
  return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

/// Exit code of the script: an errno. A fork, where the executable starts its programs by vfork: the tests tell them apart by that.
int ask(const char* what, const std::string& first, const std::string& second = {}) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::unsetenv("LD_PRELOAD");
    ::execl("/bin/sh", "sh", "/run/case/kernel", what, first.c_str(), second.c_str(), nullptr);
    ::_exit(EIO);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

int answer(int code) {
  if (code == 0) return 0;
  errno = code;
  return -1;
}

int note(int fd, const char* path, int flags) {
  if (fd >= 0 && fd < 64) attributes[fd] = (flags & O_ACCMODE) == O_WRONLY && std::string(path).compare(0, 5, "/sys/") == 0 ? path : "";
  return fd;
}

}  // namespace

extern "C" {

int uname(struct utsname* out) {
  const int code = static_cast<int>(::syscall(SYS_uname, out));
  if (const char* release = std::getenv("FAKE_KERNEL")) ::strncpy(out->release, release, sizeof out->release - 1);
  return code;
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return note(next<int (*)(const char*, int, mode_t)>("open")(path, flags, mode), path, flags);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return note(next<int (*)(const char*, int, mode_t)>("open64")(path, flags, mode), path, flags);
}

ssize_t write(int fd, const void* bytes, size_t size) {
  const ssize_t written = next<ssize_t (*)(int, const void*, size_t)>("write")(fd, bytes, size);
  if (written < 0 || fd < 0 || fd >= 64 || attributes[fd].empty()) return written;
  return answer(ask("write", attributes[fd], std::string(static_cast<const char*>(bytes), size))) == 0 ? written : -1;
}

int init_module(void* image, unsigned long size, const char*) {
  const std::string bytes(static_cast<const char*>(image), size);
  const auto at = bytes.find(std::string("\0name=", 6));
  return answer(at == bytes.npos ? ENOEXEC : ask("load", bytes.c_str() + at + 6));
}

int finit_module(int, const char*, int) { return answer(ENOSYS); }

int delete_module(const char* name, unsigned) { return answer(ask("unload", name)); }

/// libkmod calls finit_module so.
long syscall(long number, ...) noexcept {
  va_list rest;
  va_start(rest, number);
  long words[6];
  for (long& word : words) word = va_arg(rest, long);
  va_end(rest);
  if (number == SYS_finit_module || number == SYS_init_module || number == SYS_delete_module) return answer(ENOSYS);
  return next<long (*)(long, ...)>("syscall")(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
}
