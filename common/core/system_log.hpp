// SPDX-License-Identifier: MIT
// Lines of a task in the system log, as AnsibleModule writes them: under "ansible-MODULE", without secrets, none under no_log.
#pragma once

#include "common/base/json.hpp"

namespace pvegpu {

/// Open from here until it is destroyed; one at a time, as syslog(3) is one for a process.
class SystemLog {
 public:
  /// `args`: as Ansible sends them, for `_ansible_no_log` and `_ansible_syslog_facility`.
  SystemLog(const std::string& module, const json& args, std::vector<std::string> secrets);
  ~SystemLog();
  SystemLog(const SystemLog&) = delete;
  SystemLog& operator=(const SystemLog&) = delete;

  /// A line of the task whose log is open; nothing where none is.
  static void say(const std::string& line);

 private:
  std::string identity_;
  std::vector<std::string> secrets_;
  bool silent_;
};

}  // namespace pvegpu
