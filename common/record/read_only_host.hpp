// SPDX-License-Identifier: MIT
// A host that can be asked and not changed: what modules are given for a recording and for its replay. They run in check mode there; that
// no effect is possible does not hang on it.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu::record {

class ReadOnlyHost : public Host {
 public:
  Result<> write_file(const std::string&, const std::string&, const FileMeta&) override { return refused(); }
  Result<> remove_file(const std::string&) override { return refused(); }
  Result<> make_symlink(const std::string&, const std::string&) override { return refused(); }
  Result<> make_dir(const std::string&, unsigned) override { return refused(); }
  Result<> remove_dir(const std::string&) override { return refused(); }
  Result<> touch(const std::string&, std::chrono::system_clock::time_point) override { return refused(); }
  Result<> write_attr(const std::string&, const std::string&) override { return refused(); }
  Result<CommandResult> run(const Command&) override { return refused(); }
  Result<> load_module(const std::string&, const std::string&) override { return refused(); }
  Result<> unload_module(const std::string&) override { return refused(); }
  Result<std::string> adopt_file(const std::string&, const std::string&, const std::optional<std::string>&) override { return refused(); }
  Result<std::unique_ptr<HostLock>> lock(const std::string&, std::chrono::seconds) override { return refused(); }
  void pause(std::chrono::milliseconds) override {}

 private:
  static Error refused() { return {"a recording can't be changed, only asked", EROFS}; }
};

}  // namespace pvegpu::record
