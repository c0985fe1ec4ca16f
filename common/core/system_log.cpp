// SPDX-License-Identifier: MIT
#include "common/core/system_log.hpp"

#include "common/core/mask.hpp"
#include "common/core/params.hpp"

#include <syslog.h>

namespace pvegpu {
namespace {

struct Facility {
  const char* name;
  int value;
};
constexpr Facility facilities[] = {{"LOG_USER", LOG_USER},         {"LOG_DAEMON", LOG_DAEMON}, {"LOG_AUTH", LOG_AUTH},
                                   {"LOG_AUTHPRIV", LOG_AUTHPRIV}, {"LOG_SYSLOG", LOG_SYSLOG}, {"LOG_CRON", LOG_CRON},
                                   {"LOG_KERN", LOG_KERN},         {"LOG_LOCAL0", LOG_LOCAL0}, {"LOG_LOCAL1", LOG_LOCAL1},
                                   {"LOG_LOCAL2", LOG_LOCAL2},     {"LOG_LOCAL3", LOG_LOCAL3}, {"LOG_LOCAL4", LOG_LOCAL4},
                                   {"LOG_LOCAL5", LOG_LOCAL5},     {"LOG_LOCAL6", LOG_LOCAL6}, {"LOG_LOCAL7", LOG_LOCAL7}};

const SystemLog* open_log = nullptr;

}  // namespace

SystemLog::SystemLog(const std::string& module, const json& args, std::vector<std::string> secrets)
    : identity_("ansible-" + module),
      secrets_(std::move(secrets)),
      silent_(args.contains("_ansible_no_log") && params::parse_bool(args["_ansible_no_log"]).value_or(true)) {
  int facility = LOG_USER;
  if (args.contains("_ansible_syslog_facility"))
    for (const Facility& f : facilities)
      if (args["_ansible_syslog_facility"] == f.name) facility = f.value;
  ::openlog(identity_.c_str(), 0, facility);
  open_log = this;
}

SystemLog::~SystemLog() {
  open_log = nullptr;
  ::closelog();
}

void SystemLog::say(const std::string& line) {
  if (open_log == nullptr || open_log->silent_) return;
  constexpr std::size_t longest_line = 7000;  // rsyslog takes 8 kB
  ::syslog(LOG_INFO, "%s", cut_short(mask(line, open_log->secrets_).get<std::string>(), longest_line).c_str());
}

}  // namespace pvegpu
