// SPDX-License-Identifier: MIT
// The executor's memory: one small JSON file per owed follow-up, changed file, waiting task and note.
#include "common/core/journal.hpp"

#include "common/base/json_integer.hpp"
#include "common/host/trust.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::journal {
namespace {

std::string directory(std::string_view kind) { return fmt::format("{}/{}", state_dir, kind); }
std::string file(std::string_view kind, std::string_view id) { return fmt::format("{}/{}.json", directory(kind), id); }
std::string undo_file(std::string_view path) { return file("undo", text::sha256_hex(path).substr(0, 16)); }
std::string note_file(const NoteName& name) { return file("notes", text::sha256_hex(name.module + "\x1f" + name.key).substr(0, 16)); }
std::string wait_file(std::string_view instance) { return file("waits", text::sha256_hex(instance).substr(0, 16)); }

/// What a file's bytes are known by; "" for no file.
std::string fingerprint(const std::optional<std::string>& bytes) { return bytes ? text::sha256_hex(*bytes) : std::string(); }

Result<std::optional<std::string>> bytes_of(const HostView& host, const std::string& path) {
  auto bytes = host.read_file(path);
  if (bytes) return std::optional<std::string>(*std::move(bytes));
  if (bytes.error().not_found()) return std::optional<std::string>();
  return bytes.error();
}

Error damaged(const std::string& path) { return {fmt::format("{} is damaged; look at what it says, then move it away", path)}; }

/// What a record says is done as root.
Result<> trusted_record(const HostView& host, const std::string& path) { return trusted_below(host, state_dir, path); }

/// The bytes of a record.
Result<std::optional<std::string>> record_bytes(const HostView& host, const std::string& path) {
  PVEGPU_TRY(trusted_record(host, path));
  return bytes_of(host, path);
}

/// Names of the records of one kind.
Result<std::vector<std::string>> records(const HostView& host, std::string_view kind) {
  auto names = host.list_dir(directory(kind));
  if (!names && names.error().not_found()) return std::vector<std::string>();
  if (!names) return names.error();
  PVEGPU_TRY(trusted_record(host, directory(kind)));
  std::erase_if(*names, [](const std::string& name) { return !name.ends_with(".json"); });
  return names;
}

Result<std::optional<json>> load(const HostView& host, const std::string& path) {
  const auto bytes = PVEGPU_TRY(record_bytes(host, path));
  if (!bytes) return std::optional<json>();
  auto value = parse_json(*bytes);
  if (!value || !value->is_object()) return damaged(path);
  return std::optional<json>(*std::move(value));
}

Result<> save(Host& host, const std::string& kind, const std::string& path, const json& value) {
  for (const std::string& each : {std::string(state_dir), directory(kind)})
    if (!host.exists(each))
      if (auto made = host.make_dir(each, 0700); !made && made.error().code != EEXIST) return made.error();
  PVEGPU_TRY(trusted_record(host, path));
  return host.write_file(path, dump_json(value) + "\n", {.mode = 0600, .uid = {}, .gid = {}});
}

json meta_to_json(const FileMeta& meta) {
  json out = json::object();
  if (meta.mode) out["mode"] = *meta.mode;
  if (meta.uid) out["uid"] = *meta.uid;
  if (meta.gid) out["gid"] = *meta.gid;
  return out;
}
FileMeta meta_from_json(const json& value) {
  FileMeta out;
  constexpr std::int64_t most_id = 0xfffffffe;  // the next is chown's "leave it"
  if (value.contains("mode")) out.mode = static_cast<unsigned>(integer_of(value["mode"], 0, 07777));
  if (value.contains("uid")) out.uid = static_cast<uid_t>(integer_of(value["uid"], 0, most_id));
  if (value.contains("gid")) out.gid = static_cast<gid_t>(integer_of(value["gid"], 0, most_id));
  return out;
}

/// Bytes in base64. Throws as json does for what is none: it must not pass for an empty file.
std::string bytes_from_json(const json& value) {
  const std::string text = value.get<std::string>();
  std::string out = text::from_base64(text);
  if (out.empty() && !text.empty()) throw_type_error();
  return out;
}

json image_to_json(const BeforeImage& image) {
  json out{{"path", image.path},
           {"existed", image.existed},
           {"bytes", text::base64(image.bytes)},
           {"meta", meta_to_json(image.meta)},
           {"after", image.after},
           {"directories", image.directories},
           {"undo_record", nullptr}};
  if (image.undo_record) out["undo_record"] = *image.undo_record;
  return out;
}
BeforeImage image_from_json(const json& value) {
  BeforeImage out;
  out.path = value.at("path").get<std::string>();
  out.existed = value.at("existed").get<bool>();
  out.bytes = bytes_from_json(value.at("bytes"));
  out.meta = meta_from_json(value.at("meta"));
  out.after = value.at("after").get<std::string>();
  out.directories = value.at("directories").get<std::vector<std::string>>();
  if (!value.at("undo_record").is_null()) out.undo_record = value["undo_record"].get<std::string>();
  return out;
}

Result<Owed> owed_from_json(const json& value, const std::string& path) {
  try {
    Owed out;
    auto follow_up = FollowUp::from_json(value.at("follow_up"));
    if (!follow_up) return damaged(path);
    out.follow_up = *std::move(follow_up);
    if (path != file("pending", out.follow_up.id())) return damaged(path);  // settle() would not find it
    out.modules = value.at("modules").get<std::vector<std::string>>();
    out.put_off = value.at("put_off").get<bool>();
    for (const json& image : value.at("images")) out.images.push_back(image_from_json(image));
    return out;
  } catch (const nlohmann::detail::exception&) {
    return damaged(path);
  }
}

/// What one module did to one file. The records of a file are in the order of the modules' first changes.
struct Contribution {
  std::string module;
  bool existed = false;
  std::string before;
  FileMeta meta = {};
  std::string after;         ///< fingerprint of what we wrote, or were about to write
  std::string earlier = {};  ///< of our version before that, which is there still when that write was never done
  bool mixed = false;        ///< others edited in between: the old bytes must not come back whole
  std::vector<std::string> directories = {};

