// SPDX-License-Identifier: MIT
// Installing from the user's file.
#include "common/driver/install.hpp"

#include "common/core/journal.hpp"
#include "common/host/reader.hpp"
#include "common/host/trust.hpp"
#include "common/base/strings.hpp"

namespace pvegpu::driver {
namespace {

std::string record_of(const std::string& directory) { return directory + "/driver.json"; }

}  // namespace

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

void plan_keep(const UserFile& file, Plan& out) {
  if (file.kept) return;
  Step step;
  step.target = "copy of " + file.file;
  step.desired = last_part(file.copy);
  step.observe = [copy = file.copy](const HostView& host) -> Result<std::optional<std::string>> {
    return host.exists(copy) ? std::optional<std::string>(last_part(copy)) : std::nullopt;
  };
  step.apply = [file](Host& host) -> Result<> {
    if (!host.exists(state_dir)) (void)PVEGPU_TRY(host.make_dir(state_dir, 0700));
    (void)PVEGPU_TRY(host.adopt_file(file.file, file.copy.substr(0, file.copy.rfind('/')), last_part(file.copy)));
    return {};
  };
  out.effect(std::move(step));
}

std::optional<InstallRecord> read_record(const HostView& host, const std::string& directory) {
  trusted_below(host, state_dir, record_of(directory)).or_fail("read what was installed");
  const auto bytes = host.read_file(record_of(directory));
  if (!bytes) return std::nullopt;
  const auto value = parse_json(*bytes);
  if (!value || !value->is_object()) return InstallRecord{};  // damaged: whatever it was is not known to be whole
  try {
    return InstallRecord{value->value("version", ""), value->value("file", ""), value->value("complete", false)};
  } catch (const nlohmann::detail::exception&) {
    return InstallRecord{};
  }
}

Result<> write_record(Host& host, const std::string& directory, const InstallRecord& record) {
  return host.write_file(record_of(directory),
                         dump_json(json{{"version", record.version}, {"file", record.file}, {"complete", record.complete}}) + "\n",
                         {.mode = 0600u, .uid = {}, .gid = {}});
}

Result<> complete_record(Host& host, const std::string& directory, const std::string& version, const std::string& copy) {
  for (const std::string& name : host.list_dir(directory).value_or({}))
    if (name != last_part(copy) && name != last_part(record_of(directory)))
      (void)PVEGPU_TRY(host.remove_file(fmt::format("{}/{}", directory, name)));
  return write_record(host, directory, {version, copy, true});
}

void plan_forget(const HostView& host, const std::string& directory, Plan& out) {
  if (!host.exists(directory)) return;
  Step step;
  step.target = "directory " + directory;
  step.current = "the driver's file";
  step.observe = [directory](const HostView& now) -> Result<std::optional<std::string>> {
    return now.exists(directory) ? std::optional<std::string>("the driver's file") : std::nullopt;
  };
  step.apply = [directory](Host& now) -> Result<> {
    for (const std::string& name : PVEGPU_TRY(now.list_dir(directory)))
      (void)PVEGPU_TRY(now.remove_file(fmt::format("{}/{}", directory, name)));
    return now.remove_dir(directory);
  };
  out.effect(std::move(step));
}

std::string lack_of_room(const HostView& host, const std::vector<std::pair<const char*, std::uint64_t>>& places) {
  for (const auto& [path, needed] : places)
    if (const auto free = host.free_space(path); free && *free < needed)
      return fmt::format("{} has {} MiB free and the driver needs {} MiB there: make room", path, *free / mebibyte, needed / mebibyte);
  return {};
}

Result<> run(Host& host, const std::vector<std::string>& argv, std::chrono::seconds timeout) {
  const CommandResult done = PVEGPU_TRY(host.run({argv, timeout}));
  if (done.timed_out) return Error{fmt::format("{} did not end within {} s", fmt::join(argv, " "), timeout.count())};
  if (done.exit_code == 0) return {};
  const std::string said = text::trim(done.err.empty() ? done.out : done.err);
  return Error{fmt::format("{}: {}", fmt::join(argv, " "), said.empty() ? fmt::format("exit code {}", done.exit_code) : said)};
}

}  // namespace pvegpu::driver
