// SPDX-License-Identifier: MIT
// The journal's memory of what files were before we changed them: one record a file, with what each module did to it.
#include "common/core/records.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::journal {
namespace {

std::string undo_file(std::string_view path) { return file("undo", text::sha256_hex(path).substr(0, 16)); }

/// What a file's bytes are known by; "" for no file.
std::string fingerprint(const std::optional<std::string>& bytes) { return bytes ? text::sha256_hex(*bytes) : std::string(); }

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

Result<> clear_torn(Host& host) {
  for (const std::string& path : recorded_paths(host).value_or({}))
    if (const std::string torn = path + temporary_suffix; host.exists(torn)) (void)PVEGPU_TRY(host.remove_file(torn));
  return {};
}

}  // namespace pvegpu::journal
