// SPDX-License-Identifier: MIT
// Files, directories, attributes, locks and time of the real machine.
#include "common/host/real_host.hpp"

#include "common/host/fd.hpp"
#include "common/host/trust.hpp"
#include "common/base/strings.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>

#include <algorithm>
#include <climits>
#include <cstdlib>

namespace pvegpu {
namespace {

constexpr std::uint64_t largest_file = std::uint64_t{64} << 20, largest_hashed = std::uint64_t{4} << 30;
constexpr ssize_t sysfs_page = 4096;

/// The kernel hands an attribute of a device over in whole pages, so that less than one is its end: one read less for each of the
/// thousands that a large host has. Other file systems below /sys may stop anywhere.
bool is_attribute(const std::string& path) {
  return path.starts_with("/sys/bus/") || path.starts_with("/sys/class/") || path.starts_with("/sys/devices/") ||
         path.starts_with("/sys/module/");
}

Error failed(std::string_view verb, const std::string& path) {
  const int code = errno;
  return Error::from_errno(fmt::format("{} {}", verb, path), code);
}

const char* kind_of(mode_t mode) {
  return S_ISFIFO(mode)   ? "a FIFO"
         : S_ISSOCK(mode) ? "a socket"
         : S_ISLNK(mode)  ? "a symbolic link"
         : S_ISDIR(mode)  ? "a directory"
                          : "a device";
}

Error not_regular(std::string_view verb, const std::string& path, mode_t mode) {
  return {fmt::format("{} {}: it is {}, not a regular file; move it away", verb, path, kind_of(mode)), S_ISDIR(mode) ? EISDIR : 0};
}

Error too_large(const std::string& path, std::uint64_t most) {
  return {fmt::format("read {}: it is larger than {} MiB; move it away", path, most >> 20), EFBIG};
}

/// Opens a regular file, what /proc and /sys have included, for reading to its end. Nothing else: a FIFO would keep the run and its
/// lock waiting for ever, a device may have no end. Looked at before it is opened, since opening a device can do something, and
/// after, since another may be there by then.
Result<Fd> open_regular(const std::string& at, const std::string& path, std::uint64_t most) {
  struct stat st {};
  const bool attribute = is_attribute(path);
  if (!attribute && ::stat(at.c_str(), &st) == 0 && !S_ISREG(st.st_mode)) return not_regular("read", path, st.st_mode);
  Fd fd(::open(at.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!fd) return failed("read", path);
  if (attribute) return fd;
  if (::fstat(fd.get(), &st) != 0) return failed("read", path);
  if (!S_ISREG(st.st_mode)) return not_regular("read", path, st.st_mode);
  if (static_cast<std::uint64_t>(st.st_size) > most) return too_large(path, most);
  return fd;
}

/// Hands what is left of a file to `take`, which returns whether it could.
template <class Take>
Result<> read_all(const Fd& fd, const std::string& path, std::uint64_t most, Take take) {
  std::string buffer(std::size_t{1} << 20, '\0');
  std::uint64_t all = 0;
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", path);
    if (n == 0) return {};
    if ((all += static_cast<std::uint64_t>(n)) > most) return too_large(path, most);
    PVEGPU_TRY(take(std::string_view(buffer.data(), static_cast<std::size_t>(n))));
  }
}

std::string parent_of(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == path.npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

/// /etc/pve is a FUSE file system that takes no chmod, no chown, and syncs by itself (PVE-FACTS: pmxcfs).
bool on_pmxcfs(const std::string& path) { return path.starts_with("/etc/pve/"); }

/// Removes a temporary file unless it was moved away.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::string path) : path_(std::move(path)) {}
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!path_.empty()) ::unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }
  void moved() { path_.clear(); }

 private:
  std::string path_;
};

Result<> sync_directory(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::fsync(fd.get()) != 0) return failed("sync directory", path);
  return {};
}

class FileLock final : public HostLock {
 public:
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}

 private:
  Fd fd_;  // closing releases the lock
};

}  // namespace

Result<std::string> HostView::read_attr(const std::string& path) const { return text::trim_right(PVEGPU_TRY(read_file(path))); }

Query Query::unit_state(const std::string& unit) {
  return Query({"systemctl", "show", "--property=LoadState,ActiveState,SubState,UnitFileState", "--", unit});
}

