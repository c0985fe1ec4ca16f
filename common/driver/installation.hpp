// SPDX-License-Identifier: MIT
// Installing a driver from the user's file with DKMS, as every such module does it: the file is kept and checked, what a build needs is
// there, its signature will be taken, it is installed, it is built for each kernel; or it is taken away again. A module says what is its
// driver's own, and keeps what comes after: loading it or waiting for a reboot, and the proof.
#pragma once

#include "common/driver/dkms.hpp"
#include "common/driver/install.hpp"

namespace pvegpu::driver {

/// What a driver has of its own.
struct DriverKind {
  const char* module;   ///< ours, which keeps copies and the note
  const char* step;     ///< what installing it is called
  const char* name;     ///< what it is called in a sentence
  const char* by_hand;  ///< how one that others installed is removed
  const char* package;  ///< its name in DKMS
  bool in_initramfs;    ///< which is made anew when it comes or goes
  std::optional<std::string> (*installed)(const HostView&);
  Result<> (*remove)(Host&, const std::string& copy);  ///< whatever of it is there, whole or not; our copy may help
};

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

/// One installation as a plan makes it. What refuses returns false.
class Installation {
 public:
  Installation(const DriverKind& kind, const HostView& host, Plan& out);

  std::string version;                   ///< wanted; "" until it is known
  std::optional<std::string> installed;  ///< with a remark in brackets when it has to be installed again
  std::optional<InstallRecord> record;   ///< of what this module began
  UserFile file;
  std::vector<std::string> lacks_packages;
  Signing signing = Signing::not_needed;

  bool is_wanted() const { return installed != version; }

  // --- what must be true before anything is done ------------------------------------------------------------------------------
  /// The file has an absolute path (else ModuleError) and the version that is wished.
  bool takes(const std::string& path, const std::string& found, const std::optional<std::string>& wished);
  /// The file may be run. Where it is, `places` says how many bytes a file of this size takes where.
  using Places = std::vector<std::pair<const char*, std::uint64_t>> (*)(std::uint64_t size);
  bool has_file(const std::optional<std::string>& sha256, bool allow_unverified, Missing missing, Places places);
  /// What building for this kernel takes is there.
  bool has_tools(const std::string& kernel, int pve_release, Missing missing);
  bool is_signed(const BootFacts& boot);

  // --- steps --------------------------------------------------------------------------------------------------------------------
  void keep();
  /// True: the file or packages have to come first.
  bool waits() { return plan_wait(file, lacks_packages, out_); }
  /// `run` installs; its error is told after what it left was removed. `clean`: what is there is removed before.
  /// `observe`: what is installed, as `installed` has it.
  void install(bool clean, std::function<Result<>(Host&)> run, std::function<std::optional<std::string>(const HostView&)> observe);
  /// `proven`: it is there for that kernel. Installing may have built it, so only the outcome counts.
  void build(const std::string& kernel, const std::string& target, std::optional<std::string> now,
             std::function<Result<>(const HostView&)> proven);
  /// What this module installed goes; what others installed is named and left.
  void take_back();

 private:
  bool refuse(std::string reason);
  std::vector<FollowUp> work() const;

  const DriverKind& kind_;
  const HostView& host_;
  Plan& out_;
};

}  // namespace pvegpu::driver
