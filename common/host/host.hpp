// SPDX-License-Identifier: MIT
// The seam between decisions and the world. HostView asks, Host also acts. Planners get a HostView only, so "a check mode run
// wrote to the disk" does not compile. Every path of the host, /sys and /proc included, goes through here.
#pragma once

#include "common/base/result.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pvegpu {

enum class FileType { regular, directory, symlink, other };
enum class Links { follow, keep };

struct FileInfo {
  FileType type = FileType::regular;
  unsigned mode = 0;  ///< permission bits only (07777)
  uid_t uid = 0;
  gid_t gid = 0;
  std::uint64_t size = 0;
};

/// What a written file looks like from outside. Unset: as the file that is there, else 0644 and root.
struct FileMeta {
  std::optional<unsigned> mode = {};
  std::optional<uid_t> uid = {};
  std::optional<gid_t> gid = {};
};

/// A PCI function as libpci lists it. The address is always written dddd:bb:dd.f in lower case, as in sysfs.
struct PciDevice {
  std::string address;
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint16_t device_class = 0;  ///< base class and subclass: 0x0300 VGA, 0x0302 3D, 0x0380 display, 0x1200 accelerator
};

/// A kernel module as libkmod finds it in one release's module directory, and as /sys/module shows it now.
struct KernelModule {
  bool available = false;  ///< a file of that release, or built in
  bool built_in = false;
  std::string file;                     ///< path of the .ko, empty when built in or absent
  std::string version;                  ///< its `version` field, empty when it has none
  std::string license;                  ///< its `license` field, empty when it has none
  std::vector<std::string> parameters;  ///< names of its parameters, sorted
  bool loaded = false;                  ///< initstate is "live", or it is built in
};

/// The read-only programs that a planner may ask: a closed set. There is no way to make one from free text.
class Query {
 public:
  /// `systemctl show NAME`: load, active, sub and unit-file state of a unit.
  static Query unit_state(const std::string& unit);
  /// A file of GRUB's defaults, as it is or as it would be.
  struct GrubFile {
    std::string path;
    std::optional<std::string> content = {};  ///< unset: as it is
  };
  /// GRUB_CMDLINE_LINUX and GRUB_CMDLINE_LINUX_DEFAULT as they are after each of these files, sourced in this order as grub-mkconfig
  /// sources them: its defaults are shell. Each value ends with a NUL, for it may have line breaks.
  static Query grub_cmdline(const std::vector<GrubFile>& files);
  /// `apt-cache policy`: the lists of packages that APT has. Its caches stay in memory, so that nothing is written.
  static Query apt_policy();
  /// `apt-get --simulate install` of the package with this very name, and of `purge`: what they would do. They lock and write nothing.
  static Query apt_would_install(const std::string& package);
  static Query apt_would_purge(const std::vector<std::string>& packages);
  /// `corosync-quorumtool -s`: votes and members as corosync counts them now. Exit code 2: there is no quorum.
  static Query quorum_status();
  /// `ceph status` as JSON.
  static Query ceph_status();
  /// `ceph osd ok-to-stop`: exit code 0 when all data stays available without these OSDs.
  static Query ceph_ok_to_stop(const std::vector<std::int64_t>& osds);
  /// `mokutil --test-key`: whether the firmware trusts a key. What it prints decides: the exit codes are 0 for "is not enrolled".
  static Query mok_state(const std::string& key);
  /// The last 200 lines that a unit wrote since the host booted.
  static Query unit_log(const std::string& unit);
  /// What the kernel has said since the host booted of drivers of GPUs, VFs, vfio and the IOMMU (facts/kernel_log).
  static Query kernel_log();
  /// `nvidia-smi -q` of one card: modes that no file shows.
  static Query nvidia_gpu(const std::string& address);
  /// `zpool get all POOL`: its features are lines feature@NAME.
  static Query pool_features(const std::string& pool);

  const std::vector<std::string>& argv() const { return argv_; }

 private:
  explicit Query(std::vector<std::string> argv) : argv_(std::move(argv)) {}
  std::vector<std::string> argv_;
};

struct Command {
  std::vector<std::string> argv;  ///< never a shell
  std::chrono::seconds timeout{120};
};

/// How a program ended. Both streams are kept apart and capped at 256 KiB each (the end is kept, it says why).
struct CommandResult {
  int exit_code = 0;  ///< 128 + signal when killed
  bool timed_out = false;
  std::string out, err;
};

class HostView {
 public:
  virtual ~HostView() = default;

