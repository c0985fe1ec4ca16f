// SPDX-License-Identifier: MIT
// Where secrets stand, and their masks.
#include "common/record/masks.hpp"

#include "common/record/forms.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::record {
namespace {

std::string padded(std::size_t number, std::size_t width) { return fmt::format("{:0{}}", number, width); }

std::string mask_of(Secret kind, const std::string& secret, std::size_t number, std::size_t width) {
  const std::string n = padded(number, width);
  switch (kind) {
    case Secret::node:
      return "host" + n;
    case Secret::guest:
      return "guest" + n;
    case Secret::user:
      return "user" + n;
    case Secret::internet:
      return "machine" + n + ".example.org";
    case Secret::domain:
      return "domain" + n + ".example.org";
    case Secret::uuid:
      return fmt::format("00000000-aaaa-4000-8000-{:012}", number);
    case Secret::id:
      return fmt::format("20010db8{:024}", number);
    case Secret::volume:
      return fmt::format("AAAA-{:04}", number);
    case Secret::mac: {
      const char separator = secret[2];
      std::string out = "02";
      for (std::size_t i = 2; i < secret.size() - 6; i += 3) out += fmt::format("{}00", separator);
      return out + fmt::format("{}{:02}{}{:02}", separator, number / 100 % 100, separator, number % 100);
    }
    case Secret::ipv4:
      return fmt::format("198.{}.{}.{}", 18 + (number - 1) / 62500 % 2, (number - 1) / 250 % 250, (number - 1) % 250 + 1);
    case Secret::ipv6:
      return fmt::format("2001:db8::{:04x}", number);
    case Secret::mail:
      return "mail" + n + "@example.org";
    case Secret::disk: {
      const auto part = secret.find("-part"), dash = secret.find('-');
      return secret.substr(0, dash) + "-MASKED_" + n + (part == secret.npos ? "" : secret.substr(part));
    }
    case Secret::number:
      return "SERIAL" + n;
    case Secret::word:
      return "masked" + n;
  }
  return {};
}

}  // namespace

/// A word of the system itself, or one that many would choose: it tells nobody.
bool Masks::common(std::string_view word) const {
  constexpr std::string_view words[] = {"pve",   "proxmox", "node",  "host",    "hv",      "server",   "gpu",     "vm",     "ct",
                                        "guest", "test",    "root",  "debian",  "windows", "linux",    "ubuntu",  "nvidia", "intel",
                                        "amd",   "vgpu",    "vfio",  "local",   "lab",     "data",     "default", "none",   "admin",
                                        "user",  "cloud",   "quiet", "desktop", "vdi",     "template", "farm"};
  std::string plain = text::lower(word);
  while (!plain.empty() && !(plain.back() >= 'a' && plain.back() <= 'z')) plain.pop_back();
  return plain.empty() || std::find(std::begin(words), std::end(words), plain) != std::end(words) || technical_.count(word) > 0 ||
         technical_.count(text::lower(word)) > 0;
}

void Masks::add(Secret kind, std::string_view value) {
  if (value.size() < 3) return;
  const bool name = kind <= Secret::user;
  if (!name && kind != Secret::internet) {
    secrets_.emplace(value, kind);
    return;
  }
  if (kind == Secret::internet && (is_public_machine(value) || ipv4_at(value, 0) == value.size() || ipv6_at(value, 0) == value.size()))
    return scan(value);
  if (!name && value.find('.') == value.npos) kind = Secret::node;
  // As it is written, and as others write it.
  std::string upper(value);
  std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  for (const std::string& spelling : {std::string(value), text::lower(value), upper}) {
    const auto [known, is_new] = secrets_.emplace(spelling, kind);
    if (!is_new) known->second = std::min(known->second, kind);
  }
}

void Masks::scan(std::string_view text) {
  struct Form {
    Secret kind;
    std::size_t (*length)(std::string_view, std::size_t);
  };
  constexpr Form forms[] = {
      {Secret::uuid, uuid_at}, {Secret::id, id_at}, {Secret::mac, mac_at}, {Secret::ipv4, ipv4_at}, {Secret::ipv6, ipv6_at}};
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!is_hex(text[i]) && text[i] != 'e' && text[i] != ':') continue;
    if (i > 0 && is_alnum(text[i - 1])) continue;
    for (const Form& form : forms) {
      const std::size_t length = form.length(text, i);
      if (length == 0) continue;
      const std::string_view found = text.substr(i, length);
      const bool is_public = form.kind == Secret::uuid ? is_public_uuid(found)
                             : form.kind == Secret::ipv4
                                 ? is_public_address(found)
                                 : found.find_first_not_of("0:-1") == found.npos || found.find_first_not_of("fF:-") == found.npos;
      if (!is_public) secrets_.emplace(found, form.kind);
      i += length - 1;
      break;
    }
  }
  scan_urls(text);
  scan_mail(text);
  scan_settings(text);
}

