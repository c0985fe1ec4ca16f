// SPDX-License-Identifier: MIT
// pmxcfs: mounts a node's view of a directory that all nodes of a cluster share, with the rules of Proxmox VE's cluster file system
// (PVE-FACTS 1.8; pve-cluster's pmxcfs.c, cfs-plug-link.c, cfs-plug-func.c, status.c): no quorum, no writes; modes and owners are fixed;
// no hard links, symbolic links, extended attributes; files of at most 1 MiB; directories below priv/lock are locks.
#define FUSE_USE_VERSION 31
#include <fuse.h>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

namespace pmxcfs {
namespace {

using nlohmann::json;

constexpr off_t largest_file = off_t{1} << 20U;
constexpr time_t lock_lives = 120;

struct View {
  int tree = -1;    // the shared directory
  int status = -1;  // the directory with a file for each node: what it knows of the others
  std::string node;
};

View view;

std::string read_at(int directory, const std::string& path) {
  const int fd = openat(directory, path.c_str(), O_RDONLY | O_CLOEXEC);
  std::string out;
  char buffer[8192];
  for (ssize_t got = 0; fd >= 0 && (got = read(fd, buffer, sizeof(buffer))) > 0;) {
    out.append(buffer, static_cast<std::size_t>(got));
  }
  if (fd >= 0) {
    close(fd);
  }
  return out;
}

// {"quorate": true, "members": text, "version": N}: written by the keeper whenever a node comes or goes.
json status() {
  const json found = json::parse(read_at(view.status, view.node + ".json"), nullptr, false);
  return found.is_object() ? found : json::object();
}

bool quorate() { return status().value("quorate", false); }

// A file `full` there: no space is left.
bool full() { return faccessat(view.status, "full", F_OK, 0) == 0; }

const char* relative(const char* path) { return path[1] == '\0' ? "." : path + 1; }

bool is_private(const std::string& path) { return path == "/priv" || path.rfind("/priv/", 0) == 0; }

bool is_lock(const std::string& path) { return path.rfind("/priv/lock/", 0) == 0; }

// The links of the root directory lead to this node's part.
const std::map<std::string, std::string>& links() {
  static const std::map<std::string, std::string> all{{"/local", "nodes/" + view.node},
                                                      {"/qemu-server", "nodes/" + view.node + "/qemu-server"},
                                                      {"/lxc", "nodes/" + view.node + "/lxc"},
                                                      {"/openvz", "nodes/" + view.node + "/openvz"}};
  return all;
}

std::string guests() {
  json ids = json::object();
  const int nodes = openat(view.tree, "nodes", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* list = nodes < 0 ? nullptr : fdopendir(nodes);
  while (const dirent* node = list == nullptr ? nullptr : readdir(list)) {
    for (const auto& [kind, type] : {std::pair("qemu-server", "qemu"), std::pair("lxc", "lxc")}) {
      const std::string name = node->d_name;
      const int fd = name[0] == '.' ? -1 : openat(view.tree, ("nodes/" + name + "/" + kind).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      DIR* entries = fd < 0 ? nullptr : fdopendir(fd);
      while (const dirent* entry = entries == nullptr ? nullptr : readdir(entries)) {
        char* end = nullptr;
        const auto vmid = std::strtoul(entry->d_name, &end, 10);
        if (vmid > 0 && std::strcmp(end, ".conf") == 0) {
          ids[std::to_string(vmid)] = {{"node", name}, {"type", type}, {"version", vmid}};
        }
      }
      if (entries != nullptr) {
        closedir(entries);
      }
    }
  }
  if (list != nullptr) {
    closedir(list);
  }
  return json{{"version", 1}, {"ids", ids}}.dump(1) + '\n';
}

// The files that are no files; false when it is none of them.
bool generated(const std::string& path, std::string& text) {
  if (path == "/.members") {
    text = status().value("members", "");
  } else if (path == "/.version") {
    text = json{{"starttime", 1}, {"clinfo", status().value("version", 1)}, {"vmlist", 1}}.dump() + '\n';
  } else if (path == "/.vmlist") {
    text = guests();
  } else if (path == "/.clusterlog") {
    text = "{\n\"data\": [\n]\n}\n";
  } else if (path == "/.rrd") {
    text.clear();
  } else {
    return false;
  }
  return true;
}

bool is_generated(const std::string& path) {
  std::string ignored;
  return generated(path, ignored);
}

int result(int returned) { return returned < 0 ? -errno : 0; }

// What a write needs.
int writable(const char* path) {
  if (links().count(path) != 0 || is_generated(path)) {
    return -EACCES;
  }
  return quorate() ? 0 : -EACCES;
}

// --- Operations --------------------------------------------------------------------------------------------------------------

int get_attributes(const char* path, struct stat* out, fuse_file_info* /*info*/) {
  std::memset(out, 0, sizeof(*out));
  std::string text;
  if (links().count(path) != 0) {
    out->st_mode = S_IFLNK | 0777U;
    out->st_nlink = 1;
    out->st_size = static_cast<off_t>(links().at(path).size());
  } else if (generated(path, text)) {
    out->st_mode = S_IFREG | 0440U;
    out->st_nlink = 1;
    out->st_size = static_cast<off_t>(text.size());
  } else {
    if (fstatat(view.tree, relative(path), out, AT_SYMLINK_NOFOLLOW) != 0) {
      return -errno;
    }
    const unsigned mode = S_ISDIR(out->st_mode) ? (is_private(path) ? 0700U : 0755U) : (is_private(path) ? 0600U : 0640U);
    out->st_mode = (out->st_mode & S_IFMT) | mode;
  }
  out->st_uid = 0;
  out->st_gid = 33;  // www-data
  if (!quorate()) {
    out->st_mode &= ~0222U;
  }
  return 0;
}

int read_link(const char* path, char* buffer, std::size_t size) {
  const auto found = links().find(path);
  if (found == links().end()) {
    return -EINVAL;
  }
  std::snprintf(buffer, size, "%s", found->second.c_str());
  return 0;
}

int read_directory(const char* path, void* buffer, fuse_fill_dir_t fill, off_t /*offset*/, fuse_file_info* /*info*/,
                   fuse_readdir_flags /*flags*/) {
  const int fd = openat(view.tree, relative(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* list = fd < 0 ? nullptr : fdopendir(fd);
  if (list == nullptr) {
    return -errno;
  }
  while (const dirent* entry = readdir(list)) {
    fill(buffer, entry->d_name, nullptr, 0, fuse_fill_dir_flags{});
  }
  closedir(list);
  if (std::strcmp(path, "/") == 0) {
    for (const auto& link : links()) {
      fill(buffer, link.first.c_str() + 1, nullptr, 0, fuse_fill_dir_flags{});
    }
    for (const char* name : {".members", ".version", ".vmlist", ".clusterlog", ".rrd"}) {
      fill(buffer, name, nullptr, 0, fuse_fill_dir_flags{});
    }
  }
  return 0;
}

int open_file(const char* path, fuse_file_info* info) {
  if ((info->flags & O_ACCMODE) != O_RDONLY) {
    if (const int error = writable(path)) {
      return error;
    }
  } else if (is_generated(path)) {
    info->fh = 0;
    return 0;
  }
  const int fd = openat(view.tree, relative(path), (info->flags & (O_ACCMODE | O_TRUNC)) | O_CLOEXEC);
  if (fd < 0) {
    return -errno;
  }
  info->fh = static_cast<std::uint64_t>(fd) + 1;
  return 0;
}

int create_file(const char* path, mode_t /*mode*/, fuse_file_info* info) {
  if (const int error = writable(path)) {
    return error;
  }
  const int fd = openat(view.tree, relative(path), (info->flags & (O_ACCMODE | O_EXCL)) | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) {
    return -errno;
  }
  info->fh = static_cast<std::uint64_t>(fd) + 1;
  return 0;
}

int read_file(const char* path, char* buffer, std::size_t size, off_t offset, fuse_file_info* info) {
  if (info->fh == 0) {
    std::string text;
    generated(path, text);
    const auto at = std::min(static_cast<std::size_t>(offset), text.size());
    const auto count = std::min(size, text.size() - at);
    std::memcpy(buffer, text.data() + at, count);
    return static_cast<int>(count);
  }
  const ssize_t got = pread(static_cast<int>(info->fh - 1), buffer, size, offset);
  return got < 0 ? -errno : static_cast<int>(got);
}

int write_file(const char* /*path*/, const char* data, std::size_t size, off_t offset, fuse_file_info* info) {
  if (!quorate()) {
    return -EACCES;
  }
  if (offset + static_cast<off_t>(size) > largest_file) {
    return -EFBIG;
  }
  if (full()) {
    return -ENOSPC;
  }
  const ssize_t put = pwrite(static_cast<int>(info->fh - 1), data, size, offset);
  return put < 0 ? -errno : static_cast<int>(put);
}

int release_file(const char* /*path*/, fuse_file_info* info) {
  if (info->fh != 0) {
    close(static_cast<int>(info->fh - 1));
  }
  return 0;
}

int truncate_file(const char* path, off_t size, fuse_file_info* /*info*/) {
  if (const int error = writable(path)) {
    return error;
  }
  if (size > largest_file) {
    return -EFBIG;
  }
  const int fd = openat(view.tree, relative(path), O_WRONLY | O_CLOEXEC);
  const int done = fd < 0 ? -errno : result(ftruncate(fd, size));
  if (fd >= 0) {
    close(fd);
  }
  return done;
}

int change_mode(const char* path, mode_t mode, fuse_file_info* /*info*/) {
  struct stat now {};
  if (const int error = get_attributes(path, &now, nullptr)) {
    return error;
  }
  // cfs_fuse_chmod: only what it is already
  const unsigned fixed = S_ISDIR(now.st_mode) ? (is_private(path) ? 0700U : 0755U) : (is_private(path) ? 0600U : 0640U);
  return (mode & 07777U) == fixed ? 0 : -EPERM;
}

int change_owner(const char* /*path*/, uid_t uid, gid_t gid, fuse_file_info* /*info*/) {
  return (uid == 0 || uid == static_cast<uid_t>(-1)) && (gid == 33 || gid == static_cast<gid_t>(-1)) ? 0 : -EPERM;
}

int make_directory(const char* path, mode_t /*mode*/) {
  const int error = writable(path);
  return error != 0 ? error : result(mkdirat(view.tree, relative(path), 0755));
}

int remove_directory(const char* path) {
  const int error = writable(path);
  return error != 0 ? error : result(unlinkat(view.tree, relative(path), AT_REMOVEDIR));
}

int remove_file(const char* path) {
  const int error = writable(path);
  return error != 0 ? error : result(unlinkat(view.tree, relative(path), 0));
}

int rename_file(const char* from, const char* to, unsigned flags) {
  if (flags != 0) {
    return -EINVAL;
  }
  int error = writable(from);
  error = error != 0 ? error : writable(to);
  return error != 0 ? error : result(renameat(view.tree, relative(from), view.tree, relative(to)));
}

int make_link(const char* /*from*/, const char* /*to*/) { return -EPERM; }

// A lock is asked for by setting its time to 0, and given up by its holder's silence alone.
int set_times(const char* path, const timespec times[2], fuse_file_info* /*info*/) {
  if (const int error = writable(path)) {
    return error;
  }
  if (is_lock(path) && times[1].tv_nsec != UTIME_NOW && times[1].tv_sec == 0) {
    struct stat now {};
    if (fstatat(view.tree, relative(path), &now, AT_SYMLINK_NOFOLLOW) != 0) {
      return -errno;
    }
    return std::time(nullptr) - now.st_mtime > lock_lives ? result(unlinkat(view.tree, relative(path), AT_REMOVEDIR)) : -EACCES;
  }
  return result(utimensat(view.tree, relative(path), times, AT_SYMLINK_NOFOLLOW));
}

int file_system(const char* /*path*/, struct statvfs* out) {
  if (fstatvfs(view.tree, out) != 0) {
    return -errno;
  }
  if (full()) {
    out->f_bfree = out->f_bavail = 0;
  }
  return 0;
}

void* begin(fuse_conn_info* /*connection*/, fuse_config* config) {
  // other nodes change the files
  config->entry_timeout = config->attr_timeout = config->negative_timeout = 0;
  config->direct_io = 1;
  return nullptr;
}

fuse_operations operations() {
  fuse_operations ops{};
  ops.getattr = get_attributes;
  ops.readlink = read_link;
  ops.readdir = read_directory;
  ops.open = open_file;
  ops.create = create_file;
  ops.read = read_file;
  ops.write = write_file;
  ops.release = release_file;
  ops.truncate = truncate_file;
  ops.chmod = change_mode;
  ops.chown = change_owner;
  ops.mkdir = make_directory;
  ops.rmdir = remove_directory;
  ops.unlink = remove_file;
  ops.rename = rename_file;
  ops.link = make_link;
  ops.utimens = set_times;
  ops.statfs = file_system;
  ops.init = begin;
  return ops;
}

int serve(const char* mountpoint, int ready) {
  const char* words[] = {"pmxcfs", "-o", "allow_other,default_permissions,fsname=/dev/fuse,subtype=pve"};
  fuse_args arguments = FUSE_ARGS_INIT(3, const_cast<char**>(words));
  const fuse_operations ops = operations();
  fuse* session = fuse_new(&arguments, &ops, sizeof(ops), nullptr);
  if (session == nullptr || fuse_mount(session, mountpoint) != 0) {
    std::fprintf(stderr, "pmxcfs: cannot mount on %s\n", mountpoint);
    return 1;
  }
  if (write(ready, "ready\n", 6) != 6) {
    return 1;
  }
  close(ready);
  const int status = fuse_loop(session);
  fuse_unmount(session);
  fuse_destroy(session);
  fuse_opt_free_args(&arguments);
  return status == 0 ? 0 : 1;
}

}  // namespace
}  // namespace pmxcfs

int main(int count, char** words) {
  if (count != 6) {
    std::fputs("usage: pmxcfs TREE STATUS-DIRECTORY NODE READY-FD MOUNTPOINT\n", stderr);
    return 2;
  }
  pmxcfs::view = {open(words[1], O_PATH | O_DIRECTORY | O_CLOEXEC), open(words[2], O_PATH | O_DIRECTORY | O_CLOEXEC), words[3]};
  if (pmxcfs::view.tree < 0 || pmxcfs::view.status < 0) {
    std::fprintf(stderr, "pmxcfs: cannot open %s or %s: %s\n", words[1], words[2], std::strerror(errno));
    return 1;
  }
  return pmxcfs::serve(words[5], std::atoi(words[4]));
}
