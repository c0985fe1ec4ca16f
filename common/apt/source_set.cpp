// SPDX-License-Identifier: MIT
// Wishes about sources, turned into edits of the files that hold them.
#include "common/apt/source_set.hpp"

#include "common/apt/update_output.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::apt {
namespace {

constexpr std::string_view made_by_us = "# Made by the Ansible module pve.gpu.repo.";
constexpr const char* parts_dir = "/etc/apt/sources.list.d";

/// GetListOfFilesInDir of apt-pkg/contrib/fileutl.cc
bool read_by_apt(const std::string& name) {
  if (name.empty() || name[0] == '.' || (!name.ends_with(".list") && !name.ends_with(".sources"))) return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == ':' || c == '.';
  });
}

bool has(const std::vector<std::string>& all, const std::string& one) { return std::find(all.begin(), all.end(), one) != all.end(); }

std::vector<SourceFile> read_files(const HostView& host) {
  std::vector<std::string> paths{"/etc/apt/sources.list"};
  if (const auto names = host.list_dir(parts_dir)) {
    for (const std::string& name : *names)
      if (read_by_apt(name)) paths.push_back(fmt::format("{}/{}", parts_dir, name));
  } else if (!names.error().not_found()) {
    throw ModuleError(fmt::format("list {}: {}", parts_dir, names.error().message));
  }
  std::vector<SourceFile> files;
  for (const std::string& path : paths) {
    const auto info = host.stat(path);
    if (info ? info->type != FileType::regular : info.error().not_found()) continue;
    std::string text = host.read_file(path).or_fail("read the sources in " + path);
    files.push_back({path, text, text::AptSources(format_of(path), text)});
  }
  return files;
}

std::vector<text::AptSource> enabled_in(const std::vector<SourceFile>& files) {
  std::vector<text::AptSource> out;
  for (const SourceFile& file : files)
    for (const text::AptSource& source : file.sources.all())
      if (source.enabled) out.push_back(source);
  return out;
}

std::vector<std::string> named(const Mirrors& mirrors) {
  std::vector<std::string> out;
  for (const auto* mirror : {&mirrors.debian, &mirrors.debian_security})
    if (*mirror) out.push_back(**mirror);
  return out;
}

const char* name_of(Archive archive) {
  switch (archive) {
    case Archive::debian:
      return "debian";
    case Archive::debian_security:
      return "debian-security";
    case Archive::proxmox:
      return "proxmox";
    case Archive::ceph:
      return "ceph";
    case Archive::other:
      break;
  }
  return "other";
}

}  // namespace

text::AptFormat format_of(const std::string& path) {
  return path.ends_with(".sources") ? text::AptFormat::deb822 : text::AptFormat::one_line;
}

bool has_login(const text::AptSources& sources) {
  for (const text::AptSource& source : sources.all())
    for (const std::string& uri : source.uris)
      if (without_login(uri) != uri) return true;
  return false;
}

SourceSet::SourceSet(const HostView& host, const Release& release, Mirrors mirrors)
    : host_(host),
      release_(release),
      mirrors_(std::move(mirrors)),
      files_(read_files(host)),
      classifier_(enabled_in(files_), named(mirrors_)) {
  for (const text::AptSource& source : enabled_in(files_)) offered_before_.merge(offers(source));
}

std::set<std::string> SourceSet::offers(const text::AptSource& source) {
  std::set<std::string> out;
  for (const auto& type : source.types)
    for (const auto& uri : source.uris)
      for (const auto& suite : source.suites)
        for (const auto& component : source.components) out.insert(fmt::format("{} {} {}", type, source_name(uri, suite), component));
  return out;
}

std::vector<SourceSet::At> SourceSet::all() const {
  std::vector<At> out;
  for (std::size_t file = 0; file < files_.size(); ++file)
    for (std::size_t source = 0; source < files_[file].sources.all().size(); ++source) out.push_back({file, source});
  return out;
}

std::string SourceSet::place(At where) const { return fmt::format("{}:{}", files_[where.file].path, at(where).line); }

