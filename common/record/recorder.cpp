// SPDX-License-Identifier: MIT
// Questions and answers of a host: into a recording and out of it, both ways in one place.
#include "common/record/recorder.hpp"

#include "common/base/strings.hpp"
#include "common/text/deb822.hpp"
#include "common/text/microcode.hpp"

#include <algorithm>
#include <cstring>

namespace pvegpu::record {
namespace {

// --- answers as JSON and back: from_json throws as nlohmann does. Structures are taken apart, so that a member that comes to one must
// be recorded before this compiles.

json as_json(const std::string& bytes) { return from_bytes(bytes); }
void from_json(const json& value, std::string& out) { out = to_bytes(value); }

json as_json(const std::vector<std::string>& names) {
  json out = json::array();
  for (const std::string& name : names) out.push_back(from_bytes(name));
  return out;
}
void from_json(const json& value, std::vector<std::string>& out) {
  for (const json& name : value) out.push_back(to_bytes(name));
}

/// ["file", "0644", uid, gid, size]
constexpr const char* types[] = {"file", "directory", "link", "other"};
json as_json(const FileInfo& info) {
  const auto& [type, mode, uid, gid, size] = info;
  return {types[static_cast<int>(type)], fmt::format("{:04o}", mode), uid, gid, size};
}
void from_json(const json& value, FileInfo& out) {
  for (int i = 0; i < 4; ++i)
    if (value.at(0) == types[i]) out.type = static_cast<FileType>(i);
  out.mode = static_cast<unsigned>(std::strtoul(value.at(1).get_ref<const std::string&>().c_str(), nullptr, 8));
  out.uid = value.at(2).get<uid_t>();
  out.gid = value.at(3).get<gid_t>();
  out.size = value.at(4).get<std::uint64_t>();
}

json as_json(std::uint64_t number) { return number; }
void from_json(const json& value, std::uint64_t& out) { out = value.get<std::uint64_t>(); }

json as_json(const CommandResult& result) {
  const auto& [exit_code, timed_out, out, err] = result;
  json answer{{"exit", exit_code}, {"out", from_bytes(out)}, {"err", from_bytes(err)}};
  if (timed_out) answer["timed_out"] = true;
  return answer;
}
void from_json(const json& value, CommandResult& out) {
  out = {value.at("exit").get<int>(), value.value("timed_out", false), to_bytes(value.at("out")), to_bytes(value.at("err"))};
}

/// ["0000:41:00.0 10de:2235 0302", …]
json as_json(const std::vector<PciDevice>& devices) {
  json out = json::array();
  for (const auto& [address, vendor, device, device_class] : devices)
    out.push_back(fmt::format("{} {:04x}:{:04x} {:04x}", address, vendor, device, device_class));
  return out;
}
void from_json(const json& value, std::vector<PciDevice>& out) {
  for (const json& line : value) {
    const auto words = text::words(line.get_ref<const std::string&>());
    const auto number = [](const std::string& hex) { return static_cast<std::uint16_t>(std::strtoul(hex.c_str(), nullptr, 16)); };
    if (words.size() == 3 && words[1].size() == 9)
      out.push_back({words[0], number(words[1]), number(words[1].substr(5)), number(words[2])});
  }
}

json as_json(const KernelModule& module) {
  const auto& [available, built_in, file, version, license, parameters, loaded] = module;
  return {{"available", available}, {"built_in", built_in},     {"file", file},    {"version", from_bytes(version)},
          {"license", license},     {"parameters", parameters}, {"loaded", loaded}};
}
void from_json(const json& value, KernelModule& out) {
  auto& [available, built_in, file, version, license, parameters, loaded] = out;
  available = value.at("available").get<bool>();
  built_in = value.at("built_in").get<bool>();
  file = value.at("file").get<std::string>();
  version = to_bytes(value.at("version"));
  license = value.at("license").get<std::string>();
  parameters = value.at("parameters").get<std::vector<std::string>>();
  loaded = value.at("loaded").get<bool>();
}

// --- errors ------------------------------------------------------------------------------------------------------------------------

std::string usual_message(Question question, const std::string& key, int code) {
  return fmt::format("{} {}: {}", verb_of(question), key, std::strerror(code));
}

json error_as_json(Question question, const std::string& key, const Error& error) {
  json out{{"errno", error.code}};
  if (error.message != usual_message(question, key, error.code)) out["error"] = from_bytes(error.message);
  return out;
}

/// An answer that is an error has "errno", one that was not kept "secret".
std::optional<Error> as_error(Question question, const std::string& key, const json& answer) {
  if (!answer.is_object()) return std::nullopt;
  if (answer.contains("secret")) return Error{fmt::format("{} {}: it is kept secret", verb_of(question), key), EACCES};
  if (!answer.contains("errno")) return std::nullopt;
  const int code = answer["errno"].get<int>();
  return Error{answer.contains("error") ? to_bytes(answer["error"]) : usual_message(question, key, code), code};
}

template <class T>
Result<T> decode(Question question, const std::string& key, const json& answer) {
  try {
    if (auto error = as_error(question, key, answer)) return *std::move(error);
    T out{};
    from_json(answer, out);
    return out;
  } catch (const nlohmann::detail::exception&) {
    return Error{fmt::format("the recording is damaged at {}; get it again", key)};
  }
}

/// The answer that is there, or that `ask` gets.
template <class T, class Ask>
Result<T> remember(Recording& recording, Question question, const std::string& key, Ask ask) {
  auto& answers = recording.of(question);
  if (const auto known = answers.find(key); known != answers.end()) return decode<T>(question, key, known->second);
  Result<T> got = ask();
  answers.emplace(key, got ? as_json(*got) : error_as_json(question, key, got.error()));
  return got;
}

std::string key_of(const Query& query) { return dump_json(json(query.argv())); }
std::string key_of(std::uint16_t vendor, std::uint16_t device) { return fmt::format("{:04x}:{:04x}", vendor, device); }

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }

}  // namespace