Query Query::grub_cmdline(const std::vector<GrubFile>& files) {
  // As grub-mkconfig of GRUB 2.04 to 2.12 sources them; what they print themselves is not asked for.
  std::vector<std::string> argv = {"sh", "-ec",
                                   "while [ $# -gt 1 ]; do case $1 in as-it-is) if [ -e \"$2\" ]; then "
                                   "[ -f \"$2\" ] || { echo \"$2 is not a regular file\" >&2; exit 1; }; . \"$2\" >/dev/null; fi;; "
                                   "*) eval \"$2\" >/dev/null;; esac; shift 2; "
                                   "printf '%s\\0%s\\0' \"$GRUB_CMDLINE_LINUX\" \"$GRUB_CMDLINE_LINUX_DEFAULT\"; done",
                                   "sh"};
  for (const GrubFile& file : files) {
    argv.emplace_back(file.content ? "would-be" : "as-it-is");
    argv.push_back(file.content.value_or(file.path));
  }
  return Query(std::move(argv));
}

Query Query::apt_policy() { return Query({"apt-cache", "policy", "-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="}); }

namespace {

std::vector<std::string> apt_would(const std::vector<std::string>& words, const std::vector<std::string>& packages) {
  // Pattern-Only: else APT takes a name that no package has for a regular expression (apt-pkg/cacheset.cc, from 2.0 on).
  std::vector<std::string> argv = {"apt-get",
                                   "--simulate",
                                   "--quiet",
                                   "-o",
                                   "Debug::NoLocking=1",
                                   "-o",
                                   "APT::Cmd::Pattern-Only=true",
                                   "-o",
                                   "Dir::Cache::pkgcache=",
                                   "-o",
                                   "Dir::Cache::srcpkgcache="};
  for (const auto& more : {words, packages}) argv.insert(argv.end(), more.begin(), more.end());
  return argv;
}

}  // namespace

Query Query::apt_would_install(const std::string& package) { return Query(apt_would({"--no-remove", "install"}, {package})); }

Query Query::apt_would_purge(const std::vector<std::string>& packages) { return Query(apt_would({"purge"}, packages)); }

Query Query::quorum_status() { return Query({"corosync-quorumtool", "-s"}); }

Query Query::ceph_status() { return Query({"ceph", "--connect-timeout", "10", "status", "--format", "json"}); }

Query Query::ceph_ok_to_stop(const std::vector<std::int64_t>& osds) {
  std::vector<std::string> argv = {"ceph", "--connect-timeout", "10", "osd", "ok-to-stop"};
  for (const std::int64_t osd : osds) argv.push_back(std::to_string(osd));
  return Query(std::move(argv));
}

Query Query::mok_state(const std::string& key) { return Query({"mokutil", "--test-key", key}); }

Query Query::unit_log(const std::string& unit) {
  return Query({"journalctl", "--boot", "--no-pager", "--output=cat", "--lines=200", "--unit", unit});
}

Query Query::kernel_log() {
  // A busy network fills the log with its own. In lower case journalctl takes either case. Without --lines, which turns the order round.
  return Query(
      {"journalctl", "--dmesg", "--boot", "--no-pager", "--output=cat",
       "--grep=nvrm|nvidia|vfio|request device|io_page_fault|ineligible for iommu|i915|xe 0000:|sr-iov|vfs|can't reserve|unsigned module|"
       "unknown symbol|disagrees about version|power state|giving up|interrupt remapping"});
}

Query Query::nvidia_gpu(const std::string& address) { return Query({"nvidia-smi", "-q", "-i", address}); }

Query Query::pool_features(const std::string& pool) { return Query({"zpool", "get", "-H", "all", pool}); }

Result<std::string> RealHost::read_file(const std::string& path) const {
  const Fd fd = PVEGPU_TRY(open_regular(at(path), path, largest_file));
  std::string out;
  char buffer[16384];
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", path);
    if (n == 0) return out;
    if (out.size() + static_cast<std::size_t>(n) > largest_file) return too_large(path, largest_file);
    out.append(buffer, static_cast<std::size_t>(n));
    if (n < sysfs_page && is_attribute(path)) return out;
  }
}

