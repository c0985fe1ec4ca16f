// SPDX-License-Identifier: MIT
// Asks a host and keeps what it answers. The same question is asked once: the recording is of one moment, and who asks the recorder is
// told what the replay will be told.
#pragma once

#include "common/record/read_only_host.hpp"
#include "common/record/recording.hpp"

namespace pvegpu::record {

/// Files whose content is never kept, not even in memory: private keys, passwords, what /etc/pve/priv has. They are read as an error,
/// {"secret": true} in the recording.
bool is_secret_file(std::string_view path);

class Recorder final : public ReadOnlyHost {
 public:
  explicit Recorder(const HostView& host);

  const Recording& recording() const { return recording_; }

  Result<std::string> read_file(const std::string& path) const override;
  Result<std::string> read_link(const std::string& path) const override;
  Result<std::string> sha256_of(const std::string& path) const override;
  Result<std::vector<std::string>> list_dir(const std::string& path) const override;
  Result<FileInfo> stat(const std::string& path, Links links = Links::follow) const override;
  Result<std::uint64_t> free_space(const std::string& path) const override;
  uid_t effective_uid() const override { return recording_.uid; }
  std::chrono::system_clock::time_point now() const override;
  std::string kernel_release() const override { return recording_.kernel_release; }
  Result<CommandResult> query(const Query& query) const override;
  Result<std::vector<PciDevice>> pci_devices() const override;
  std::string pci_name(std::uint16_t vendor, std::uint16_t device) const override;
  Result<KernelModule> kernel_module(const std::string& name, const std::string& release) const override;

 private:
  const HostView& host_;
  mutable Recording recording_;
};

/// Answers from a recording. What is not in it is an error, "not in the recording: PATH", and is counted. That something is not there is
/// also known from what is: from the listing of its directory, and from that one's absence.
class ReplayHost final : public ReadOnlyHost {
 public:
  explicit ReplayHost(Recording recording) : recording_(std::make_shared<const Recording>(std::move(recording))) {}

  /// What was asked and is not in it, each once.
  std::vector<std::string> missing() const;

  Result<std::string> read_file(const std::string& path) const override;
  Result<std::string> read_link(const std::string& path) const override;
  Result<std::string> sha256_of(const std::string& path) const override;
  Result<std::vector<std::string>> list_dir(const std::string& path) const override;
  Result<FileInfo> stat(const std::string& path, Links links = Links::follow) const override;
  Result<std::uint64_t> free_space(const std::string& path) const override;
  uid_t effective_uid() const override { return recording_->uid; }
  std::chrono::system_clock::time_point now() const override;
  std::string kernel_release() const override { return recording_->kernel_release; }
  Result<CommandResult> query(const Query& query) const override;
  Result<std::vector<PciDevice>> pci_devices() const override;
  std::string pci_name(std::uint16_t vendor, std::uint16_t device) const override;
  Result<KernelModule> kernel_module(const std::string& name, const std::string& release) const override;

 private:
  Result<json> find(Question question, const std::string& key) const;
  bool known_absent(const std::string& path) const;

  std::shared_ptr<const Recording> recording_;  ///< copies of this host have it together
  mutable std::map<std::string, bool> missing_;
};

}  // namespace pvegpu::record