void Masks::scan_urls(std::string_view text) {
  for (auto mark = text.find("://"); mark != text.npos; mark = text.find("://", mark + 3)) {
    const std::size_t begin = mark + 3;
    const std::size_t word = run_of(text, begin, [](char c) { return !is_blank(c) && !is_one_of(c, "\"'<>`"); });
    std::string_view authority = text.substr(begin, std::min(text.find_first_of("/?#", begin), begin + word) - begin);
    auto login = authority.rfind('@');
    if (const auto colon = authority.find(':'); login == authority.npos && colon != authority.npos && !authority.starts_with('[') &&
                                                authority.find_first_not_of("0123456789", colon + 1) != authority.npos) {
      authority = text.substr(begin, word);  // a password with a slash in it
      login = authority.rfind('@');
    }
    if (login != authority.npos) {
      const std::string_view who = authority.substr(0, login);
      const auto colon = who.find(':');
      add(Secret::user, who.substr(0, colon));
      if (colon != who.npos) add(Secret::word, who.substr(colon + 1));
      authority.remove_prefix(login + 1);
      authority = authority.substr(0, authority.find_first_of("/?#"));
    }
    if (!authority.starts_with('[')) add(Secret::internet, authority.substr(0, authority.find(':')));
    const std::string_view rest = text.substr(begin, word);
    if (const auto query = rest.find('?'); query != rest.npos) add(Secret::word, rest.substr(query + 1));
    // A token in the path: long, with digits and letters, and no word.
    for (const std::string& part : text::split(rest, '/')) {
      const auto digits = std::count_if(part.begin(), part.end(), is_digit);
      if (part.size() >= 20 && digits >= 3 && run_of(part, 0, is_alnum) == part.size()) add(Secret::word, part);
    }
  }
}

void Masks::scan_mail(std::string_view text) {
  const auto in_name = [](char c) { return is_alnum(c) || is_one_of(c, "._%+-"); };
  const auto in_domain = [](char c) { return is_alnum(c) || is_one_of(c, ".-"); };
  for (auto mark = text.find('@'); mark != text.npos; mark = text.find('@', mark + 1)) {
    std::size_t begin = mark;
    while (begin > 0 && in_name(text[begin - 1])) --begin;
    std::string_view domain = text.substr(mark + 1, run_of(text, mark + 1, in_domain));
    while (!domain.empty() && !is_alnum(domain.back())) domain.remove_suffix(1);
    if (begin == mark || domain.empty()) continue;
    std::size_t word = begin;
    while (word > 0 && !is_blank(text[word - 1])) --word;
    if (text::contains(text.substr(word, mark - word), "://")) continue;  // the login of a URL
    const std::string_view name = text.substr(begin, mark - begin);
    for (const char* realm : {"pam", "pve", "pbs", "ldap", "ad"})
      if (domain == realm) add(Secret::user, name);
    const auto dot = domain.rfind('.');
    if (dot == domain.npos || is_public_machine(domain)) continue;
    const std::string_view last = domain.substr(dot + 1);
    const bool unit = [&] {  // NAME@INSTANCE.service
      for (const char* type :
           {"service", "socket", "target", "timer", "path", "mount", "slice", "scope", "device", "swap", "automount", "conf"})
        if (last == type) return true;
      return false;
    }();
    if (last.size() < 2 || unit || std::any_of(last.begin(), last.end(), is_digit)) continue;
    add(Secret::mail, text.substr(begin, mark + 1 + domain.size() - begin));
    add(Secret::internet, domain);
  }
}

