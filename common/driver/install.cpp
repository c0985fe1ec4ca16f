// SPDX-License-Identifier: MIT
// The user's file.
#include "common/driver/install.hpp"

#include "common/core/journal.hpp"
#include "common/host/trust.hpp"
#include "common/base/strings.hpp"

namespace pvegpu::driver {
void Lacks::fields(Reply<Lacks>& out) {
  out.field("file", &Lacks::file, {.doc = "O(file), which is not there and is needed."});
  out.field("packages", &Lacks::packages, {.doc = "Packages that building the driver needs."});
}

UserFile check_user_file(const HostView& host, const std::string& file, const std::optional<std::string>& sha256, bool allow_unverified,
                         const std::string& directory, Missing missing) {
  UserFile out;
  out.file = file;
  const auto refuse = [&](std::string why) {
    out.refusal = std::move(why);
    return out;
  };
  if (!sha256 && !allow_unverified)
    return refuse(
        fmt::format("parameter 'sha256' is missing: give the SHA-256 of {} (sha256sum prints it where the file is known to be "
                    "good), or allow_unverified=true",
                    file));
  std::string sum = text::lower(sha256.value_or(""));
  if (sha256 && (sum.size() != 64 || sum.find_first_not_of("0123456789abcdef") != sum.npos))
    throw ModuleError(fmt::format("parameter 'sha256': '{}' is no SHA-256 (64 hex digits)", *sha256));
  const auto kept = [&](const std::string& name) {
    out.copy = fmt::format("{}/{}", directory, name);
    out.kept = !name.empty() && host.exists(out.copy);
    if (!out.kept) return false;
    if (const auto checked = trusted_below(host, state_dir, out.copy); !checked) refuse(checked.error().message);  // it is run as root
    return true;
  };
  if (kept(sum)) return out;
  const auto actual = host.sha256_of(file);
  out.missing = !actual && actual.error().not_found() && missing == Missing::wait;
  if (out.missing) return out;
  if (!actual && actual.error().not_found()) return refuse(fmt::format("{} is not on this host: copy it there", file));
  if (!actual) return refuse(actual.error().message);
  if (!sum.empty() && *actual != sum)
    return refuse(fmt::format("{} has the SHA-256 {}, not {}: get the file again, or correct the checksum", file, *actual, sum));
  kept(*actual);
  return out;
}

bool plan_wait(const UserFile& file, const std::vector<std::string>& packages, Plan& out) {
  if (file.missing) out.later({"file", fmt::format("{} is not on this host yet", file.file)});
  if (!packages.empty()) out.later({"packages", fmt::format("{} must be installed first", fmt::join(packages, " "))});
  return file.missing || !packages.empty();
}

std::string lack_of_room(const HostView& host, const std::vector<std::pair<const char*, std::uint64_t>>& places) {
  for (const auto& [path, needed] : places)
    if (const auto free = host.free_space(path); free && *free < needed)
      return fmt::format("{} has {} MiB free and the driver needs {} MiB there: make room", path, *free / mebibyte, needed / mebibyte);
  return {};
}

}  // namespace pvegpu::driver