  std::optional<std::string> old_bytes() const { return existed ? std::optional<std::string>(before) : std::nullopt; }
  /// The file reads as we left it, or as we found it.
  bool matches(const std::optional<std::string>& now) const {
    return fingerprint(now) == after || (!earlier.empty() && fingerprint(now) == earlier) || now == old_bytes();
  }
};

using Contributions = std::vector<Contribution>;

Result<Contributions> contributions(const HostView& host, const std::string& path) {
  const auto record = PVEGPU_TRY(load(host, undo_file(path)));
  Contributions out;
  if (!record) return out;
  try {
    for (const json& value : record->at("contributions")) {
      Contribution c;
      c.module = value.at("module").get<std::string>();
      c.existed = value.at("existed").get<bool>();
      c.before = bytes_from_json(value.at("before"));
      c.meta = meta_from_json(value.at("meta"));
      c.after = value.at("after").get<std::string>();
      c.earlier = value.at("earlier").get<std::string>();
      c.mixed = value.at("mixed").get<bool>();
      c.directories = value.at("directories").get<std::vector<std::string>>();
      out.push_back(std::move(c));
    }
    return out;
  } catch (const nlohmann::detail::exception&) {
    return damaged(undo_file(path));
  }
}

Result<> save_contributions(Host& host, const std::string& path, const Contributions& all) {
  const std::string record = undo_file(path);
  if (all.empty()) {
    if (host.exists(record)) return host.remove_file(record);
    return {};
  }
  json list = json::array();
  for (const Contribution& c : all)
    list.push_back({{"module", c.module},
                    {"existed", c.existed},
                    {"before", text::base64(c.before)},
                    {"meta", meta_to_json(c.meta)},
                    {"after", c.after},
                    {"earlier", c.earlier},
                    {"mixed", c.mixed},
                    {"directories", c.directories}});
  return save(host, "undo", record, {{"path", path}, {"contributions", std::move(list)}});
}

/// Every path that has an undo record. What only root may see is none for others, who can but check.
Result<std::vector<std::string>> recorded_paths(const HostView& host) {
  std::vector<std::string> out;
  const auto names = records(host, "undo");
  if (!names && names.error().code != EACCES) return names.error();
  for (const std::string& name : names.value_or({})) {
    const std::string file = directory("undo") + "/" + name;
    const auto record = PVEGPU_TRY(load(host, file));
    if (!record) continue;
    if (!record->contains("path") || !(*record)["path"].is_string()) return damaged(file);
    out.push_back((*record)["path"].get<std::string>());
  }
  return out;
}

/// Directories that we made above `path`, for it or for its neighbours: whoever goes last removes them.
Result<std::vector<std::string>> made_above(const HostView& host, const std::string& path) {
  std::vector<std::string> out;
  for (const std::string& other : PVEGPU_TRY(recorded_paths(host)))
    for (const Contribution& c : PVEGPU_TRY(contributions(host, other)))
      for (const std::string& d : c.directories)
        if (path.starts_with(d + "/")) out.push_back(d);
  return out;
}

/// Adds to directories above one path; the outermost stays first.
void add_directories(std::vector<std::string>& to, const std::vector<std::string>& more) {
  to.insert(to.end(), more.begin(), more.end());
  std::sort(to.begin(), to.end());
  to.erase(std::unique(to.begin(), to.end()), to.end());
}

Contributions::iterator find(Contributions& all, const std::string& module) {
  return std::find_if(all.begin(), all.end(), [&](const Contribution& c) { return c.module == module; });
}

}  // namespace