/// What is written behind a word that says what it is.
void Masks::scan_settings(std::string_view text) {
  struct Setting {
    const char* word;
    Secret kind;
    const char* before;  ///< what may stand between it and the value, beside blanks and quotes; one of these must
  };
  constexpr Setting settings[] = {
      {"password", Secret::word, "=:"},
      {"passwd", Secret::word, "=:"},
      {"passphrase", Secret::word, "=:"},
      {"secret", Secret::word, "=:"},
      {"token", Secret::word, "=:"},
      {"api_key", Secret::word, "=:"},
      {"apikey", Secret::word, "=:"},
      {"api-key", Secret::word, "=:"},
      {"psk", Secret::word, "=:"},
      {"credential", Secret::word, "=:"},
      {"serial", Secret::number, "=:"},
      {"serialnumber", Secret::number, "=:"},
      {"serial number", Secret::number, "=:"},
      {"serial_number", Secret::number, "=:"},
      {"asset tag", Secret::number, "=:"},
      {"/home/", Secret::user, ""},
      {"by-id/", Secret::disk, ""},
      {"by-uuid/", Secret::volume, ""},
      {"uuid=", Secret::volume, ""},
      {"wwn-", Secret::number, ""},
      {"eui.", Secret::number, ""},
      {"naa.", Secret::number, ""},
      {"iqn.", Secret::number, ""},
      {"grub.pbkdf2.", Secret::word, ""},
      {"eyj", Secret::word, ""},
      {"lvmid/", Secret::number, ""},
      {"enx", Secret::number, ""},
      {"guid\t", Secret::number, ""},
  };
  const std::string small = text::lower(text);
  for (const Setting& setting : settings) {
    const std::string_view word = setting.word;
    for (auto found = small.find(word); found != small.npos; found = small.find(word, found + word.size())) {
      std::size_t i = found + word.size();
      bool sign = *setting.before == '\0';
      while (i < text.size() && (is_one_of(text[i], setting.before) || (!sign && is_one_of(text[i], " \t\"'")) ||
                                 (*setting.before && is_one_of(text[i], " \"'")))) {
        sign = sign || is_one_of(text[i], setting.before);
        ++i;
      }
      if (!sign) continue;
      const bool path = *setting.before == '\0';
      const std::string_view value = text.substr(
          i, run_of(text, i, [&](char c) { return !is_blank(c) && c != '\0' && !is_one_of(c, path ? "/\"',;:)" : "\"',;&)|"); }));
      const bool any_digit = std::any_of(value.begin(), value.end(), is_digit);
      if (setting.kind == Secret::volume) {
        if (volume_at(value, 0) == 9) add(Secret::volume, value.substr(0, 9));
      } else if (setting.kind == Secret::number) {
        if (value.size() >= 5 && any_digit) add(Secret::number, value);
      } else if (setting.kind != Secret::word || value.size() >= 16 || (*setting.before && value.size() >= 4)) {
        for (const char* no_secret : {"true", "false", "none", "null", "********"})
          if (value == no_secret) goto next;
        add(setting.kind, value);
      }
    next:;
    }
  }
}

void Masks::settle() {
  std::map<Secret, std::map<std::string, std::size_t>> numbers;  // spellings of a name that differ in case have one
  const auto key = [](const std::string& secret, Secret kind) { return kind <= Secret::domain ? text::lower(secret) : secret; };
  for (const auto& [secret, kind] : secrets_)
    if (!(kind <= Secret::user && common(secret))) numbers[kind][key(secret, kind)] = 0;
  for (auto& [kind, all] : numbers) {
    std::size_t number = 0;
    for (auto& [secret, mine] : all) mine = ++number;
  }
  for (const auto& [secret, kind] : secrets_) {
    const auto& all = numbers[kind];
    const auto mine = all.find(key(secret, kind));
    if (mine != all.end())
      masks_.emplace(secret, mask_of(kind, secret, mine->second, std::max<std::size_t>(2, std::to_string(all.size()).size())));
  }
}

std::string Masks::text(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size();) {
    const bool inside = i > 0 && is_alnum(text[i - 1]) && is_alnum(text[i]);
    // The longest secret that the text goes on with: the last one that is not greater than it, or a beginning that both share.
    std::string_view ahead = inside ? std::string_view() : text.substr(i, 4096);
    const std::pair<const std::string, std::string>* found = nullptr;
    while (!ahead.empty()) {
      auto entry = masks_.upper_bound(ahead);
      if (entry == masks_.begin()) break;
      --entry;
      const std::string& secret = entry->first;
      std::size_t shared = 0;
      while (shared < secret.size() && shared < ahead.size() && secret[shared] == ahead[shared]) ++shared;
      if (shared == secret.size() && !(is_alnum(secret.back()) && is_alnum(at(text, i + shared)))) {
        found = &*entry;
        break;
      }
      ahead = ahead.substr(0, shared == secret.size() ? shared - 1 : shared);
    }
    if (found) {
      out += found->second;
      i += found->first.size();
    } else {
      out += text[i++];
    }
  }
  return out;
}

json Masks::value(const json& value) const {
  if (value.is_string()) return text(value.get_ref<const std::string&>());
  if (!value.is_structured()) return value;
  json out = value.is_array() ? json::array() : json::object();
  for (const auto& [key, item] : value.items())
    if (value.is_array())
      out.push_back(this->value(item));
    else
      out[text(key)] = this->value(item);
  return out;
}

}  // namespace pvegpu::record
