// SPDX-License-Identifier: MIT
// Where secrets stand on a Proxmox VE host.
#include "common/record/privacy.hpp"

#include "common/base/strings.hpp"

#include <algorithm>
#include <functional>

namespace pvegpu::record {
namespace {

constexpr std::string_view nodes = "/etc/pve/nodes/", notes = "/var/lib/pve-gpu/";

bool is_guest_file(std::string_view path) {
  return path.starts_with("/etc/pve/") && path.ends_with(".conf") &&
         (text::contains(path, "/qemu-server/") || text::contains(path, "/lxc/"));
}

/// Scripts of the host's owner, not of packages: in these only what is about devices is of interest.
bool is_script(std::string_view path, std::string_view bytes) {
  for (const char* folder : {"/etc/cron", "/var/spool/cron/", "/etc/rc.local"})
    if (path.starts_with(folder)) return true;
  if (!bytes.starts_with("#!") || text::contains(path, "pve-gpu")) return false;
  for (const char* folder : {"/usr/lib/", "/usr/bin/", "/usr/sbin/", "/usr/share/", "/lib/", "/bin/", "/sbin/", "/etc/init.d/"})
    if (path.starts_with(folder)) return false;
  return true;
}

std::string by_lines(std::string_view bytes, const std::function<std::string(const std::string&)>& kept) {
  std::string out;
  for (const std::string& line : text::lines(bytes)) out += kept(line) + "\n";
  if (!bytes.ends_with('\n') && !out.empty()) out.pop_back();
  return out;
}

/// "key: value" or "key value": its key, without white space before it.
std::string key_of(const std::string& line) {
  const auto begin = line.find_first_not_of(" \t");
  return begin == line.npos ? std::string() : line.substr(begin, std::min(line.find_first_of(": \t=", begin), line.size()) - begin);
}
std::string value_of(const std::string& line) {
  const std::string key = key_of(line);
  const auto begin = line.find_first_not_of(" \t:=", line.find(key) + key.size());
  return begin == line.npos ? std::string() : text::trim(line.substr(begin));
}

/// Settings of a guest that are nobody else's business.
bool is_guests_own(std::string_view key) {
  constexpr std::string_view own[] = {"description",  "tags",       "ciuser",   "cipassword", "sshkeys",
                                      "searchdomain", "nameserver", "cicustom", "smbios1"};
  return std::find(std::begin(own), std::end(own), key) != std::end(own) || key.starts_with("ipconfig");
}

/// What a judgement can't want of a file: line numbers stay.
std::string without_private(const std::string& path, const std::string& bytes) {
  if (bytes.starts_with("\x7f"
                        "ELF"))
    return bytes.substr(0, 4);                                                                // that it is no script is what is asked
  if (path.starts_with("/proc/") && path.ends_with("/cmdline") && path != "/proc/cmdline") {  // of a process: which guest it is
    std::string out;
    for (const std::string& word : text::split(bytes, '\0'))
      if (text::contains(word, "/run/qemu-server/")) out += word + '\0';
    return out;
  }
  if (path == "/proc/net/unix")
    return by_lines(bytes, [](const std::string& line) { return text::contains(line, "@/var/lib/lxc/") ? line : std::string(); });
  if (path == "/proc/net/route")
    return by_lines(bytes, [](const std::string& line) {
      auto words = text::words(line);
      for (std::size_t i = 1; i < words.size(); ++i)
        if (words[i].size() == 8 && words[i].find_first_not_of("0123456789ABCDEF") == std::string::npos) words[i] = "00000000";
      return fmt::format("{}", fmt::join(words, "\t"));
    });
  if (is_guest_file(path))
    return by_lines(bytes, [](const std::string& line) {
      if (line.starts_with('#')) return std::string("#");
      return is_guests_own(key_of(line)) ? "#" + key_of(line) : line;
    });
  if (path.starts_with("/etc/pve/") && !path.starts_with("/etc/pve/ha/manager_status"))
    return by_lines(bytes, [](const std::string& line) { return key_of(line).starts_with('#') ? std::string("#") : line; });
  if (is_script(path, bytes))
    return by_lines(bytes, [&](const std::string& line) {
      if (line.starts_with("#!")) return line;
      for (const char* word : {"sriov", "nvidia", "pci", "vfio", "mdev", "i915", "modprobe", "0000:"})
        if (text::contains(line, word)) return line;
      return std::string();
    });
  return bytes;
}

/// A comment that only names a model ("RTX A4000") is no secret: the same words stand in what judgements say.
bool is_model(const std::string& comment) {
  constexpr std::string_view makers[] = {"NVIDIA", "RTX", "Tesla", "GRID", "Quadro", "GeForce",
                                         "Intel",  "Arc", "UHD",   "Iris", "AMD",    "Radeon"};
  for (const std::string& word : text::words(comment))
    if (word.find_first_of("0123456789") == word.npos && std::find(std::begin(makers), std::end(makers), word) == std::end(makers))
      return false;
  return true;
}

/// "pve1.example.com": its label and its domain.
void add_host(Masks& out, const std::string& name) {
  const auto dot = name.find('.');
  if (name.find_first_not_of("0123456789.") == name.npos || text::contains(name, ":")) return;  // an address, which is found anyway
  out.add(Secret::node, name.substr(0, dot));
  if (dot != name.npos) out.add(Secret::domain, name.substr(dot + 1));
}

void learn_file(Masks& out, const std::string& path, const std::string& bytes) {
  const auto each_line = [&](const std::function<void(const std::string& key, const std::string& value)>& learn) {
    for (const std::string& line : text::lines(bytes)) learn(key_of(line), value_of(line));
  };
  if (path == "/etc/hostname" || path == "/proc/sys/kernel/hostname") {
    add_host(out, text::trim(bytes));
  } else if (path.ends_with("/corosync.conf")) {
    each_line([&](const std::string& key, const std::string& value) {
      if (key == "name" || key.starts_with("ring")) add_host(out, value);
      if (key == "cluster_name") out.add(Secret::node, value);
    });
  } else if (path == "/etc/pve/.members") {
    const auto members = parse_json(bytes);
    if (members && members->is_object()) {
      const json list = members->value("nodelist", json::object());
      for (const auto& [name, node] : list.items()) add_host(out, name);
      if (const json cluster = members->value("cluster", json::object()); cluster.contains("name") && cluster["name"].is_string())
        out.add(Secret::node, cluster["name"].get<std::string>());
    }
  } else if (is_guest_file(path)) {
    each_line([&](const std::string& key, const std::string& value) {
      if (key == "name" || key == "hostname") return out.add(Secret::guest, value);
      if (key == "ciuser") out.add(Secret::user, value);
      if (key.starts_with('#') || is_guests_own(key)) return;
      // Guests are called "cdrom" and "backup", too.
      std::string word;
      for (const char c : key + " " + value + " ") {
        if (!text::contains(" ,=:;", std::string_view(&c, 1))) {
          word += c;
        } else {
          out.is_technical(word);
          word.clear();
        }
      }
    });
  } else if (path.starts_with("/etc/pve/")) {
    each_line([&](const std::string& key, const std::string& value) {
      constexpr std::string_view machines[] = {"server", "server2", "monhost", "portal", "domain"};
      constexpr std::string_view people[] = {"username", "user", "password", "fingerprint", "encryption-key", "master-pubkey", "keyring"};
      if (std::find(std::begin(machines), std::end(machines), key) != std::end(machines))
        for (const std::string& name : text::split(value, ','))
          for (const std::string& one : text::words(name)) out.add(Secret::internet, one.substr(0, one.find(':')));
      if (std::find(std::begin(people), std::end(people), key) != std::end(people)) out.add(Secret::word, value);
      if ((key == "comment" || key == "description") && value.find(' ') != value.npos && !is_model(value)) out.add(Secret::word, value);
      if (key == "map" || key == "nodes")
        for (const std::string& part : text::split(value, ','))
          if (part.starts_with("node=")) out.add(Secret::node, part.substr(5));
    });
  } else if (path == "/proc/mounts") {
    for (const std::string& line : text::lines(bytes)) {
      if (!line.starts_with('/') && text::contains(line, ":/")) out.add(Secret::internet, line.substr(0, line.find(':')));
      if (line.starts_with("//")) out.add(Secret::internet, line.substr(2, line.find('/', 2) - 2));
      for (const char* option : {"username=", "domain=", "user="})
        if (const auto at = line.find(option); at != line.npos) {
          const auto begin = at + std::string_view(option).size();
          out.add(Secret::user, line.substr(begin, line.find_first_of(", ", begin) - begin));
        }
    }
  } else if (path == "/etc/kernel/proxmox-boot-uuids") {
    for (const std::string& line : text::lines(bytes)) out.add(Secret::volume, text::trim(line));
  } else if (path.starts_with("/sys/class/dmi/id/") ||
             (path.starts_with("/sys/") && (path.ends_with("/serial") || path.ends_with("/wwid")))) {
    for (const char* part : {"serial", "uuid", "asset_tag", "wwid"})
      if (text::contains(path.substr(path.rfind('/')), part)) out.add(Secret::number, text::trim(bytes));
  }
}

void learn_path(Masks& out, const std::string& path) {
  if (path.starts_with(nodes)) out.add(Secret::node, path.substr(nodes.size(), path.find('/', nodes.size()) - nodes.size()));
  for (const char* folder : {"/sys/", "/proc/", "/usr/", "/lib/", "/boot/"})
    if (path.starts_with(folder))
      for (const std::string& part : text::split(path, '/'))
        for (const std::string& word : text::split(part, '.')) out.is_technical(word);
  out.scan(path);
}

/// Every string in an answer, by what is done to it.
json each_string(const json& value, const std::function<std::string(const std::string&)>& change) {
  if (value.is_object() && value.size() == 1 && value.contains("base64")) return from_bytes(change(to_bytes(value)));
  if (value.is_string()) return from_bytes(change(value.get_ref<const std::string&>()));
  if (!value.is_structured()) return value;
  json out = value.is_array() ? json::array() : json::object();
  for (const auto& [key, item] : value.items())
    if (value.is_array())
      out.push_back(each_string(item, change));
    else
      out[key] = each_string(item, change);
  return out;
}

/// Our own notes keep what files were, in base64.
std::string in_notes(const std::string& bytes, const std::function<std::string(const std::string&)>& change) {
  const auto value = parse_json(bytes);
  if (!value) return change(bytes);
  const auto in_note = [&](const std::string& word) {
    if (std::string changed = change(word); changed != word || word.size() < 8) return changed;  // a checksum looks like base64
    const std::string inner = text::from_base64(word);
    return inner.empty() || text::base64(inner) != word ? word : text::base64(change(inner));
  };
  return dump_json(each_string(*value, in_note)) + "\n";
}

/// Of a file that could be read.
std::optional<std::string> content_of(const json& answer) {
  if (answer.is_string() || answer.contains("base64")) return to_bytes(answer);
  return std::nullopt;
}

}  // namespace

Masks masks_for(const Recording& recording) {
  Masks out;
  const auto scan = [&](const std::string& bytes) {
    out.scan(bytes);
    return bytes;
  };
  for (int i = 0; i < questions; ++i)
    for (const auto& [key, answer] : recording.answers[i]) {
      const auto question = static_cast<Question>(i);
      question == Question::query ? out.scan(key) : learn_path(out, key);
      if (question == Question::directory && (key == "/etc/pve/nodes" || key == "/dev/disk/by-id") && answer.is_array())
        for (const json& name : answer)
          if (name.is_string()) out.add(key == "/etc/pve/nodes" ? Secret::node : Secret::disk, name.get<std::string>());
      if (question == Question::link && key == "/etc/pve/local" && answer.is_string()) {
        const std::string target = answer.get<std::string>();
        out.add(Secret::node, target.substr(target.rfind('/') + 1));
      }
      if (question != Question::file) {
        (void)each_string(answer, scan);
      } else if (const auto content = content_of(answer)) {
        const std::string bytes = without_private(key, *content);
        learn_file(out, key, *content);
        key.starts_with(notes) ? (void)in_notes(bytes, scan) : out.scan(bytes);
      }
    }
  out.settle();
  // What is known by its checksum is known by that of its masked bytes.
  for (const auto& [path, answer] : recording.of(Question::file)) {
    const auto content = content_of(answer);
    if (!content) continue;
    const auto follow = [&](const std::string& bytes) {
      if (std::string changed = out.text(without_private(path, bytes)); changed != bytes && bytes.size() >= 8)
        out.replace(text::sha256_hex(bytes), text::sha256_hex(changed));
      return bytes;
    };
    path.starts_with(notes) ? (void)in_notes(*content, follow) : (void)follow(*content);
  }
  return out;
}

Recording masked(const Recording& recording, const Masks& masks) {
  Recording out = recording;
  const auto mask = [&](const std::string& bytes) { return masks.text(bytes); };
  for (int i = 0; i < questions; ++i) {
    out.answers[i].clear();
    for (const auto& [key, answer] : recording.answers[i]) {
      const auto question = static_cast<Question>(i);
      json kept = answer;
      if (const auto content = question == Question::file ? content_of(answer) : std::nullopt) {
        const std::string bytes = without_private(key, *content);
        kept = from_bytes(key.starts_with(notes) ? in_notes(bytes, mask) : mask(bytes));
      } else {
        kept = each_string(answer, mask);
      }
      if (question == Question::directory && kept.is_array()) std::sort(kept.begin(), kept.end());
      if (question == Question::query) {
        const auto words = parse_json(key);
        out.answers[i].emplace(words ? dump_json(masks.value(*words)) : mask(key), std::move(kept));
      } else {
        out.answers[i].emplace(mask(key), std::move(kept));
      }
    }
  }
  return out;
}

}  // namespace pvegpu::record