Result<std::vector<Owed>> owed(const HostView& host) {
  std::vector<Owed> out;
  PVEGPU_TRY(trusted_record(host, state_dir));
  for (const std::string& name : PVEGPU_TRY(records(host, "pending"))) {
    const std::string path = directory("pending") + "/" + name;
    const auto record = PVEGPU_TRY(load(host, path));
    if (record) out.push_back(PVEGPU_TRY(owed_from_json(*record, path)));
  }
  std::stable_sort(out.begin(), out.end(), [](const Owed& a, const Owed& b) { return a.follow_up.rank < b.follow_up.rank; });
  return out;
}

Result<> owe(Host& host, const Owed& wish) {
  const std::string path = file("pending", wish.follow_up.id());
  Owed merged = wish;
  if (const auto record = PVEGPU_TRY(load(host, path))) {
    Owed old = PVEGPU_TRY(owed_from_json(*record, path));
    for (const std::string& module : old.modules)
      if (std::find(merged.modules.begin(), merged.modules.end(), module) == merged.modules.end()) merged.modules.push_back(module);
    for (const BeforeImage& image : merged.images) {
      const auto same = std::find_if(old.images.begin(), old.images.end(), [&](const BeforeImage& i) { return i.path == image.path; });
      if (same == old.images.end())
        old.images.push_back(image);
      else
        same->after = image.after;
    }
    merged.images = std::move(old.images);
  }
  json images = json::array();
  for (const BeforeImage& image : merged.images) images.push_back(image_to_json(image));
  return save(
      host, "pending", path,
      {{"follow_up", merged.follow_up.to_json()}, {"modules", merged.modules}, {"put_off", merged.put_off}, {"images", std::move(images)}});
}

Result<> settle(Host& host, const FollowUp& done) {
  const std::string path = file("pending", done.id());
  if (host.exists(path)) return host.remove_file(path);
  return {};
}

Result<std::optional<UndoView>> undo(const HostView& host, const std::string& module, const std::string& path) {
  Contributions all = PVEGPU_TRY(contributions(host, path));
  const auto mine = find(all, module);
  if (mine == all.end()) return std::optional<UndoView>();
  const auto now = PVEGPU_TRY(bytes_of(host, path));
  const bool last = std::next(mine) == all.end();
  return std::optional<UndoView>(
      UndoView{path, mine->existed, mine->before, mine->meta, last && !mine->mixed && mine->matches(now), mine->directories});
}