Result<std::string> RealHost::read_link(const std::string& path) const {
  char buffer[PATH_MAX];
  const ssize_t n = ::readlink(at(path).c_str(), buffer, sizeof buffer);
  if (n < 0) return failed("read link", path);
  return std::string(buffer, static_cast<std::size_t>(n));
}

Result<std::string> RealHost::sha256_of(const std::string& path) const {
  const Fd fd = PVEGPU_TRY(open_regular(at(path), path, largest_hashed));
  text::Sha256 hash;
  PVEGPU_TRY(read_all(fd, path, largest_hashed, [&](std::string_view part) -> Result<> {
    hash.add(part);
    return {};
  }));
  return hash.hex();
}

Result<std::vector<std::string>> RealHost::list_dir(const std::string& path) const {
  DIR* dir = ::opendir(at(path).c_str());
  if (!dir) return failed("list", path);
  std::vector<std::string> out;
  errno = 0;
  while (const dirent* entry = ::readdir(dir)) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") out.emplace_back(name);
    errno = 0;
  }
  const int code = errno;
  ::closedir(dir);
  if (code != 0) return Error::from_errno("list " + path, code);
  std::sort(out.begin(), out.end());
  return out;
}

Result<FileInfo> RealHost::stat(const std::string& path, Links links) const {
  struct stat st {};
  if (::fstatat(AT_FDCWD, at(path).c_str(), &st, links == Links::keep ? AT_SYMLINK_NOFOLLOW : 0) != 0) return failed("stat", path);
  const FileType type = S_ISREG(st.st_mode)   ? FileType::regular
                        : S_ISDIR(st.st_mode) ? FileType::directory
                        : S_ISLNK(st.st_mode) ? FileType::symlink
                                              : FileType::other;
  return FileInfo{type, st.st_mode & 07777u, st.st_uid, st.st_gid, static_cast<std::uint64_t>(st.st_size)};
}

Result<std::uint64_t> RealHost::free_space(const std::string& path) const {
  struct statvfs fs {};
  if (::statvfs(at(path).c_str(), &fs) != 0) return failed("ask for free space at", path);
  return std::uint64_t{fs.f_bavail} * fs.f_frsize;
}

uid_t RealHost::effective_uid() const { return ::geteuid(); }

std::chrono::system_clock::time_point RealHost::now() const { return std::chrono::system_clock::now(); }

std::string RealHost::kernel_release() const { return read_attr("/proc/sys/kernel/osrelease").value_or(""); }

Result<CommandResult> RealHost::query(const Query& query) const { return run_program({query.argv(), std::chrono::seconds(30)}); }

Result<CommandResult> RealHost::run(const Command& command) { return run_program(command); }

