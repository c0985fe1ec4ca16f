// SPDX-License-Identifier: MIT
// The executor's memory: one small JSON file per owed follow-up, waiting task and note. What files were before is in undo.cpp.
#include "common/core/records.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::journal {
namespace {

std::string note_file(const NoteName& name) { return file("notes", text::sha256_hex(name.module + "\x1f" + name.key).substr(0, 16)); }
std::string wait_file(std::string_view instance) { return file("waits", text::sha256_hex(instance).substr(0, 16)); }

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

Result<bool> owe(Host& host, const Owed& wish) {
  const std::string path = file("pending", wish.follow_up.id());
  Owed merged = wish;
  const auto record = PVEGPU_TRY(load(host, path));
  if (record) {
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
  PVEGPU_TRY(save(host, "pending", path,
                  {{"follow_up", merged.follow_up.to_json()},
                   {"modules", merged.modules},
                   {"put_off", merged.put_off},
                   {"images", std::move(images)}}));
  return !record;
}

Result<> settle(Host& host, const FollowUp& done) {
  const std::string path = file("pending", done.id());
  if (host.exists(path)) return host.remove_file(path);
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
