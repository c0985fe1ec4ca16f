// SPDX-License-Identifier: MIT
// From wishes to differences.
#include "common/core/plan.hpp"

#include "common/core/journal.hpp"
#include "common/base/strings.hpp"

namespace pvegpu {
namespace {

using Observed = Result<std::optional<std::string>>;

Observed file_now(const HostView& host, const std::string& path) {
  auto bytes = host.read_file(path);
  if (bytes) return std::optional<std::string>(*std::move(bytes));
  if (bytes.error().not_found()) return std::optional<std::string>();
  return bytes.error();
}

/// "0644 0:0", of what the wish names only.
Observed meta_now(const HostView& host, const std::string& path, const FileMeta& wish) {
  const FileInfo info = PVEGPU_TRY(host.stat(path));
  std::string out;
  if (wish.mode) out += fmt::format("mode {:04o} ", info.mode);
  if (wish.uid || wish.gid) out += fmt::format("owner {}:{} ", info.uid, info.gid);
  return std::optional<std::string>(text::trim_right(out));
}
std::string meta_wished(const FileMeta& wish, const FileInfo& now) {
  std::string out;
  if (wish.mode) out += fmt::format("mode {:04o} ", *wish.mode);
  if (wish.uid || wish.gid) out += fmt::format("owner {}:{} ", wish.uid.value_or(now.uid), wish.gid.value_or(now.gid));
  return text::trim_right(out);
}

/// Directories above `path` that do not exist, outermost first.
std::vector<std::string> missing_directories(const HostView& host, const std::string& path) {
  std::vector<std::string> out;
  for (auto slash = path.rfind('/'); slash != path.npos && slash > 0; slash = path.rfind('/', slash - 1)) {
    std::string directory = path.substr(0, slash);
    if (host.exists(directory)) break;
    out.insert(out.begin(), std::move(directory));
  }
  return out;
}

}  // namespace

Plan& Plan::ensure_file(const std::string& path, const std::string& content, FileOptions options) {
  auto now = file_now(host_, path).or_fail("look at " + path);
  Step step;
  step.target = "file " + path;
  step.then = std::move(options.then);
  step.sensitive = options.sensitive;
  step.warnings = std::move(options.warnings);
  step.file = FileChange{.kind = FileChange::Kind::write, .path = path, .content = content, .meta = options.meta};
  if (now != content) {
    step.current = std::move(now);
    step.desired = content;
    step.observe = [path](const HostView& host) { return file_now(host, path); };
    step.file->directories = missing_directories(host_, path);
    steps_.push_back(std::move(step));
    return *this;
  }
  const FileMeta& wish = options.meta;
  if (!wish.mode && !wish.uid && !wish.gid) return *this;
  step.current = meta_now(host_, path, wish).or_fail("look at " + path);
  step.desired = meta_wished(wish, host_.stat(path).or_fail("look at " + path));
  if (step.current == step.desired) return *this;
  step.target = "mode and owner of " + path;
  step.observe = [path, wish](const HostView& host) { return meta_now(host, path, wish); };
  steps_.push_back(std::move(step));
  return *this;
}

Plan& Plan::effect(Step step) {
  steps_.push_back(std::move(step));
  return *this;
}

Plan& Plan::withdraw(const std::string& path, const std::function<std::optional<std::string>(const std::string&)>& without_ours,
                     FileOptions options) {
  auto now = file_now(host_, path).or_fail("look at " + path);
  const std::optional<UndoView> undo = undo_view(path);
  std::optional<std::string> remains;
  bool keeps_foreign = false;
  FileMeta meta;
  if (undo && undo->untouched) {
    if (undo->existed) {
      remains = options.old_bytes_too ? without_ours(undo->before) : undo->before;
      meta = undo->meta;
    }
  } else {
    if (now) remains = without_ours(*now);
    keeps_foreign = undo && remains;
  }
  if (!undo && now == remains) return *this;
  Step step;
  step.then = std::move(options.then);
  step.sensitive = options.sensitive;
  step.warnings = std::move(options.warnings);
  step.file = FileChange{.kind = FileChange::Kind::withdraw,
                         .path = path,
                         .content = remains.value_or(""),
                         .gone = !remains,
                         .meta = meta,
                         .directories = undo ? undo->directories : std::vector<std::string>(),
                         .keeps_foreign = keeps_foreign,
                         .without_ours = without_ours};
  std::optional<std::string> meta_before;
  if (now && undo && undo->untouched && undo->existed) meta_before = meta_now(host_, path, meta).or_fail("look at " + path);
  if (now != remains) {
    step.target = "file " + path;
    step.current = std::move(now);
    step.desired = std::move(remains);
    step.observe = [path](const HostView& host) { return file_now(host, path); };
  } else if (meta_before && *meta_before != meta_wished(meta, {})) {
    step.target = "mode and owner of " + path;
    step.current = std::move(meta_before);
    step.desired = meta_wished(meta, {});
    step.observe = [path, meta](const HostView& host) { return meta_now(host, path, meta); };
  } else {  // only our memory of it is left
    step.target = "undo record of " + path;
    step.current = "kept";
    step.observe = [path, module = module_](const HostView& host) -> Observed {
      return PVEGPU_TRY(journal::undo(host, module, path)) ? std::optional<std::string>("kept") : std::nullopt;
    };
    step.then.clear();
  }
  return effect(std::move(step));
}

std::vector<std::string> Plan::recorded_files() const { return journal::undo_paths(host_, module_).or_fail("read the undo records"); }

std::optional<UndoView> Plan::undo_view(const std::string& path) const {
  return journal::undo(host_, module_, path).or_fail("read the undo record of " + path);
}

std::optional<json> Plan::note(const NoteName& name) {
  auto value = journal::note(host_, name).or_fail("read what is remembered");
  if (!name.formerly.empty() && host_.exists(name.formerly)) notes_to_move_.push_back(name);
  return value;
}

std::optional<std::string> Plan::expected(const Step& step) const {
  for (auto it = steps_.rbegin(); it != steps_.rend(); ++it)
    if (it->target == step.target) return it->desired;
  return step.observe(host_).or_fail("look at " + step.target);
}

Plan& Plan::later(Wait wait) {
  waits_.push_back(std::move(wait));
  return *this;
}

Plan& Plan::refuse(std::string reason) {
  if (!refusal_) refusal_ = std::move(reason);
  return *this;
}

Plan& Plan::reboot_if(bool differs, std::string reason) {
  if (differs && !reboot_reason_) reboot_reason_ = std::move(reason);
  return *this;
}

Plan& Plan::report_all(json keys) {
  for (auto& [key, value] : keys.items()) reports_[key] = std::move(value);
  return *this;
}

Plan& Plan::warn(std::string message) {
  warnings_.push_back(std::move(message));
  return *this;
}

Plan& Plan::put_off_next_boot_work() {
  put_off_ = true;
  return *this;
}

Plan& Plan::do_all_owed_work() {
  all_owed_ = true;
  return *this;
}

}  // namespace pvegpu
