// SPDX-License-Identifier: MIT
// The skeleton of an installation.
#include "common/driver/installation.hpp"

#include "common/core/journal.hpp"
#include "common/driver/file_params.hpp"
#include "common/facts/kernels.hpp"
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

Installation::Installation(const DriverKind& kind, const FileParams& params, const HostView& host, Plan& out)
    : host_(host),
      out_(out),
      machine_(gpu::require_machine(host)),
      kernels_(kernels_to_serve(host)),
      installed_(kind.installed(host)),
      record_(read_record(out.note(note_of(kind.module)))),
      kind_(kind),
      wish_(params) {
  if (params.follow_ups == FollowUps::later) out.put_off_next_boot_work();
}

bool Installation::refuse(std::string reason) {
  out_.refuse(std::move(reason));
  return false;
}

bool Installation::is_served(const std::string& kernel) const { return kind_.built(host_, kernel) == version_; }

bool Installation::takes_file(const std::string& version, const std::string& why_not) {
  file_.file = wish_.file.value_or("");
  if (!file_.file.starts_with('/')) throw ModuleError(fmt::format("parameter 'file': '{}' is no absolute path on the host", file_.file));
  version_ = version;
  if (!why_not.empty()) return refuse(why_not);
  return !wish_.version || *wish_.version == version ||
         refuse(fmt::format("{} is version {}, not {}", file_.file, version, *wish_.version));
}

void Installation::carry_out() {
  if (!suits_cards() || !suits_kernels() || is_kept_away()) return;
  const bool install = installed_ != version_;
  lacks_.emplace();
  const bool possible = is_possible(install);
  lacks_->file = file_.missing;
  report();
  if (!possible) return;
  prepare();
  if (install && !file_.missing) out_.ensure_copy(file_.file, file_.copy);
  const bool now = !must_wait() && !plan_wait(file_, lacks_->packages, out_);
  if (now) {
    if (!stop(install)) return;
    if (install) plan_install();
    for (const std::string& kernel : build_for_)
      if (install ? !kind_.builds_for_running || kernel != host_.kernel_release() : !is_served(kernel)) plan_build(kernel, install);
  }
  finish(now, install);
  if (out_.empty() && out_.waits().empty()) prove();
}

bool Installation::suits_kernels() {
  for (const std::string& kernel : kernels_) {
    const bool builds = kind_.built(host_, kernel) == version_;  // in whichever flavour
    KernelVerdict verdict = builds ? KernelVerdict() : judge_kernel(kernel);
    if (verdict.builds == catalogue::Verdict::no) {
      if (kernel == kernels_.back()) return refuse(verdict.told);
      out_.reboot_if(true, verdict.passing);
      continue;
    }
    if (verdict.builds == catalogue::Verdict::unknown) out_.warn(std::move(verdict.told));
    build_for_.push_back(kernel);
  }
  return true;
}

bool Installation::is_possible(bool install) {
  const bool build = install || !std::all_of(build_for_.begin(), build_for_.end(), [&](const auto& kernel) { return is_served(kernel); });
  if (install && !(has_file() && may_install())) return false;
  if (!has_tools(install) || ((install || !runs()) && !may_load())) return false;
  return (!build && runs()) || is_signed();
}

/// It may be run, and there is room for what comes of it.
bool Installation::has_file() {
  file_ = check_user_file(host_, file_.file, wish_.sha256, wish_.allow_unverified, copies_of(kind_), wish_.missing);
  if (!file_.refusal.empty()) return refuse(file_.refusal);
  if (file_.missing) return true;
  const std::uint64_t size = host_.stat(file_.kept ? file_.copy : file_.file).or_fail("look at " + file_.file).size;
  std::vector<std::pair<const char*, std::uint64_t>> needs;
  for (std::size_t i = 0; i < std::size(places); ++i)
    if (const auto& [times, more] = kind_.rooms[i]; times != 0) needs.emplace_back(places[i], times * size + more * mebibyte);
  const std::string lacking = lack_of_room(host_, needs);
  return lacking.empty() || refuse(lacking);
}

/// What building takes is there.
bool Installation::has_tools(bool install) {
  const int release = facts_.pve ? facts_.pve->major : 8;
  for (const std::string& kernel : build_for_) {
    if (!install && is_served(kernel)) continue;
    const std::string lacking = missing_for_build(host_, kernel, release, wish_.missing, lacks_->packages);
    if (!lacking.empty()) return refuse(lacking);
  }
  return true;
}

bool Installation::is_signed() {
  signing_ = signing(host_, facts_.boot);
  if (signing_ != Signing::missing && signing_ != Signing::unknown) return true;
  return refuse(signing_advice(host_, signing_));
}

std::vector<FollowUp> Installation::work() const {
  return kind_.in_initramfs ? std::vector<FollowUp>{follow_up_initramfs()} : std::vector<FollowUp>();
}

void Installation::plan_install() {
  auto [clean, run, observe] = installer();
  Step step;
  step.target = kind_.step;
  step.current = installed_;
  step.desired = version_;
  step.observe = [observe = observe](const HostView& host) -> Result<std::optional<std::string>> { return observe(host); };
  step.apply = [clean = clean, run = run, remove = kind_.remove, copy = file_.copy](Host& host) -> Result<> {
    if (clean) (void)PVEGPU_TRY(remove(host, copy));
    const auto done = run(host);
    if (done) return keep_only(host, copy);
    const auto removed = remove(host, copy);
    return Error{fmt::format("{}; {}", done.error().message,
                             removed ? "what it left was removed again" : "what it left could not be removed: " + removed.error().message)};
  };
  step.note_before = NoteChange{note_of(kind_.module), note_of(InstallRecord{version_, file_.copy, false})};
  step.note_after = NoteChange{note_of(kind_.module), note_of(InstallRecord{version_, file_.copy, true})};
  step.then = work();
  out_.effect(std::move(step));
}

void Installation::plan_build(const std::string& kernel, bool install) {
  Step step;
  step.target = kind_.build_step + kernel;
  if (!install || !kind_.builds_for_running) step.current = kind_.built(host_, kernel);
  step.desired = version_;
  // Installing may have built it, so only the outcome counts.
  step.verify = [why_not = kind_.why_not_built, kernel, version = version_](const HostView& host) -> Result<> {
    std::string why = why_not(host, kernel, version);
    return why.empty() ? Result<>() : Error{std::move(why)};
  };
  step.then = work();
  out_.ensure_program(std::move(step), dkms_install(kind_.package, version_, kernel));
}

void Installation::take_back() {
  if (installed_ && record_) {
    Step step;
    step.target = kind_.step;
    step.current = installed_;
    step.observe = [now = kind_.installed](const HostView& host) -> Result<std::optional<std::string>> { return now(host); };
    step.apply = [remove = kind_.remove, copy = record_->file](Host& host) { return remove(host, copy); };
    step.then = work();
    out_.effect(std::move(step));
  } else if (installed_) {
    out_.warn(fmt::format("{} {} stays: it was not installed by this module; {} removes it", kind_.name, *installed_, kind_.by_hand));
  }
  out_.ensure_no_copies(copies_of(kind_), {.shown = "the driver's file", .note = note_of(kind_.module)});
}

}  // namespace pvegpu::driver