std::optional<std::string> SourceSet::obstacle() const {
  for (const SourceFile& file : files_)
    if (const auto& problem = file.sources.problem())
      return fmt::format("{}:{} {}{}: correct or remove it", file.path, problem->line, problem->what,
                         problem->refused ? ", so APT reads no source at all" : "");
  std::vector<std::string> foreign;
  for (const At where : all()) {
    if (!at(where).enabled || archive_of(where) == Archive::other) continue;
    for (const std::string& suite : at(where).suites)
      if (const std::string codename = codename_of(suite); !codename.empty() && codename != release_.codename)
        foreign.push_back(fmt::format("{} ({})", place(where), suite));
  }
  if (foreign.empty()) return std::nullopt;
  return fmt::format(
      "this host runs {} (Proxmox VE {}), but there are active sources of another release: {}; correct or disable them, or "
      "finish the upgrade first",
      release_.codename, release_.pve, fmt::join(foreign, ", "));
}

void SourceSet::switch_off(Archive archive, const Which& which) {
  for (const At where : all()) {
    if (!active(where, archive)) continue;
    const text::AptSource source = at(where);
    std::vector<std::string> unwanted;
    for (const std::string& component : source.components)
      if (const auto channel = channel_of(source, component); channel && which(source, *channel)) unwanted.push_back(component);
    if (unwanted.size() == source.components.size())
      file_of(where).set_enabled(where.source, false);
    else
      for (const std::string& component : unwanted) file_of(where).remove_component(where.source, component);
  }
}

std::optional<Channel> SourceSet::newest(Archive archive) const {
  std::optional<Channel> out;
  for (const At where : all()) {
    if (!active(where, archive)) continue;
    for (const std::string& component : at(where).components)
      if (const auto channel = channel_of(at(where), component); channel && (!out || *channel > *out)) out = channel;
  }
  return out;
}

std::string SourceSet::base_uri(Archive archive, Channel channel, const std::string& ceph) const {
  const std::string base = channel == Channel::enterprise ? enterprise_base : normal(mirrors_.proxmox.value_or(proxmox_base));
  return base + (archive == Archive::ceph ? "/ceph-" + ceph : "/pve");
}

void SourceSet::require(const WishedChannel& wished) {
  const Archive archive = wished.archive;
  const Channel channel = wished.channel;
  const std::string& ceph = wished.ceph;
  const std::string component = component_of(release_, archive, channel), uri = base_uri(archive, channel, ceph);
  // The component of that channel as this source spells it.
  const auto offered = [&](const text::AptSource& source) -> std::optional<std::string> {
    if (!has(source.types, "deb") || !source.amd64 || !has(source.suites, release_.codename) || ceph_of(source) != ceph)
      return std::nullopt;
    std::optional<std::string> out;
    for (const std::string& c : source.components)
      if (channel_of(source, c) == channel && (!out || has(components_of(release_, ceph), c))) out = c;
    return out;
  };
  // Proxmox VE 9 hosts no `pvetest` any more, the older ones no `pve-test`, and few have Ceph's `main`. A mirror of somebody's own
  // making may: then APT knows it.
  const auto exists = [&](const text::AptSource& source) {
    const auto spelled = offered(source);
    return has(components_of(release_, ceph), *spelled) ||
           policy().find(source_name(source.uris[0], release_.codename), *spelled, release_.codename);
  };
  const auto settle = [&](At where) {
    if (!exists(at(where))) file_of(where).rename_component(where.source, *offered(at(where)), component);
  };
  std::optional<At> there;
  for (const At where : all())
    if (active(where, archive) && offered(at(where)) && (!there || !exists(at(*there)))) there = where;
  if (there) return settle(*there);
  for (const At where : all()) {
    const text::AptSource& source = at(where);
    if (source.enabled || archive_of(where) != archive || !offered(source) || source.uris.size() != 1 || normal(source.uris[0]) != uri)
      continue;
    // From Proxmox VE 9 on the key is not among those that APT trusts for every source.
    if (release_.format == text::AptFormat::deb822 && source.signed_by.empty()) continue;
    file_of(where).set_enabled(where.source, true);
    return settle(where);
  }
  const std::string suffix = release_.format == text::AptFormat::deb822 ? ".sources" : ".list";
  std::string name = "pve-gpu";
  if (archive == Archive::ceph)
    name = "ceph";
  else if (channel == Channel::enterprise)
    name = "pve-enterprise";
  else if (release_.format == text::AptFormat::deb822)
    name = "proxmox";
  text::AptSource source{.types = {"deb"}, .uris = {uri}, .suites = {release_.codename}, .components = {component}};
  if (release_.format == text::AptFormat::deb822) source.signed_by = release_.keyring;
  add(name + suffix, std::move(source));
}

