// SPDX-License-Identifier: MIT
// A host in memory: the tree of a fixture below, what a run changed above it. Every effect is counted, logged and can be made to
// fail or to be the last thing that the process did, so that the laws can be tried at every single effect.
#pragma once

#include "common/base/json.hpp"
#include "common/host/host.hpp"

#include <functional>
#include <set>

namespace pvegpu {

struct Node {
  FileType type = FileType::directory;
  std::string bytes;  ///< of a file; the target of a symbolic link
  unsigned mode = 0755;
  uid_t uid = 0;
  gid_t gid = 0;

  bool operator==(const Node&) const = default;
};
/// By absolute path without symbolic links in it. "/" is not listed.
using Tree = std::map<std::string, Node>;

/// What differs from the tree below, nullopt: removed. Two hosts above the same tree are in the same state when these are equal.
using State = std::map<std::string, std::optional<Node>>;

/// A directory of this machine as a tree. Files of the user who runs the tests count as root's.
std::shared_ptr<const Tree> load_tree(const std::string& directory);
/// One line for each path in which two states differ; empty when they are the same.
std::string difference(const State& a, const State& b);

inline constexpr const char* boot_id_path = "/proc/sys/kernel/random/boot_id";

/// The process was killed: not a std::exception, so that no cleanup of the code under test can catch it.
struct Killed {};

enum class Fault {
  none,
  error,        ///< the effect does not take place and returns an error
  fails,        ///< the effect takes place and reports an error all the same: a program's exit code, fsync of a directory
  kill_before,  ///< the process dies and the effect did not take place
  kill_after,   ///< the process dies and the effect did take place
  kill_torn,    ///< the process dies while it writes: the temporary file stays; as `kill_before` for other effects
};
const char* name_of(Fault fault);

class FakeHost final : public Host {
 public:
  /// `disk`: the directory that `lower` was loaded from, for libkmod.
  explicit FakeHost(std::shared_ptr<const Tree> lower = nullptr, std::string disk = {});

  // --- the world as a test sets it up: none of this counts as an effect, missing parents are made -----------------------------
  FakeHost& file(const std::string& path, const std::string& bytes, unsigned mode = 0644, uid_t uid = 0, gid_t gid = 0);
  FakeHost& dir(const std::string& path, unsigned mode = 0755);
  FakeHost& link(const std::string& path, const std::string& target);
  FakeHost& gone(const std::string& path);  ///< with everything below it
  /// A file, if it is there, and directories below `top` that are empty then.
  FakeHost& take(const std::string& path, const std::string& top);
  /// A new boot_id, nothing else.
  FakeHost& reboot();
  FakeHost& user(uid_t uid);
  FakeHost& release(const std::string& kernel_release);

  /// A kernel module as libkmod finds it, instead of a file.
  FakeHost& module(const std::string& name, const std::string& kernel_release, KernelModule found);

  using Program = std::function<CommandResult(FakeHost&, const std::vector<std::string>& argv)>;
  /// What a program does whose argv starts with these words; the longest match answers. Unknown programs can't be started.
  FakeHost& program(const std::string& words, Program program);
  /// A file that this program makes out of what is below `from`: it proves that the program ran after the last change there.
  /// `text`: what stands in it besides, of the host as it is then; an error: the program fails with it and leaves the old file.
  using Text = std::function<Result<std::string>(const FakeHost&)>;
  FakeHost& product(const std::string& path, const std::string& made_by, std::vector<std::string> from, Text text = {});
  FakeHost& make_products(const std::string& made_by = {});  ///< all of them or those of one program, as they are of the world so far
  using Answer = std::function<CommandResult(const FakeHost&, const std::vector<std::string>& argv)>;
  FakeHost& answer(const std::string& words, Answer answer);
  /// What writing an attribute does instead of changing the file.
  using Attribute = std::function<Result<>(FakeHost&, const std::string& value)>;
  FakeHost& attribute(const std::string& path, Attribute attribute);
  /// What else happens when this kernel module was loaded, and before it is removed; an error refuses that.
  using ModuleHook = std::function<Result<>(FakeHost&, bool loaded)>;
  FakeHost& on_module(const std::string& name, ModuleHook hook);
  /// Happens when so much time has been let pass by pause().
  FakeHost& after(std::chrono::milliseconds delay, std::function<void(FakeHost&)> event);
  /// What pmxcfs does when asked for one of its locks: it goes if it is older than 120 s. No effect of ours.
  bool break_cluster_lock(const std::string& path);
  /// Another process holds the lock.
  FakeHost& hold_lock(const std::string& path);
  /// What a fixture's world.json says:
  ///   user            uid that the module runs as (0)
  ///   free_space      in bytes, on every file system (8 GiB)
  ///   kernel_release  instead of the tree's /proc/sys/kernel/osrelease
  ///   free_in_pmxcfs  bytes, instead of plenty
  ///   programs        what run() answers, by the first words of the command line:
  ///                   {"exit": 0, "out": "", "err": "", "timed_out": false, "files": {PATH: bytes, or null to remove it}}
  ///   answers         the same for the read-only queries, without files
  FakeHost& world(const json& description);

