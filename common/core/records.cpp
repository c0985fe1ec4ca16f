// SPDX-License-Identifier: MIT
// Records: their names, bytes and JSON.
#include "common/core/records.hpp"

#include "common/base/json_integer.hpp"
#include "common/host/trust.hpp"
#include "common/base/strings.hpp"

namespace pvegpu::journal {

std::string directory(std::string_view kind) { return fmt::format("{}/{}", state_dir, kind); }
std::string file(std::string_view kind, std::string_view id) { return fmt::format("{}/{}.json", directory(kind), id); }

Result<std::optional<std::string>> bytes_of(const HostView& host, const std::string& path) {
  auto bytes = host.read_file(path);
  if (bytes) return std::optional<std::string>(*std::move(bytes));
  if (bytes.error().not_found()) return std::optional<std::string>();
  return bytes.error();
}

Error damaged(const std::string& path) { return {fmt::format("{} is damaged; look at what it says, then move it away", path)}; }

Result<> trusted_record(const HostView& host, const std::string& path) { return trusted_below(host, state_dir, path); }

Result<std::optional<std::string>> record_bytes(const HostView& host, const std::string& path) {
  PVEGPU_TRY(trusted_record(host, path));
  return bytes_of(host, path);
}

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

std::string bytes_from_json(const json& value) {
  const std::string text = value.get<std::string>();
  std::string out = text::from_base64(text);
  if (out.empty() && !text.empty()) throw_type_error();
  return out;
}

}  // namespace pvegpu::journal
