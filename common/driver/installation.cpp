// SPDX-License-Identifier: MIT
// The skeleton of an installation.
#include "common/driver/installation.hpp"

#include "common/core/journal.hpp"
#include "common/host/reader.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::driver {
namespace {

NoteName note_of(const char* module) { return {module, "driver", fmt::format("{}/{}/driver.json", state_dir, module)}; }

json note_of(const InstallRecord& record) { return {{"version", record.version}, {"file", record.file}, {"complete", record.complete}}; }

/// The copies of versions before go.
Result<> keep_only(Host& host, const std::string& copy) {
  const std::string directory = copy.substr(0, copy.rfind('/'));
  for (const std::string& name : host.list_dir(directory).value_or({}))
    if (name != last_part(copy)) (void)PVEGPU_TRY(host.remove_file(fmt::format("{}/{}", directory, name)));
  return {};
}

}  // namespace

std::string copies_of(const DriverKind& kind) { return fmt::format("{}/{}", state_dir, kind.module); }

std::optional<InstallRecord> read_record(const std::optional<json>& note) {
  if (!note) return std::nullopt;
  try {
    return InstallRecord{note->value("version", ""), note->value("file", ""), note->value("complete", false)};
  } catch (const nlohmann::detail::exception&) {
    return InstallRecord{};
  }
}

std::optional<InstallRecord> read_record(const HostView& host, const char* module) {
  return read_record(journal::note(host, note_of(module)).or_fail("read what was installed"));
}

Installation::Installation(const DriverKind& kind, const HostView& host, Plan& out)
    : installed(kind.installed(host)), record(read_record(out.note(note_of(kind.module)))), kind_(kind), host_(host), out_(out) {}

bool Installation::refuse(std::string reason) {
  out_.refuse(std::move(reason));
  return false;
}

std::vector<FollowUp> Installation::work() const {
  return kind_.in_initramfs ? std::vector<FollowUp>{follow_up_initramfs()} : std::vector<FollowUp>();
}

bool Installation::takes(const std::string& path, const std::string& found, const std::optional<std::string>& wished) {
  if (path[0] != '/') throw ModuleError(fmt::format("parameter 'file': '{}' is no absolute path on the host", path));
  file.file = path;
  version = found;
  return !wished || *wished == found || refuse(fmt::format("{} is version {}, not {}", path, found, *wished));
}

bool Installation::has_file(const std::optional<std::string>& sha256, bool allow_unverified, Missing missing, Places places) {
  file = check_user_file(host_, file.file, sha256, allow_unverified, copies_of(kind_), missing);
  if (!file.refusal.empty()) return refuse(file.refusal);
  if (file.missing) return true;
  const std::string& there = file.kept ? file.copy : file.file;
  const std::string lacking = lack_of_room(host_, places(host_.stat(there).or_fail("look at " + file.file).size));
  return lacking.empty() || refuse(lacking);
}

bool Installation::has_tools(const std::string& kernel, int pve_release, Missing missing) {
  const std::string lacking = missing_for_build(host_, kernel, pve_release, missing, lacks_packages);
  return lacking.empty() || refuse(lacking);
}

bool Installation::is_signed(const BootFacts& boot) {
  signing = driver::signing(host_, boot);
  if (signing != Signing::missing && signing != Signing::unknown) return true;
  return refuse(signing_advice(host_, signing));
}

void Installation::keep() {
  if (!file.missing) out_.ensure_copy(file.file, file.copy);
}

void Installation::install(bool clean, std::function<Result<>(Host&)> run,
                           std::function<std::optional<std::string>(const HostView&)> observe) {
  Step step;
  step.target = kind_.step;
  step.current = installed;
  step.desired = version;
  step.observe = [observe](const HostView& host) -> Result<std::optional<std::string>> { return observe(host); };
  step.apply = [clean, run, remove = kind_.remove, copy = file.copy](Host& host) -> Result<> {
    if (clean) (void)PVEGPU_TRY(remove(host, copy));
    const auto done = run(host);
    if (done) return keep_only(host, copy);
    const auto removed = remove(host, copy);
    return Error{fmt::format("{}; {}", done.error().message,
                             removed ? "what it left was removed again" : "what it left could not be removed: " + removed.error().message)};
  };
  step.note_before = NoteChange{note_of(kind_.module), note_of(InstallRecord{version, file.copy, false})};
  step.note_after = NoteChange{note_of(kind_.module), note_of(InstallRecord{version, file.copy, true})};
  step.then = work();
  out_.effect(std::move(step));
}

void Installation::build(const std::string& kernel, const std::string& target, std::optional<std::string> now,
                         std::function<Result<>(const HostView&)> proven) {
  Step step;
  step.target = target;
  step.current = std::move(now);
  step.desired = version;
  step.verify = std::move(proven);
  step.then = work();
  out_.ensure_program(std::move(step), dkms_install(kind_.package, version, kernel));
}

void Installation::take_back() {
  if (installed && record) {
    Step step;
    step.target = kind_.step;
    step.current = installed;
    step.observe = [now = kind_.installed](const HostView& host) -> Result<std::optional<std::string>> { return now(host); };
    step.apply = [remove = kind_.remove, copy = record->file](Host& host) { return remove(host, copy); };
    step.then = work();
    out_.effect(std::move(step));
  } else if (installed) {
    out_.warn(fmt::format("{} {} stays: it was not installed by this module; {} removes it", kind_.name, *installed, kind_.by_hand));
  }
  out_.ensure_no_copies(copies_of(kind_), {.shown = "the driver's file", .note = note_of(kind_.module)});
}

}  // namespace pvegpu::driver