  // --- faults --------------------------------------------------------------------------------------------------------------
  /// The n-th effect from now, counted from 1.
  FakeHost& fault_at(int n, Fault fault);
  /// Without a fault, with nothing that a killed process held: for the next run.
  FakeHost& restart();
  /// Called before an effect is made, with its line of effects().
  FakeHost& before_effect(std::function<void(FakeHost&, const std::string&)> hook);

  // --- what happened ---------------------------------------------------------------------------------------------------------
  const std::vector<std::string>& effects() const { return effects_; }  ///< since the last restart()
  int times(const std::string& effect) const;                           ///< how often it happened, ever
  int locks_taken() const { return locks_taken_; }                      ///< since the last restart()
  std::string bytes(const std::string& path) const;                     ///< of a file; "(absent)" without one
  /// Programs whose product was not made again since the last change of what it is made of.
  std::vector<std::string> stale_products() const;
  std::vector<std::string> products() const;
  /// What this world is, but not below `without`.
  State state(const std::vector<std::string>& without = {}) const;

  // --- HostView --------------------------------------------------------------------------------------------------------------
  Result<std::string> read_file(const std::string& path) const override;
  Result<std::string> read_link(const std::string& path) const override;
  Result<std::string> sha256_of(const std::string& path) const override;
  Result<std::vector<std::string>> list_dir(const std::string& path) const override;
  Result<FileInfo> stat(const std::string& path, Links links = Links::follow) const override;
  Result<std::uint64_t> free_space(const std::string& path) const override;
  uid_t effective_uid() const override { return uid_; }
  std::chrono::system_clock::time_point now() const override { return now_; }
  std::string kernel_release() const override { return release_; }
  Result<CommandResult> query(const Query& query) const override;
  Result<std::vector<PciDevice>> pci_devices() const override;
  std::string pci_name(std::uint16_t vendor, std::uint16_t device) const override;
  Result<KernelModule> kernel_module(const std::string& name, const std::string& release) const override;

  // --- Host --------------------------------------------------------------------------------------------------------------------
  Result<> write_file(const std::string& path, const std::string& content, const FileMeta& meta = {}) override;
  Result<> remove_file(const std::string& path) override;
  Result<> make_symlink(const std::string& path, const std::string& target) override;
  Result<> make_dir(const std::string& path, unsigned mode) override;
  Result<> remove_dir(const std::string& path) override;
  /// Only for locks of pmxcfs: time 0 removes one that is older than 120 s, and is refused else.
  Result<> touch(const std::string& path, std::chrono::system_clock::time_point time) override;
  Result<> write_attr(const std::string& path, const std::string& value) override;
  Result<CommandResult> run(const Command& command) override;
  Result<> load_module(const std::string& name, const std::string& options = {}) override;
  Result<> unload_module(const std::string& name) override;
  Result<std::string> adopt_file(const std::string& source, const std::string& directory,
                                 const std::optional<std::string>& sha256) override;
  Result<std::unique_ptr<HostLock>> lock(const std::string& path, std::chrono::seconds patience) override;
  void pause(std::chrono::milliseconds time) override;

 private:
  const Node* find(const std::string& resolved) const;  ///< "/" included
  Result<std::string> resolve(const std::string& path, Links last) const;
  Result<std::string> place(const std::string& path) const;  ///< for a new name: its directory resolved and there
  std::vector<std::string> children(const std::string& resolved) const;
  bool allowed(const Node& node, unsigned bit) const;
  void put(const std::string& path, Node node);
  void make_parents(const std::string& path);
  std::set<std::string> paths_below(const std::string& resolved) const;  ///< itself included
  std::string digest(const std::vector<std::string>& paths) const;
  template <class Act>
  auto effect(const std::string& what, Act&& act, const std::function<void()>& tear = {}) -> decltype(act());

  std::shared_ptr<const Tree> lower_;
  std::string disk_;
  State upper_;
  std::map<std::string, Program> programs_;
  std::map<std::string, Answer> answers_;
  std::map<std::string, Attribute> attributes_;
  std::map<std::string, ModuleHook> module_hooks_;
  std::map<std::pair<std::string, std::string>, KernelModule> modules_;
  std::uint64_t free_space_ = std::uint64_t{8} << 30;
  struct Made {
    std::string by;
    std::vector<std::string> from;
    Text text;
  };
  Result<> make(const std::string& path);
  std::map<std::string, Made> products_;
  std::multimap<std::chrono::system_clock::time_point, std::function<void(FakeHost&)>> events_;
  std::function<void(FakeHost&, const std::string&)> hook_;
  std::chrono::system_clock::time_point now_;
  std::map<std::string, std::chrono::system_clock::time_point> locks_;  ///< directories that are locks of pmxcfs: since when
  std::optional<std::uint64_t> free_pve_;
  uid_t uid_ = 0;
  std::string release_;
  int boots_ = 0;

  std::vector<std::string> effects_;
  std::map<std::string, int> ever_;
  std::shared_ptr<std::set<std::string>> locked_;
  int locks_taken_ = 0;
  int countdown_ = 0;  ///< effects until the fault; 0: none
  Fault fault_ = Fault::none;
  bool dead_ = false;
};

}  // namespace pvegpu