void SourceSet::add(const std::string& name, text::AptSource source) {
  // APT refuses two values of Signed-By for one URI and suite: the one that is there counts.
  for (const text::AptSource& other : enabled_in(files_))
    if (!other.signed_by.empty() && normal(other.uris[0]) == normal(source.uris[0]) && has(other.suites, source.suites[0]))
      source.signed_by = other.signed_by;
  const auto file_at = [&](const std::string& path) {
    return std::find_if(files_.begin(), files_.end(), [&](const SourceFile& file) { return file.path == path; });
  };
  std::string path = fmt::format("{}/{}", parts_dir, name);
  auto file = file_at(path);
  if (file != files_.end() && file->before) {
    path = fmt::format("{}/pve-gpu{}", parts_dir, name.substr(name.rfind('.')));
    file = file_at(path);
  }
  if (file == files_.end()) {
    const auto next = std::find_if(files_.begin(), files_.end(), [&](const SourceFile& other) { return other.path > path; });
    file = files_.insert(next, {path, std::nullopt, {format_of(path), fmt::format("{}\n", made_by_us)}});
  }
  if (file->sources.format() == text::AptFormat::deb822) return file->sources.append(source);
  for (const std::string& suite : source.suites) {
    text::AptSource line = source;
    line.suites = {suite};
    file->sources.append(line);
  }
}

std::vector<ActiveSource> SourceSet::active() const {
  std::vector<ActiveSource> out;
  for (const At where : all())
    if (at(where).enabled) out.push_back({place(where), at(where), archive_of(where)});
  return out;
}

const Policy& SourceSet::policy() const {
  if (!policy_) policy_.emplace(host_);
  return *policy_;
}

void SourceSet::use_mirrors() {
  add_debian();
  for (const At where : all())
    if (at(where).enabled) use_mirror(where);
  drop_repeated();
}

void SourceSet::use_mirror(At where) {
  const text::AptSource& source = at(where);
  const Archive archive = archive_of(where);
  const auto any = [](const std::vector<std::string>& words, const auto& test) { return std::any_of(words.begin(), words.end(), test); };
  std::optional<std::string> wish;
  if (archive == Archive::proxmox || archive == Archive::ceph) {
    const bool enterprise = any(source.components, [&](const auto& c) { return channel_of(source, c) == Channel::enterprise; });
    if (mirrors_.proxmox && !enterprise) wish = base_uri(archive, Channel::no_subscription, ceph_of(source));
  } else if (archive != Archive::other) {
    // Debug symbols are an archive of their own, which mirrors seldom have.
    if (any(source.suites, [](const auto& suite) { return suite.ends_with("-debug"); })) return;
    wish = archive == Archive::debian ? mirrors_.debian : mirrors_.debian_security;
    const bool mixed =
        archive == Archive::debian_security && any(source.suites, [](const auto& suite) { return !suite.ends_with("-security"); });
    if (mixed && mirrors_.debian != mirrors_.debian_security)
      throw ModuleError(fmt::format(
          "{} has the security updates and other suites in one stanza, which can't have a mirror each: split it in two", place(where)));
  }
  if (!wish || (source.uris.size() == 1 && normal(source.uris[0]) == normal(*wish))) return;
  file_of(where).set_uri(where.source, *wish);
  moved_.push_back(where);
}

void SourceSet::add_debian() {
  const std::string codename = release_.codename;
  const auto unless_there = [&](const std::optional<std::string>& uri, Archive archive, std::vector<std::string> suites) {
    if (!uri) return;
    std::vector<std::string> doubtful;
    for (const At where : all()) {
      const text::AptSource& source = at(where);
      if (!source.enabled || !has(source.suites, suites[0])) continue;
      if (archive_of(where) == archive) return;
      if (archive_of(where) == Archive::other && has(source.components, "main") && normal(source.uris[0]).ends_with("/debian"))
        doubtful.push_back(place(where));
    }
    if (!doubtful.empty())
      throw ModuleError(
          fmt::format("nothing proves which source is Debian's archive, though this looks like it: {}; set its URI to {} by hand, "
                      "or disable it to get a source of that mirror",
                      fmt::join(doubtful, ", "), *uri));
    const bool deb822 = release_.format == text::AptFormat::deb822;
    add(deb822 ? "debian.sources" : "pve-gpu.list", {.types = {"deb"},
                                                     .uris = {*uri},
                                                     .suites = std::move(suites),
                                                     .components = text::words(release_.debian_components),
                                                     .signed_by = deb822 ? debian_keyring : ""});
  };
  unless_there(mirrors_.debian, Archive::debian, {codename, codename + "-updates"});
  unless_there(mirrors_.debian_security, Archive::debian_security, {codename + "-security"});
}