bool is_secret_file(std::string_view path) {
  constexpr std::string_view folders[] = {"/etc/pve/priv/",
                                          "/etc/ssh/",
                                          "/etc/ssl/private/",
                                          "/etc/apt/auth.conf",
                                          "/etc/shadow",
                                          "/etc/gshadow",
                                          "/etc/nvidia/ClientConfigToken/"};
  constexpr std::string_view endings[] = {".key", ".pem", ".priv", ".tok", ".keyring", ".kdbx", ".p12"};
  for (const std::string_view folder : folders)
    if (path.starts_with(folder)) return true;
  for (const std::string_view ending : endings)
    if (path.ends_with(ending)) return true;
  return text::contains(path, "/.ssh/");
}

namespace {

/// Large files without what no judgement reads: descriptions and people in dpkg's books, the code of microcode.
Result<std::string> reduced(const std::string& path, Result<std::string> got) {
  constexpr std::string_view fields[] = {"Package", "Status", "Architecture", "Version"};
  if (got && path == "/var/lib/dpkg/status") return text::only_fields(*got, fields, std::size(fields));
  if (got && path.starts_with("/lib/firmware/") && text::contains(path, "-ucode/")) return text::microcode_headers(*std::move(got));
  return got;
}

}  // namespace

// --- Recorder ----------------------------------------------------------------------------------------------------------------------

Recorder::Recorder(const HostView& host) : host_(host) {
  recording_.uid = host.effective_uid();
  recording_.now = std::chrono::duration_cast<std::chrono::seconds>(host.now().time_since_epoch()).count();
  recording_.kernel_release = host.kernel_release();
}

std::chrono::system_clock::time_point Recorder::now() const {
  return std::chrono::system_clock::time_point(std::chrono::seconds(recording_.now));
}

Result<std::string> Recorder::read_file(const std::string& path) const {
  const auto secret = [&] {
    const json kept{{"secret", true}};
    recording_.of(Question::file)[path] = kept;
    return *as_error(Question::file, path, kept);
  };
  if (is_secret_file(path) && host_.exists(path)) return secret();
  auto got = remember<std::string>(recording_, Question::file, path, [&] { return reduced(path, host_.read_file(path)); });
  if (got && text::contains(*got, "PRIVATE KEY-----")) return secret();
  return got;
}

Result<std::string> Recorder::read_link(const std::string& path) const {
  return remember<std::string>(recording_, Question::link, path, [&] { return host_.read_link(path); });
}

Result<std::string> Recorder::sha256_of(const std::string& path) const {
  return remember<std::string>(recording_, Question::sum, path, [&] { return host_.sha256_of(path); });
}

Result<std::vector<std::string>> Recorder::list_dir(const std::string& path) const {
  return remember<std::vector<std::string>>(recording_, Question::directory, path, [&] { return host_.list_dir(path); });
}

Result<FileInfo> Recorder::stat(const std::string& path, Links links) const {
  const Question question = links == Links::follow ? Question::info : Question::info_of_link;
  return remember<FileInfo>(recording_, question, path, [&] { return host_.stat(path, links); });
}

Result<std::uint64_t> Recorder::free_space(const std::string& path) const {
  return remember<std::uint64_t>(recording_, Question::space, path, [&] { return host_.free_space(path); });
}

Result<CommandResult> Recorder::query(const Query& query) const {
  return remember<CommandResult>(recording_, Question::query, key_of(query), [&] { return host_.query(query); });
}