  /// The whole of a regular file, at most 64 MiB (larger: EFBIG). Works for /proc and /sys, whose files have no size. It waits for
  /// nobody: a FIFO, a socket or a device is an error.
  virtual Result<std::string> read_file(const std::string& path) const = 0;
  virtual Result<std::string> read_link(const std::string& path) const = 0;
  /// SHA-256 of a regular file of at most 4 GiB, as 64 hex digits.
  virtual Result<std::string> sha256_of(const std::string& path) const = 0;
  /// Names in a directory, sorted, without "." and "..".
  virtual Result<std::vector<std::string>> list_dir(const std::string& path) const = 0;
  virtual Result<FileInfo> stat(const std::string& path, Links links = Links::follow) const = 0;
  /// Bytes that an unprivileged writer could still write on the file system that holds `path`.
  virtual Result<std::uint64_t> free_space(const std::string& path) const = 0;
  virtual uid_t effective_uid() const = 0;
  virtual std::chrono::system_clock::time_point now() const = 0;
  virtual std::string kernel_release() const = 0;

  virtual Result<CommandResult> query(const Query& query) const = 0;
  /// All PCI functions, by address. Error when /sys/bus/pci is missing.
  virtual Result<std::vector<PciDevice>> pci_devices() const = 0;
  /// Name of a device from pci.ids (costs some 7 ms at the first call): empty when unknown.
  virtual std::string pci_name(std::uint16_t vendor, std::uint16_t device) const = 0;
  /// Error when that release has no module directory, and for names that are not module names.
  virtual Result<KernelModule> kernel_module(const std::string& name, const std::string& release) const = 0;

  bool exists(const std::string& path) const { return static_cast<bool>(stat(path)); }
  /// A one-value file (sysfs attribute, /proc entry) without the white space at its end.
  Result<std::string> read_attr(const std::string& path) const;
};

/// A file is written under its name with this at the end, then renamed. A run that is killed leaves it; the next write to the
/// same path removes it, which a name of its own for each process could not.
inline constexpr const char* temporary_suffix = ".pve-gpu-new";

/// Held until destroyed.
class HostLock {
 public:
  virtual ~HostLock() = default;
};

class Host : public HostView {
 public:
  /// Atomic and durable: temporary file in the same directory, fsync, rename, fsync of the directory. Missing parent
  /// directories are an error. The temporary name is fixed (PATH.pve-gpu-new): what a killed run left goes with the next write.
  /// On pmxcfs (/etc/pve) without chmod, chown and fsync of the directory, which it refuses.
  virtual Result<> write_file(const std::string& path, const std::string& content, const FileMeta& meta = {}) = 0;
  virtual Result<> remove_file(const std::string& path) = 0;  ///< a file or a symbolic link; absent is an error
  virtual Result<> make_symlink(const std::string& path, const std::string& target) = 0;
  virtual Result<> make_dir(const std::string& path, unsigned mode) = 0;
  virtual Result<> remove_dir(const std::string& path) = 0;  ///< an empty one; ENOTEMPTY, ENOENT else
  /// Access and modification time, in seconds. On pmxcfs the time 0 of a directory below priv/lock asks for it to be unlocked.
  virtual Result<> touch(const std::string& path, std::chrono::system_clock::time_point time) = 0;
  /// One write(2) of the value as it is: sysfs attributes take a value whole or answer with an errno.
  virtual Result<> write_attr(const std::string& path, const std::string& value) = 0;
  virtual Result<CommandResult> run(const Command& command) = 0;
  virtual Result<> load_module(const std::string& name, const std::string& options = {}) = 0;
  virtual Result<> unload_module(const std::string& name) = 0;
  /// Copies a user's file into `directory` (made 0700 and root's when absent) under its own SHA-256 while hashing it; the
  /// path of the copy. The copy is what may be run: the original can change between the check and the use.
  /// With `sha256` given (64 hex digits) a different content is an error and nothing is kept. The source is as in sha256_of(), the
  /// directory must be ours alone (trust.hpp).
  virtual Result<std::string> adopt_file(const std::string& source, const std::string& directory,
                                         const std::optional<std::string>& sha256) = 0;
  /// Exclusive between processes of this host. Waits up to `patience`, then EWOULDBLOCK.
  virtual Result<std::unique_ptr<HostLock>> lock(const std::string& path, std::chrono::seconds patience) = 0;
  /// Lets time pass: for what the kernel does late.
  virtual void pause(std::chrono::milliseconds time) = 0;
};

}  // namespace pvegpu