void SourceSet::drop_repeated() {
  for (auto where = moved_.rbegin(); where != moved_.rend(); ++where) {
    std::set<std::string> elsewhere;
    for (const At other : all())
      if (at(other).enabled && !(other == *where)) elsewhere.merge(offers(at(other)));
    const auto offered = offers(at(*where));
    if (std::includes(elsewhere.begin(), elsewhere.end(), offered.begin(), offered.end()))
      file_of(*where).set_enabled(where->source, false);
  }
}

std::vector<std::string> SourceSet::changed() const {
  std::vector<std::string> out;
  for (const At where : all()) {
    if (!at(where).enabled || archive_of(where) == Archive::other) continue;
    for (const std::string& offered : offers(at(where))) {
      const std::string name = offered.substr(offered.find(' ') + 1);  // without the type
      if (!offered_before_.count(offered) && !has(out, name)) out.push_back(name);
    }
  }
  return out;
}

void ListedSource::fields(Reply<ListedSource>& out) {
  out.field("file", &ListedSource::file, {.doc = "The file that holds it.", .sample = "/etc/apt/sources.list.d/proxmox.sources"});
  out.field("line", &ListedSource::line, {.doc = "Where in the file it begins.", .sample = "2"});
  out.field("archive", &ListedSource::archive,
            {.doc = "One of V(proxmox), V(ceph), V(debian) and V(debian-security).", .sample = "proxmox"});
  out.field("uri", &ListedSource::uri,
            {.doc = "Where the packages come from. A login in it is not shown.", .sample = "http://download.proxmox.com/debian/pve"});
  out.field("suites", &ListedSource::suites, {.doc = "The suites that it names.", .sample = "[\"trixie\"]"});
  out.field("components", &ListedSource::components, {.doc = "The components that it names.", .sample = "[\"pve-no-subscription\"]"});
}

std::vector<ListedSource> SourceSet::listed() const {
  std::vector<ListedSource> out;
  for (const At where : all()) {
    const text::AptSource& source = at(where);
    if (!source.enabled || archive_of(where) == Archive::other) continue;
    for (const std::string& uri : source.uris)
      out.push_back(
          {files_[where.file].path, source.line, name_of(archive_of(where)), without_login(uri), source.suites, source.components});
  }
  return out;
}

std::optional<std::string> without_our_edits(text::AptFormat format, const std::optional<std::string>& before, const std::string& now) {
  text::AptSources sources(format, now);
  const text::AptSources old(format, before.value_or(""));
  const Classifier classifier(sources.all(), {});
  const auto same = [](const text::AptSource& a, const text::AptSource& b) {
    return a.types == b.types && a.suites == b.suites && a.components == b.components;
  };
  for (std::size_t i = sources.all().size(); i-- > 0;) {
    const text::AptSource source = sources.all()[i];
    if (!before) {
      if (classifier.archive_of(source) != Archive::other) sources.remove(i);
      continue;
    }
    // The one with the same URI, else the only one that has another: we may have changed it.
    std::vector<const text::AptSource*> candidates;
    for (const text::AptSource& was : old.all())
      if (same(was, source)) candidates.push_back(&was);
    const auto exact = std::find_if(candidates.begin(), candidates.end(), [&](const auto* was) { return was->uris == source.uris; });
    const text::AptSource* was = exact != candidates.end() ? *exact : candidates.size() == 1 ? candidates[0] : nullptr;
    if (!was) continue;
    const text::AptSource wish = *was;
    sources.set_enabled(i, wish.enabled);
    if (source.uris != wish.uris && wish.uris.size() == 1) sources.set_uri(i, wish.uris[0]);
  }
  if (before) return sources.bytes();
  for (const std::string& line : text::lines(sources.bytes()))
    if (!text::trim(line).empty() && line != made_by_us) return sources.bytes();
  return std::nullopt;
}

}  // namespace pvegpu::apt
