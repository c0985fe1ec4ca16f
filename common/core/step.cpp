// SPDX-License-Identifier: MIT
// One step.
#include "common/core/step.hpp"

namespace pvegpu {
namespace {

std::string shown(const std::optional<std::string>& value) { return value ? fmt::format("'{}'", *value) : std::string("absent"); }

}  // namespace

bool acts(const Step& step) { return step.file || step.apply || step.note_after; }

Result<> took_effect(const Step& step, const HostView& host) {
  if (step.verify) return step.verify(host);
  if (!step.observe) return {};
  const auto now = PVEGPU_TRY(step.observe(host));
  if (now == step.desired) return {};
  if (step.sensitive || step.file) return Error{"it does not read back as it was written"};
  return Error{fmt::format("it is {}, not {}", shown(now), shown(step.desired))};
}

json difference_of(const Step& step) {
  const auto side = [&](const std::optional<std::string>& value) {
    if (!value) return std::string();
    if (step.sensitive) return std::string("(content not shown)\n");
    return value->ends_with('\n') || value->empty() ? *value : *value + "\n";
  };
  const auto header = [&](const std::optional<std::string>& value) { return value ? step.target : step.target + " (absent)"; };
  return {{"before_header", header(step.current)},
          {"after_header", header(step.desired)},
          {"before", side(step.current)},
          {"after", side(step.desired)}};
}

}  // namespace pvegpu