Result<std::vector<PciDevice>> Recorder::pci_devices() const {
  return remember<std::vector<PciDevice>>(recording_, Question::pci_devices, "", [&] { return host_.pci_devices(); });
}

std::string Recorder::pci_name(std::uint16_t vendor, std::uint16_t device) const {
  const auto ask = [&] { return Result<std::string>(host_.pci_name(vendor, device)); };
  return remember<std::string>(recording_, Question::pci_name, key_of(vendor, device), ask).value_or("");
}

Result<KernelModule> Recorder::kernel_module(const std::string& name, const std::string& release) const {
  return remember<KernelModule>(recording_, Question::kernel_module, name + " " + release,
                                [&] { return host_.kernel_module(name, release); });
}

// --- ReplayHost --------------------------------------------------------------------------------------------------------------------

std::vector<std::string> ReplayHost::missing() const {
  std::vector<std::string> out;
  for (const auto& [what, seen] : missing_) out.push_back(what);
  return out;
}

bool ReplayHost::known_absent(const std::string& path) const {
  std::string at = path;
  for (std::string up = parent_of(at); !up.empty(); at = up, up = parent_of(at)) {
    if (const auto listing = recording_->of(Question::directory).find(up); listing != recording_->of(Question::directory).end())
      if (listing->second.is_array()) {
        const json name = from_bytes(at.substr(up.size() + 1));
        return std::find(listing->second.begin(), listing->second.end(), name) == listing->second.end();
      }
    for (const Question question : {Question::info, Question::info_of_link, Question::directory, Question::file, Question::link}) {
      const auto answer = recording_->of(question).find(up);
      if (answer == recording_->of(question).end() || !answer->second.is_object()) continue;
      if (const json& code = answer->second.value("errno", json(0)); code == ENOENT || code == ENOTDIR) return true;
    }
  }
  return false;
}

Result<json> ReplayHost::find(Question question, const std::string& key) const {
  const auto& answers = recording_->of(question);
  if (const auto known = answers.find(key); known != answers.end()) return known->second;
  if (key.starts_with('/') && known_absent(key)) return json{{"errno", ENOENT}};
  missing_[key.empty() ? "the PCI devices" : key] = true;
  return Error{"not in the recording: " + key};
}

Result<std::string> ReplayHost::read_file(const std::string& path) const {
  return decode<std::string>(Question::file, path, PVEGPU_TRY(find(Question::file, path)));
}

Result<std::string> ReplayHost::read_link(const std::string& path) const {
  return decode<std::string>(Question::link, path, PVEGPU_TRY(find(Question::link, path)));
}

Result<std::string> ReplayHost::sha256_of(const std::string& path) const {
  return decode<std::string>(Question::sum, path, PVEGPU_TRY(find(Question::sum, path)));
}

Result<std::vector<std::string>> ReplayHost::list_dir(const std::string& path) const {
  return decode<std::vector<std::string>>(Question::directory, path, PVEGPU_TRY(find(Question::directory, path)));
}

Result<FileInfo> ReplayHost::stat(const std::string& path, Links links) const {
  const Question question = links == Links::follow ? Question::info : Question::info_of_link;
  return decode<FileInfo>(question, path, PVEGPU_TRY(find(question, path)));
}

Result<std::uint64_t> ReplayHost::free_space(const std::string& path) const {
  return decode<std::uint64_t>(Question::space, path, PVEGPU_TRY(find(Question::space, path)));
}

std::chrono::system_clock::time_point ReplayHost::now() const {
  return std::chrono::system_clock::time_point(std::chrono::seconds(recording_->now));
}

Result<CommandResult> ReplayHost::query(const Query& query) const {
  const std::string key = key_of(query);
  return decode<CommandResult>(Question::query, key, PVEGPU_TRY(find(Question::query, key)));
}

Result<std::vector<PciDevice>> ReplayHost::pci_devices() const {
  return decode<std::vector<PciDevice>>(Question::pci_devices, "", PVEGPU_TRY(find(Question::pci_devices, "")));
}

std::string ReplayHost::pci_name(std::uint16_t vendor, std::uint16_t device) const {
  const std::string key = key_of(vendor, device);
  const auto name = find(Question::pci_name, key);
  return name ? decode<std::string>(Question::pci_name, key, *name).value_or("") : std::string();
}

Result<KernelModule> ReplayHost::kernel_module(const std::string& name, const std::string& release) const {
  const std::string key = name + " " + release, directory = "/lib/modules/" + release;
  if (!recording_->of(Question::kernel_module).count(key) && known_absent(directory))
    return Error{fmt::format("{} is missing: no modules of kernel {} are installed", directory, release), ENOENT};  // as RealHost says it
  return decode<KernelModule>(Question::kernel_module, key, PVEGPU_TRY(find(Question::kernel_module, key)));
}

}  // namespace pvegpu::record
