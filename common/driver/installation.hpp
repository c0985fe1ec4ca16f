// SPDX-License-Identifier: MIT
// Installing a driver from the user's file with DKMS, as every such module does it: cards and kernels suit, the file is kept and checked,
// what a build needs is there, its signature will be taken, it is installed, it is built for each kernel, it works; or it is taken away
// again. A module says what is its driver's own.
#pragma once

#include "common/driver/dkms.hpp"
#include "common/driver/install.hpp"
#include "common/facts/machine.hpp"

namespace pvegpu::driver {

/// What a driver has of its own on every host.
struct DriverKind {
  const char* module;         ///< ours, which keeps copies and the note
  const char* step;           ///< what installing it is called
  const char* build_step;     ///< and building it: "NVIDIA driver for kernel "
  const char* name;           ///< what it is called in a sentence
  const char* by_hand;        ///< how one that others installed is removed
  const char* package;        ///< its name in DKMS
  bool in_initramfs;          ///< which is made anew when it comes or goes
  bool builds_for_running;    ///< installing it builds it for the running kernel; DKMS is asked for the other one only
  std::uint64_t rooms[3][2];  ///< what it takes of each of `places`, but for those with nothing: so many times its file, and so many MiB
  std::optional<std::string> (*installed)(const HostView&);
  Result<> (*remove)(Host&, const std::string& copy);  ///< whatever of it is there, whole or not; our copy may help
  /// The version that this kernel will load and that is this driver; nullopt: none.
  std::optional<std::string> (*built)(const HostView&, const std::string& kernel);
  /// Why this version is not there for that kernel, "" when it is.
  std::string (*why_not_built)(const HostView&, const std::string& kernel, const std::string& version);
};
inline constexpr const char* places[3] = {"/var/lib", "/tmp", "/usr"};

/// /var/lib/pve-gpu/MODULE: our copies.
std::string copies_of(const DriverKind& kind);

/// What a module began to install, noted before the installer is run and again when it has ended.
struct InstallRecord {
  std::string version, file;  ///< `file`: our copy
  bool complete = false;
};
/// One that can't be made out is not complete.
std::optional<InstallRecord> read_record(const std::optional<json>& note);
std::optional<InstallRecord> read_record(const HostView& host, const char* module);

/// Whether a version is made for a kernel.
struct KernelVerdict {
  catalogue::Verdict builds = catalogue::Verdict::yes;
  std::string told = {};     ///< no: the refusal; unknown: the warning
  std::string passing = {};  ///< no: the same of a kernel that the next boot replaces
};

/// How a version is installed.
struct Installer {
  bool clean = false;                                                       ///< what is there is removed first
  std::function<Result<>(Host&)> run = {};                                  ///< its error is told after what it left was removed
  std::function<std::optional<std::string>(const HostView&)> observe = {};  ///< what is installed, as Installation::installed_ has it
};

struct FileParams;

/// One installation as a plan makes it: the order, the checks, what is waited for, and how it is taken back. What refuses returns false.
class Installation {
 protected:
  Installation(const DriverKind& kind, const FileParams& params, const HostView& host, Plan& out);
  ~Installation() = default;

  // --- what a module calls ------------------------------------------------------------------------------------------------------
  /// The task's file is named so; why_not: no driver of this kind, "" when it is. ModuleError for a path that is not absolute.
  bool takes_file(const std::string& version, const std::string& why_not);
  /// From the file that was taken to the proof.
  void carry_out();
  /// It is made for the next kernel; one that only runs is a reason for a reboot. Part of carry_out.
  bool suits_kernels();
  /// What this module installed goes; what others installed is named and left.
  void take_back();
  bool refuse(std::string reason);
  /// This kernel will load the wanted version.
  virtual bool is_served(const std::string& kernel) const;

  // --- what a driver has of its own, in the order in which it is asked ------------------------------------------------------------
  virtual void report() = 0;
  /// The cards may have the driver in this version.
  virtual bool suits_cards() = 0;
  virtual KernelVerdict judge_kernel(const std::string& kernel) const = 0;
  /// Something keeps the driver from being loaded, and is refused.
  virtual bool is_kept_away() = 0;
  /// What is loaded is what is wished.
  virtual bool runs() const = 0;
  virtual bool may_install() { return true; }
  virtual bool may_load() { return true; }
  /// Steps that come first.
  virtual void prepare() {}
  /// Something has to come before anything is installed: `later` was said.
  virtual bool must_wait() { return false; }
  /// What runs is stopped.
  virtual bool stop(bool /*install*/) { return true; }
  virtual Installer installer() = 0;
  /// Steps that come last. `built`: nothing is waited for, so that it is there by then.
  virtual void finish(bool built, bool install) = 0;
  /// All is done: does it work.
  virtual void prove() = 0;

  const HostView& host_;
  Plan& out_;
  const gpu::Machine machine_;
  const gpu::HostFacts& facts_ = machine_.facts;
  const std::vector<std::string> kernels_;  ///< the running one, and the next if that is another
  std::string version_;                     ///< wanted; "" until it is known
  std::optional<std::string> installed_;    ///< with a remark in brackets when it has to be installed again
  std::optional<InstallRecord> record_;     ///< of what this module began
  UserFile file_;
  std::optional<Lacks> lacks_;  ///< once it was looked for
  Signing signing_ = Signing::not_needed;
  std::vector<std::string> build_for_;  ///< of kernels_: those for which it is made

 private:
  bool is_possible(bool install);
  bool has_file();
  bool has_tools(bool install);
  bool is_signed();
  void plan_install();
  void plan_build(const std::string& kernel, bool install);
  std::vector<FollowUp> work() const;

  const DriverKind& kind_;
  const FileParams& wish_;
};

}  // namespace pvegpu::driver
