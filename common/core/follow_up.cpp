// SPDX-License-Identifier: MIT
// The kinds of follow-up work and how their outcome is judged.
#include "common/core/follow_up.hpp"

#include "common/apt/update_output.hpp"
#include "common/base/json_integer.hpp"
#include "common/base/strings.hpp"

namespace pvegpu {
namespace {

constexpr const char* kind_grub = "update-grub";
constexpr const char* kind_apt_update = "apt-update";

/// The lines of a program's output that say why it failed: the last ones that are not empty.
std::string last_lines(const CommandResult& result, std::size_t count) {
  std::vector<std::string> kept;
  for (const auto* stream : {&result.err, &result.out}) {
    std::vector<std::string> some;
    for (const auto& line : text::lines(*stream))
      if (!text::trim(line).empty()) some.push_back(text::trim(line));
    if (some.size() > count) some.erase(some.begin(), some.end() - static_cast<std::ptrdiff_t>(count));
    kept = std::move(some);
    if (!kept.empty()) break;
  }
  return fmt::format("{}", fmt::join(kept, " | "));
}

}  // namespace

std::string FollowUp::id() const { return text::sha256_hex(fmt::format("{}\x1f{}", kind, fmt::join(argv, "\x1f"))).substr(0, 16); }

std::string FollowUp::title() const { return fmt::format("run {}", fmt::join(argv, " ")); }

json FollowUp::to_json() const {
  json kept = data;
  if (kept.is_object()) kept.erase(this_run);
  return {{"kind", kind},
          {"argv", argv},
          {"when", when == When::now ? "now" : "next_boot"},
          {"on_failure", on_failure == OnFailure::revert ? "revert" : "keep_pending"},
          {"rank", rank},
          {"timeout", timeout.count()},
          {"data", std::move(kept)}};
}

Result<FollowUp> FollowUp::from_json(const json& value) {
  try {
    FollowUp out;
    out.kind = value.at("kind").get<std::string>();
    out.argv = value.at("argv").get<std::vector<std::string>>();
    out.when = value.at("when") == "now" ? When::now : When::next_boot;
    out.on_failure = value.at("on_failure") == "revert" ? OnFailure::revert : OnFailure::keep_pending;
    out.rank = static_cast<int>(integer_of(value.at("rank"), 0, 1000));
    out.timeout = std::chrono::seconds(integer_of(value.at("timeout"), 1, 86400));
    out.data = value.at("data");
    if (out.argv.empty()) return Error{"a follow-up without a program"};
    return out;
  } catch (const nlohmann::detail::exception&) {
    return Error{"not a follow-up record"};
  }
}

FollowUp follow_up_apt_update(json duty) {
  return {.kind = kind_apt_update,
          .argv = {"apt-get", "update"},
          .on_failure = FollowUp::OnFailure::revert,
          .rank = 20,
          .data = std::move(duty)};
}
FollowUp follow_up_daemon_reload() { return {.kind = "program", .argv = {"systemctl", "daemon-reload"}, .rank = 10}; }
FollowUp follow_up_initramfs() {
  return {.kind = "program",
          .argv = {"update-initramfs", "-u", "-k", "all"},
          .when = FollowUp::When::next_boot,
          .rank = 60,
          .timeout = std::chrono::seconds(1800)};
}
FollowUp follow_up_grub() {
  return {
      .kind = kind_grub, .argv = {"update-grub"}, .when = FollowUp::When::next_boot, .on_failure = FollowUp::OnFailure::revert, .rank = 70};
}
FollowUp follow_up_boot_refresh() {
  return {.kind = "program", .argv = {"proxmox-boot-tool", "refresh"}, .when = FollowUp::When::next_boot, .rank = 80};
}

Judgement judge(const FollowUp& follow_up, const Result<CommandResult>& ended, const HostView& host) {
  Judgement out;
  out.stays_owed = follow_up.kind == kind_grub;
  if (!ended) {
    out.failure = ended.error();
    return out;
  }
  const CommandResult& result = *ended;
  if (result.timed_out)
    out.failure = Error{fmt::format("did not end within {} s; run it by hand to see what it waits for", follow_up.timeout.count())};
  else if (follow_up.kind == kind_apt_update)
    return apt::judge_update(result, apt::UpdateDuty::from_json(follow_up.data), host);
  else if (result.exit_code != 0)
    out.failure = Error{fmt::format("exit code {}: {}", result.exit_code, last_lines(result, 5))};
  // What grub-mkconfig says of its check: with these files it will say so again.
  if (text::contains(result.err, "Syntax errors are detected in generated GRUB config file")) out.stays_owed = false;
  return out;
}

}  // namespace pvegpu