Result<> RealHost::write_file(const std::string& path, const std::string& content, const FileMeta& meta) {
  // A symbolic link stays a link: what it points to is replaced.
  std::string target = at(path);
  if (char* real = ::realpath(target.c_str(), nullptr)) {
    target = real;
    std::free(real);
  }
  FileMeta wish = meta;
  if (auto now = stat(path); now && !on_pmxcfs(path)) {
    if (!wish.mode) wish.mode = now->mode;
    if (!wish.uid) wish.uid = now->uid;
    if (!wish.gid) wish.gid = now->gid;
  }
  TemporaryFile temporary(target + temporary_suffix);
  ::unlink(temporary.path().c_str());  // of a killed run
  const Fd fd(::open(temporary.path().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return failed("write", path);
  if (!write_all(fd.get(), content)) return failed("write", path);
  if (!on_pmxcfs(path)) {
    if (wish.uid || wish.gid) {
      const uid_t uid = wish.uid.value_or(static_cast<uid_t>(-1));
      const gid_t gid = wish.gid.value_or(static_cast<gid_t>(-1));
      if (::fchown(fd.get(), uid, gid) != 0) return failed("set the owner of", path);
    }
    if (::fchmod(fd.get(), wish.mode.value_or(0644)) != 0) return failed("set the mode of", path);
  }
  if (::fsync(fd.get()) != 0) return failed("sync", path);
  if (::rename(temporary.path().c_str(), target.c_str()) != 0) return failed("replace", path);
  temporary.moved();
  if (on_pmxcfs(path)) return {};
  return sync_directory(parent_of(target));
}

Result<> RealHost::remove_file(const std::string& path) {
  if (::unlink(at(path).c_str()) != 0) return failed("remove", path);
  if (on_pmxcfs(path)) return {};
  return sync_directory(parent_of(at(path)));
}

Result<> RealHost::make_symlink(const std::string& path, const std::string& target) {
  if (::symlink(target.c_str(), at(path).c_str()) != 0) return failed("make link", path);
  return sync_directory(parent_of(at(path)));
}

Result<> RealHost::make_dir(const std::string& path, unsigned mode) {
  const mode_t umask = ::umask(0);  // not a chmod afterwards: killed before it, the directory would keep a mode that nobody mends
  const int made = ::mkdir(at(path).c_str(), mode), code = errno;
  ::umask(umask);
  if (made != 0) return Error::from_errno("make directory " + path, code);
  return {};
}

Result<> RealHost::remove_dir(const std::string& path) {
  if (::rmdir(at(path).c_str()) != 0) return failed("remove directory", path);
  return {};
}

Result<> RealHost::touch(const std::string& path, std::chrono::system_clock::time_point time) {
  const timespec when{std::chrono::system_clock::to_time_t(time), 0};
  const timespec times[] = {when, when};
  if (::utimensat(AT_FDCWD, at(path).c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return failed("set the time of", path);
  return {};
}

Result<> RealHost::write_attr(const std::string& path, const std::string& value) {
  const Fd fd(::open(at(path).c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY));
  if (!fd) return failed("open", path);
  const ssize_t n = ::write(fd.get(), value.data(), value.size());
  if (n < 0) return failed(fmt::format("write '{}' to", value), path);
  if (static_cast<std::size_t>(n) != value.size()) return Error{fmt::format("write '{}' to {}: only {} bytes were taken", value, path, n)};
  return {};
}

Result<std::string> RealHost::adopt_file(const std::string& source, const std::string& directory,
                                         const std::optional<std::string>& sha256) {
  const Fd in = PVEGPU_TRY(open_regular(at(source), source, largest_hashed));
  if (!exists(directory)) PVEGPU_TRY(make_dir(directory, 0700));
  PVEGPU_TRY(trusted(*this, directory));
  TemporaryFile temporary(fmt::format("{}/adopted{}", at(directory), temporary_suffix));
  ::unlink(temporary.path().c_str());  // of a killed run
  const Fd out(::open(temporary.path().c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0500));
  if (!out) return failed("copy into", directory);
  text::Sha256 hash;
  PVEGPU_TRY(read_all(in, source, largest_hashed, [&](std::string_view part) -> Result<> {
    hash.add(part);
    if (!write_all(out.get(), part)) return failed("copy into", directory);
    return {};
  }));
  const std::string sum = hash.hex();
  if (sha256 && text::lower(*sha256) != sum)
    return Error{fmt::format("{} has the SHA-256 {}, not {}; get the file again, or correct the checksum", source, sum, *sha256)};
  if (::fsync(out.get()) != 0) return failed("sync", directory);
  const std::string path = fmt::format("{}/{}", directory, sum);
  if (::rename(temporary.path().c_str(), at(path).c_str()) != 0) return failed("copy into", directory);
  temporary.moved();
  if (auto synced = sync_directory(at(directory)); !synced) return synced.error();
  return path;
}

Result<std::unique_ptr<HostLock>> RealHost::lock(const std::string& path, std::chrono::seconds patience) {
  struct stat st {};
  if (::lstat(at(path).c_str(), &st) == 0 && !S_ISREG(st.st_mode)) return not_regular("lock", path, st.st_mode);
  Fd fd(::open(at(path).c_str(), O_RDWR | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600));
  if (!fd) return failed("open lock", path);
  const auto deadline = now() + patience;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return failed("lock", path);
    if (now() >= deadline) return Error::from_errno("lock " + path, EWOULDBLOCK);
    pause(std::chrono::milliseconds(100));
  }
  return std::unique_ptr<HostLock>(std::make_unique<FileLock>(std::move(fd)));
}

void RealHost::pause(std::chrono::milliseconds time) {
  timespec left{static_cast<time_t>(time.count() / 1000), static_cast<long>(time.count() % 1000 * 1000000)};
  while (::nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

}  // namespace pvegpu
