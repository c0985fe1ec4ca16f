// SPDX-License-Identifier: MIT
// The machine we run on.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu {

class RealHost final : public Host {
 public:
  /// `root`: a directory that is taken for "/", for reading a recorded tree. Empty: the machine itself.
  explicit RealHost(std::string root = {}) : root_(std::move(root)) {}

  Result<std::string> read_file(const std::string& path) const override;
  Result<std::string> read_link(const std::string& path) const override;
  Result<std::string> sha256_of(const std::string& path) const override;
  Result<std::vector<std::string>> list_dir(const std::string& path) const override;
  Result<FileInfo> stat(const std::string& path, Links links = Links::follow) const override;
  Result<std::uint64_t> free_space(const std::string& path) const override;
  uid_t effective_uid() const override;
  std::chrono::system_clock::time_point now() const override;
  std::string kernel_release() const override;
  Result<CommandResult> query(const Query& query) const override;
  Result<std::vector<PciDevice>> pci_devices() const override;
  std::string pci_name(std::uint16_t vendor, std::uint16_t device) const override;
  Result<KernelModule> kernel_module(const std::string& name, const std::string& release) const override;

  Result<> write_file(const std::string& path, const std::string& content, const FileMeta& meta = {}) override;
  Result<> remove_file(const std::string& path) override;
  Result<> make_symlink(const std::string& path, const std::string& target) override;
  Result<> make_dir(const std::string& path, unsigned mode) override;
  Result<> remove_dir(const std::string& path) override;
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
  std::string at(const std::string& path) const { return root_ + path; }
  std::string root_;
};

/// Runs a program with no shell, LC_ALL=C, standard input from /dev/null. Error only when it can't be started.
Result<CommandResult> run_program(const Command& command);

}  // namespace pvegpu