Result<std::vector<std::string>> undo_paths(const HostView& host, const std::string& module) {
  std::vector<std::string> out;
  for (const std::string& path : PVEGPU_TRY(recorded_paths(host))) {
    auto all = PVEGPU_TRY(contributions(host, path));
    if (find(all, module) != all.end()) out.push_back(path);
  }
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::optional<std::string>> undo_record(const HostView& host, const std::string& path) {
  return record_bytes(host, undo_file(path));
}

Result<> record_undo(Host& host, const std::string& module, const FileChange& change) {
  Contributions all = PVEGPU_TRY(contributions(host, change.path));
  const auto now = PVEGPU_TRY(bytes_of(host, change.path));
  const std::string after = change.gone ? std::string() : text::sha256_hex(change.content);
  const auto mine = find(all, module);
  if (mine == all.end()) {
    Contribution c;
    c.module = module;
    c.existed = now.has_value();
    c.before = now.value_or("");
    if (const auto info = host.stat(change.path)) c.meta = {info->mode, info->uid, info->gid};
    c.after = after;
    add_directories(c.directories, change.directories);
    add_directories(c.directories, PVEGPU_TRY(made_above(host, change.path)));
    all.push_back(std::move(c));
  } else {
    if (std::next(mine) != all.end())  // others built on our version: neither theirs nor ours may come back whole
      for (auto it = mine; it != all.end(); ++it) it->mixed = true;
    else if (!mine->matches(now))
      mine->mixed = true;
    mine->earlier = now == mine->old_bytes() ? std::string() : fingerprint(now);
    mine->after = after;
    add_directories(mine->directories, change.directories);
  }
  return save_contributions(host, change.path, all);
}

Result<> forget_undo(Host& host, const std::string& module, const FileChange& withdrawn, const std::optional<std::string>& before) {
  Contributions all = PVEGPU_TRY(contributions(host, withdrawn.path));
  const auto mine = find(all, module);
  if (mine == all.end()) return {};
  const std::string after = withdrawn.gone ? std::string() : text::sha256_hex(withdrawn.content);
  for (auto it = std::next(mine); it != all.end(); ++it) {
    if (it->after == fingerprint(before)) it->after = after;
    if (!it->existed) continue;
    const auto rest = withdrawn.without_ours ? withdrawn.without_ours(it->before) : std::optional<std::string>(it->before);
    it->existed = rest.has_value();
    it->before = rest.value_or("");
  }
  all.erase(mine);
  return save_contributions(host, withdrawn.path, all);
}

Result<> restore_undo_record(Host& host, const std::string& path, const std::optional<std::string>& record) {
  const std::string target = undo_file(path);
  if (record) return host.write_file(target, *record, {.mode = 0600, .uid = {}, .gid = {}});
  if (host.exists(target)) return host.remove_file(target);
  return {};
}

Result<std::optional<std::string>> waiting_since(const HostView& host, const std::string& instance, const Wait& wait) {
  const auto record = PVEGPU_TRY(load(host, wait_file(instance)));
  if (!record) return std::optional<std::string>();
  try {
    for (const json& each : record->at("waits"))
      if (each.at("on") == wait.on && each.at("reason") == wait.reason)
        return std::optional<std::string>(each.at("boot_id").get<std::string>());
  } catch (const nlohmann::detail::exception&) {
    return damaged(wait_file(instance));
  }
  return std::optional<std::string>();
}

Result<> record_waits(Host& host, const std::string& instance, const std::vector<Wait>& waits, const std::string& boot_id) {
  const std::string path = wait_file(instance);
  const auto old = PVEGPU_TRY(load(host, path));
  if (waits.empty()) return old ? host.remove_file(path) : Result<>();
  json list = json::array();
  for (const Wait& wait : waits) {
    const auto since = PVEGPU_TRY(waiting_since(host, instance, wait));
    list.push_back({{"on", wait.on}, {"reason", wait.reason}, {"boot_id", since.value_or(boot_id)}});
  }
  const json record{{"instance", instance}, {"waits", std::move(list)}};
  if (old == record) return {};
  return save(host, "waits", path, record);
}

Result<std::optional<json>> note(const HostView& host, const NoteName& name) {
  for (const std::string& path : {note_file(name), name.formerly}) {
    if (path.empty()) continue;
    auto record = load(host, path);
    if (!record && record.error().code != EACCES) return record.error();
    if (!record || !*record) continue;
    if (path == name.formerly) return *record;
    if (!(*record)->contains("value")) return damaged(path);
    return std::optional<json>((**record)["value"]);
  }
  return std::optional<json>();
}

Result<> keep_note(Host& host, const NoteChange& change) {
  const std::string path = note_file(change.name), &old = change.name.formerly;
  if (change.value)
    PVEGPU_TRY(save(host, "notes", path, {{"module", change.name.module}, {"key", change.name.key}, {"value", *change.value}}));
  else if (host.exists(path))
    PVEGPU_TRY(host.remove_file(path));
  if (old.empty()) return {};
  for (const std::string& each : {old, old + temporary_suffix})
    if (host.exists(each)) PVEGPU_TRY(host.remove_file(each));
  const std::string above = old.substr(0, old.rfind('/'));
  const auto names = host.list_dir(above);
  return names && names->empty() ? host.remove_dir(above) : Result<>();
}

Result<> clear_torn(Host& host) {
  for (const std::string& path : recorded_paths(host).value_or({}))
    if (const std::string torn = path + temporary_suffix; host.exists(torn)) (void)PVEGPU_TRY(host.remove_file(torn));
  return {};
}

Result<> tidy(Host& host) {
  for (const std::string& each :
       {directory("pending"), directory("undo"), directory("waits"), directory("notes"), std::string(state_dir)}) {
    auto names = host.list_dir(each);
    if (!names) continue;
    PVEGPU_TRY(trusted_record(host, each));
    for (const std::string& name : *names)
      if (name.ends_with(temporary_suffix)) (void)PVEGPU_TRY(host.remove_file(each + "/" + name));  // of a killed run
    std::erase_if(*names, [](const std::string& name) { return name.ends_with(temporary_suffix); });
    if (!names->empty()) continue;
    // A mount point stays, and what somebody put there meanwhile.
    if (auto gone = host.remove_dir(each); !gone && gone.error().code != EBUSY && gone.error().code != ENOTEMPTY) return gone;
  }
  return {};
}

}  // namespace pvegpu::journal
