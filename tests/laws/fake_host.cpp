// SPDX-License-Identifier: MIT
// The host in memory.
#include "tests/laws/fake_host.hpp"

#include "common/host/real_host.hpp"
#include "common/base/strings.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace pvegpu {
namespace {

constexpr const char* pmxcfs_locks = "/etc/pve/priv/lock/";
constexpr unsigned may_read = 4, may_write = 2, may_enter = 1;

std::string parent_of(const std::string& path) { return path.substr(0, path.rfind('/')); }
std::string name_in(const std::string& path) { return path.substr(path.rfind('/') + 1); }
std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

/// The kernel makes no files there by creat(2) and rename(2).
bool is_kernels(const std::string& resolved) { return resolved.starts_with("/sys/") || resolved.starts_with("/proc/"); }

void load_into(Tree& tree, const std::string& directory, const std::string& below) {
  DIR* dir = ::opendir(directory.c_str());
  if (!dir) throw std::runtime_error(fmt::format("{}: {}", directory, std::strerror(errno)));
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(dir))
    if (std::string_view name = entry->d_name; name != "." && name != "..") names.emplace_back(name);
  ::closedir(dir);
  for (const std::string& name : names) {
    const std::string real = directory + "/" + name, path = below + "/" + name;
    struct stat st {};
    if (::lstat(real.c_str(), &st) != 0) throw std::runtime_error(fmt::format("{}: {}", real, std::strerror(errno)));
    Node node{FileType::regular, {}, st.st_mode & 07777u, st.st_uid, st.st_gid};
    if (node.uid == ::geteuid()) node.uid = 0;
    if (node.gid == ::getegid()) node.gid = 0;
    if (S_ISDIR(st.st_mode)) {
      node.type = FileType::directory;
      load_into(tree, real, path);
    } else if (S_ISLNK(st.st_mode)) {
      node.type = FileType::symlink;
      node.bytes = RealHost().read_link(real).or_fail("load a tree");
    } else {
      node.bytes = RealHost().read_file(real).or_fail("load a tree");
    }
    tree.emplace(path, std::move(node));
  }
}

std::string described(const std::optional<Node>& maybe) {
  if (!maybe) return "removed";
  const Node& node = *maybe;
  const char* type = node.type == FileType::directory ? "directory" : node.type == FileType::symlink ? "link" : "file";
  return fmt::format("{} {:04o} {}:{} {}", type, node.mode, node.uid, node.gid, dump_json(json(node.bytes.substr(0, 300))));
}

/// The entry whose key has the most words in common with the start of `line`.
template <class T>
const T* longest_match(const std::map<std::string, T>& entries, const std::string& line) {
  const T* best = nullptr;
  std::size_t length = 0;
  for (const auto& [words, value] : entries)
    if ((line == words || line.starts_with(words + " ")) && words.size() >= length) best = &value, length = words.size();
  return best;
}

}  // namespace

std::shared_ptr<const Tree> load_tree(const std::string& directory) {
  auto tree = std::make_shared<Tree>();
  load_into(*tree, directory, "");
  return tree;
}

std::string difference(const State& a, const State& b) {
  std::string out;
  for (const auto& [path, node] : a) {
    const auto other = b.find(path);
    if (other == b.end())
      out += fmt::format("only in the first: {} {}\n", path, described(node));
    else if (other->second != node)
      out += fmt::format("{}:\n  {}\n  {}\n", path, described(node), described(other->second));
  }
  for (const auto& [path, node] : b)
    if (!a.count(path)) out += fmt::format("only in the second: {} {}\n", path, described(node));
  return out;
}

const char* name_of(Fault fault) {
  switch (fault) {
    case Fault::none:
      return "none";
    case Fault::error:
      return "error";
    case Fault::fails:
      return "error after the effect";
    case Fault::kill_before:
      return "kill before";
    case Fault::kill_after:
      return "kill after";
    case Fault::kill_torn:
      return "kill in the middle of writing";
  }
  return "?";
}

FakeHost::FakeHost(std::shared_ptr<const Tree> lower, std::string disk)
    : lower_(lower ? std::move(lower) : std::make_shared<const Tree>()),
      disk_(std::move(disk)),
      now_(std::chrono::seconds(1767225600)),  // 2026-01-01
      locked_(std::make_shared<std::set<std::string>>()) {
  release_ = text::trim(read_file("/proc/sys/kernel/osrelease").value_or("6.8.12-4-pve"));
  if (!exists(boot_id_path)) reboot();
}

// --- the world -----------------------------------------------------------------------------------------------------------------

void FakeHost::make_parents(const std::string& path) {
  const std::string parent = parent_of(path);
  if (parent.empty() || exists(parent)) return;
  make_parents(parent);
  put(parent, Node{});
}

void FakeHost::put(const std::string& path, Node node) {
  // Where its directory really is.
  const std::string parent = parent_of(path);
  const std::string real = parent.empty() ? "" : resolve(parent, Links::follow).or_fail("set up a world");
  upper_[real + "/" + name_in(path)] = std::move(node);
}

FakeHost& FakeHost::file(const std::string& path, const std::string& bytes, unsigned mode, uid_t uid, gid_t gid) {
  make_parents(path);
  const auto there = resolve(path, Links::follow);
  put(there ? *there : path, {FileType::regular, bytes, mode, uid, gid});
  return *this;
}
FakeHost& FakeHost::dir(const std::string& path, unsigned mode) {
  make_parents(path);
  put(path, {FileType::directory, {}, mode});
  return *this;
}
FakeHost& FakeHost::link(const std::string& path, const std::string& target) {
  make_parents(path);
  put(path, {FileType::symlink, target, 0777});
  return *this;
}
FakeHost& FakeHost::gone(const std::string& path) {
  const std::string real = resolve(path, Links::keep).or_fail("set up a world");
  for (const std::string& p : paths_below(real)) upper_[p] = std::nullopt;
  return *this;
}
FakeHost& FakeHost::take(const std::string& path, const std::string& top) {
  if (stat(path, Links::keep)) gone(path);
  for (std::string at = parent_of(path); at.size() > top.size(); at = parent_of(at))
    if (const auto names = list_dir(at); names && names->empty()) gone(at);
  return *this;
}
FakeHost& FakeHost::reboot() { return file(boot_id_path, fmt::format("00000000-0000-4000-8000-{:012}\n", ++boots_), 0444); }
FakeHost& FakeHost::user(uid_t uid) {
  uid_ = uid;
  return *this;
}
FakeHost& FakeHost::release(const std::string& kernel_release) {
  release_ = kernel_release;
  return *this;
}
FakeHost& FakeHost::module(const std::string& name, const std::string& kernel_release, KernelModule found) {
  modules_[{name, kernel_release}] = std::move(found);
  return *this;
}
FakeHost& FakeHost::program(const std::string& words, Program program) {
  programs_[words] = std::move(program);
  return *this;
}
FakeHost& FakeHost::answer(const std::string& words, Answer answer) {
  answers_[words] = std::move(answer);
  return *this;
}
FakeHost& FakeHost::product(const std::string& path, const std::string& made_by, std::vector<std::string> from, Text text) {
  products_[path] = {made_by, std::move(from), std::move(text)};
  return program(made_by, [path](FakeHost& host, const std::vector<std::string>&) {
    const Result<> made = host.make(path);
    return made ? CommandResult{} : CommandResult{1, false, "", made.error().message};
  });
}
Result<> FakeHost::make(const std::string& path) {
  const Made& made = products_.at(path);
  file(path, digest(made.from) + (made.text ? "\n" + PVEGPU_TRY(made.text(*this)) : std::string()));
  return {};
}
FakeHost& FakeHost::attribute(const std::string& path, Attribute attribute) {
  attributes_[path] = std::move(attribute);
  return *this;
}
FakeHost& FakeHost::on_module(const std::string& name, ModuleHook hook) {
  module_hooks_[name] = std::move(hook);
  return *this;
}
FakeHost& FakeHost::after(std::chrono::milliseconds delay, std::function<void(FakeHost&)> event) {
  events_.emplace(now_ + delay, std::move(event));
  return *this;
}

FakeHost& FakeHost::world(const json& description) {
  for (const auto& [key, value] : description.items()) {
    if (key == "user") {
      user(value.get<uid_t>());
    } else if (key == "free_space") {
      free_space_ = value.get<std::uint64_t>();
    } else if (key == "kernel_release") {
      release(value.get<std::string>());
    } else if (key == "free_in_pmxcfs") {
      free_pve_ = value.get<std::uint64_t>();
    } else if (key == "programs" || key == "answers") {
      for (const auto& [words, outcome] : value.items()) {
        const CommandResult result{outcome.value("exit", 0), outcome.value("timed_out", false), outcome.value("out", ""),
                                   outcome.value("err", "")};
        const json files = outcome.value("files", json::object());
        if (key == "answers")
          answer(words, [result](const FakeHost&, const std::vector<std::string>&) { return result; });
        else
          program(words, [result, files](FakeHost& host, const std::vector<std::string>&) {
            for (const auto& [path, bytes] : files.items()) bytes.is_null() ? host.gone(path) : host.file(path, bytes.get<std::string>());
            return result;
          });
      }
    } else {
      throw std::runtime_error(fmt::format("world.json: unknown key {}", key));
    }
  }
  return *this;
}

// --- faults --------------------------------------------------------------------------------------------------------------------

FakeHost& FakeHost::fault_at(int n, Fault fault) {
  countdown_ = n;
  fault_ = fault;
  return *this;
}
FakeHost& FakeHost::restart() {
  locked_ = std::make_shared<std::set<std::string>>();
  effects_.clear();
  locks_taken_ = 0;
  countdown_ = 0;
  fault_ = Fault::none;
  dead_ = false;
  return *this;
}
FakeHost& FakeHost::before_effect(std::function<void(FakeHost&, const std::string&)> hook) {
  hook_ = std::move(hook);
  return *this;
}

template <class Act>
auto FakeHost::effect(const std::string& what, Act&& act, const std::function<void()>& tear) -> decltype(act()) {
  if (dead_) return Error{"the process was killed"};  // a destructor that runs while Killed travels must not help
  if (hook_) hook_(*this, what);
  effects_.push_back(what);
  ++ever_[what];
  const Fault fault = countdown_ > 0 && --countdown_ == 0 ? fault_ : Fault::none;
  switch (fault) {
    case Fault::none:
      return act();
    case Fault::error:
      return Error::from_errno(what, EIO);
    case Fault::fails: {
      auto done = act();
      if constexpr (std::is_same_v<decltype(done), Result<CommandResult>>) {
        if (!done) return done;
        return CommandResult{1, false, done->out, "injected failure"};
      } else {
        return Error::from_errno(what, EIO);
      }
    }
    case Fault::kill_after:
      (void)act();
      break;
    case Fault::kill_torn:
      if (tear) tear();
      break;
    case Fault::kill_before:
      break;
  }
  dead_ = true;
  throw Killed{};
}

// --- what happened ---------------------------------------------------------------------------------------------------------------

int FakeHost::times(const std::string& effect) const {
  const auto it = ever_.find(effect);
  return it == ever_.end() ? 0 : it->second;
}

std::string FakeHost::bytes(const std::string& path) const { return read_file(path).value_or("(absent)"); }

State FakeHost::state(const std::vector<std::string>& without) const {
  State out;
  for (const auto& [path, node] : upper_) {
    const auto below = lower_->find(path);
    const bool as_below = below == lower_->end() ? !node : node == below->second;
    const auto& p = path;
    const bool left_out =
        std::any_of(without.begin(), without.end(), [&](const std::string& top) { return p == top || p.starts_with(top + "/"); });
    if (!as_below && !left_out) out[path] = node;
  }
  return out;
}

std::set<std::string> FakeHost::paths_below(const std::string& resolved) const {
  std::set<std::string> out;
  const auto collect = [&](const auto& entries) {
    if (entries.count(resolved)) out.insert(resolved);
    for (auto it = entries.lower_bound(resolved + "/"); it != entries.end() && it->first.starts_with(resolved + "/"); ++it)
      out.insert(it->first);
  };
  collect(*lower_);
  collect(upper_);
  std::erase_if(out, [&](const std::string& path) { return !find(path); });
  return out;
}

std::string FakeHost::digest(const std::vector<std::string>& paths) const {
  text::Sha256 hash;
  for (const std::string& top : paths)
    for (const std::string& path : paths_below(top))
      if (find(path)->type != FileType::directory) hash.add(fmt::format("{}\x1f{}\x1f{}\x1e", path, find(path)->mode, find(path)->bytes));
  return hash.hex();
}

std::vector<std::string> FakeHost::stale_products() const {
  std::vector<std::string> out;
  for (const auto& [path, made] : products_)
    if (!bytes(path).starts_with(digest(made.from))) out.push_back(made.by);
  return out;
}

FakeHost& FakeHost::make_products(const std::string& made_by) {
  for (const auto& [path, made] : products_)
    if ((made_by.empty() || made_by == made.by) && !make(path)) file(path, digest(made.from));
  return *this;
}

std::vector<std::string> FakeHost::products() const {
  std::vector<std::string> out;
  for (const auto& [path, made] : products_) out.push_back(path);
  return out;
}

// --- reading -----------------------------------------------------------------------------------------------------------------------

const Node* FakeHost::find(const std::string& resolved) const {
  static const Node root{};
  if (resolved.empty() || resolved == "/") return &root;
  if (const auto it = upper_.find(resolved); it != upper_.end()) return it->second ? &*it->second : nullptr;
  const auto it = lower_->find(resolved);
  return it == lower_->end() ? nullptr : &it->second;
}

bool FakeHost::allowed(const Node& node, unsigned bit) const {
  if (uid_ == 0) return true;
  return (node.mode >> (node.uid == uid_ ? 6 : 0) & bit) != 0;
}

Result<std::string> FakeHost::resolve(const std::string& path, Links last) const {
  // What is listed has no links in its path: most of what is asked for.
  if (const Node* node = find(path); uid_ == 0 && node && path.size() > 1 && (last == Links::keep || node->type != FileType::symlink))
    return path;
  std::vector<std::string> todo = text::split(path, '/');
  std::reverse(todo.begin(), todo.end());
  std::string at;
  const Node* directory = find(at);
  int links = 0;
  while (!todo.empty()) {
    const std::string part = std::move(todo.back());
    todo.pop_back();
    if (part.empty() || part == ".") continue;
    if (directory->type != FileType::directory) return Error::from_errno(path, ENOTDIR);
    if (!allowed(*directory, may_enter)) return Error::from_errno(path, EACCES);
    if (part == "..") {
      at = at.empty() ? at : parent_of(at);
      directory = find(at);
      continue;
    }
    const Node* node = find(at + "/" + part);
    if (!node) return Error::from_errno(path, ENOENT);
    if (node->type == FileType::symlink && (last == Links::follow || !todo.empty())) {
      if (++links > 40) return Error::from_errno(path, ELOOP);
      std::vector<std::string> more = text::split(node->bytes, '/');
      todo.insert(todo.end(), more.rbegin(), more.rend());
      if (node->bytes.starts_with('/')) at.clear();
      directory = find(at);
    } else {
      at += "/" + part;
      directory = node;
    }
  }
  return at;
}

Result<std::string> FakeHost::place(const std::string& path) const {
  const std::string parent = parent_of(path);
  const std::string real = PVEGPU_TRY(resolve(parent.empty() ? "/" : parent, Links::follow));
  if (find(real)->type != FileType::directory) return Error::from_errno(path, ENOTDIR);
  if (is_kernels(real + "/")) return Error::from_errno(path, EPERM);
  if (!allowed(*find(real), may_write)) return Error::from_errno(path, EACCES);
  return real + "/" + name_in(path);
}

std::vector<std::string> FakeHost::children(const std::string& resolved) const {
  std::set<std::string> names;
  const std::string prefix = resolved + "/";
  const auto collect = [&](const auto& entries) {
    for (auto it = entries.lower_bound(prefix); it != entries.end() && it->first.starts_with(prefix);) {
      const auto slash = it->first.find('/', prefix.size());
      if (slash != std::string::npos) {
        it = entries.lower_bound(it->first.substr(0, slash) + '0');  // past what is deeper: '0' follows '/'
      } else {
        if (find(it->first)) names.insert(it->first.substr(prefix.size()));
        ++it;
      }
    }
  };
  collect(*lower_);
  collect(upper_);
  return {names.begin(), names.end()};
}

Result<std::string> FakeHost::read_file(const std::string& path) const {
  const Node& node = *find(PVEGPU_TRY(resolve(path, Links::follow)));
  if (node.type == FileType::directory) return Error::from_errno("read " + path, EISDIR);
  if (!allowed(node, may_read)) return Error::from_errno("read " + path, EACCES);
  return node.bytes;
}

Result<std::string> FakeHost::read_link(const std::string& path) const {
  const Node& node = *find(PVEGPU_TRY(resolve(path, Links::keep)));
  if (node.type != FileType::symlink) return Error::from_errno("read link " + path, EINVAL);
  return node.bytes;
}

Result<std::string> FakeHost::sha256_of(const std::string& path) const { return text::sha256_hex(PVEGPU_TRY(read_file(path))); }

Result<std::vector<std::string>> FakeHost::list_dir(const std::string& path) const {
  const std::string real = PVEGPU_TRY(resolve(path, Links::follow));
  if (find(real)->type != FileType::directory) return Error::from_errno("list " + path, ENOTDIR);
  if (!allowed(*find(real), may_read)) return Error::from_errno("list " + path, EACCES);
  return children(real);
}

Result<FileInfo> FakeHost::stat(const std::string& path, Links links) const {
  const Node& node = *find(PVEGPU_TRY(resolve(path, links)));
  return FileInfo{node.type, node.mode, node.uid, node.gid, node.bytes.size()};
}

Result<std::uint64_t> FakeHost::free_space(const std::string& path) const {
  (void)PVEGPU_TRY(resolve(path, Links::follow));
  if (free_pve_ && path.starts_with("/etc/pve")) return *free_pve_;
  return free_space_;
}

Result<CommandResult> FakeHost::query(const Query& query) const {
  const std::string line = joined(query.argv());
  if (const Answer* answer = longest_match(answers_, line)) return (*answer)(*this, query.argv());
  return Error{fmt::format("{} is not installed (in this world)", query.argv()[0]), ENOENT};
}

Result<std::vector<PciDevice>> FakeHost::pci_devices() const {
  const std::string devices = "/sys/bus/pci/devices";
  if (!exists(devices)) return Error{devices + " is missing: no PCI bus, or /sys is not mounted", ENOENT};
  std::vector<PciDevice> out;
  for (const std::string& address : PVEGPU_TRY(list_dir(devices))) {
    const auto number = [&](const char* name) -> Result<unsigned long> {
      return std::strtoul(PVEGPU_TRY(read_attr(fmt::format("{}/{}/{}", devices, address, name))).c_str(), nullptr, 16);
    };
    const auto vendor = number("vendor"), device = number("device"), device_class = number("class");
    if (!vendor || !device || !device_class) continue;
    out.push_back({address, static_cast<std::uint16_t>(*vendor), static_cast<std::uint16_t>(*device),
                   static_cast<std::uint16_t>(*device_class >> 8)});
  }
  return out;
}

std::string FakeHost::pci_name(std::uint16_t vendor, std::uint16_t device) const {
  bool in_vendor = false;
  for (const std::string& line : text::lines(read_file("/usr/share/misc/pci.ids").value_or(""))) {
    if (line.empty() || line[0] == '#') continue;
    if (line[0] != '\t') in_vendor = line.starts_with(fmt::format("{:04x} ", vendor));
    if (in_vendor && line.starts_with(fmt::format("\t{:04x} ", device))) return text::trim(line.substr(5));
  }
  return {};
}

Result<KernelModule> FakeHost::kernel_module(const std::string& name, const std::string& release) const {
  const bool live = read_attr(fmt::format("/sys/module/{}/initstate", name)).value_or("") == "live";
  std::string dashed = name;
  std::replace(dashed.begin(), dashed.end(), '_', '-');
  for (const std::string& stem : {name, dashed}) {  // one that was built meanwhile: its file says "version=...", "parm=..."
    const std::string file = fmt::format("/lib/modules/{}/updates/dkms/{}.ko", release, stem);
    const auto real = resolve(file, Links::follow);
    if (!real || !upper_.count(*real)) continue;
    KernelModule out;
    out.available = true;
    out.file = file;
    out.loaded = live;
    for (const std::string& line : text::lines(find(*real)->bytes))
      if (line.starts_with("version="))
        out.version = line.substr(8);
      else if (line.starts_with("license="))
        out.license = line.substr(8);
      else if (line.starts_with("parm="))
        out.parameters.push_back(line.substr(5));
    return out;
  }
  if (const auto known = modules_.find({name, release}); known != modules_.end()) return known->second;
  if (!disk_.empty() && RealHost(disk_).exists("/lib/modules/" + release)) {
    KernelModule out = PVEGPU_TRY(RealHost(disk_).kernel_module(name, release));
    if (!out.file.empty() && !exists(out.file)) out = {};  // its file was taken away meanwhile
    out.loaded = live || out.built_in;
    return out;
  }
  const std::string directory = "/lib/modules/" + release;
  if (!exists(directory)) return Error{fmt::format("{} is missing", directory), ENOENT};
  KernelModule out;
  out.loaded = live;
  for (const std::string& path : paths_below(directory))
    if (name_in(path).starts_with(name + ".ko")) out.available = true, out.file = path;
  return out;
}

// --- effects -----------------------------------------------------------------------------------------------------------------------

Result<> FakeHost::write_file(const std::string& path, const std::string& content, const FileMeta& meta) {
  const auto tear = [&] {  // leaves the temporary file, named as RealHost names it
    if (auto at = place(path)) upper_[*at + temporary_suffix] = Node{FileType::regular, content.substr(0, content.size() / 2), 0600};
  };
  const auto write = [&]() -> Result<> {
    const auto there = resolve(path, Links::follow);
    Node node{FileType::regular, content, 0644};
    if (there && find(*there)->type != FileType::regular) return Error::from_errno("write " + path, EISDIR);
    if (there) {
      node = *find(*there);
      node.bytes = content;
    }
    node.mode = meta.mode.value_or(node.mode);
    node.uid = meta.uid.value_or(node.uid);
    node.gid = meta.gid.value_or(node.gid);
    const std::string at = PVEGPU_TRY(place(there ? *there : path));
    if (find(at + temporary_suffix)) upper_[at + temporary_suffix] = std::nullopt;
    upper_[at] = std::move(node);
    return {};
  };
  return effect("write " + path, write, tear);
}

Result<> FakeHost::remove_file(const std::string& path) {
  return effect("remove " + path, [&]() -> Result<> {
    const std::string real = PVEGPU_TRY(resolve(path, Links::keep));
    if (find(real)->type == FileType::directory) return Error::from_errno("remove " + path, EISDIR);
    upper_[PVEGPU_TRY(place(real))] = std::nullopt;
    return {};
  });
}

Result<> FakeHost::make_symlink(const std::string& path, const std::string& target) {
  return effect("link " + path, [&]() -> Result<> {
    const std::string at = PVEGPU_TRY(place(path));
    if (find(at)) return Error::from_errno("make link " + path, EEXIST);
    upper_[at] = Node{FileType::symlink, target, 0777};
    return {};
  });
}

Result<> FakeHost::make_dir(const std::string& path, unsigned mode) {
  return effect("mkdir " + path, [&]() -> Result<> {
    const std::string at = PVEGPU_TRY(place(path));
    if (find(at)) return Error::from_errno("make directory " + path, EEXIST);
    upper_[at] = Node{FileType::directory, {}, mode};
    if (at.starts_with(pmxcfs_locks)) locks_[at] = now_;
    return {};
  });
}

Result<> FakeHost::touch(const std::string& path, std::chrono::system_clock::time_point time) {
  return effect("touch " + path, [&]() -> Result<> {
    const std::string real = PVEGPU_TRY(resolve(path, Links::keep));
    if (!real.starts_with(pmxcfs_locks) || time.time_since_epoch().count() != 0)
      throw std::runtime_error("this world has no times, but of locks: touch " + path);
    if (!break_cluster_lock(real)) return Error::from_errno("touch " + path, EACCES);
    return {};
  });
}

Result<> FakeHost::remove_dir(const std::string& path) {
  return effect("rmdir " + path, [&]() -> Result<> {
    const std::string real = PVEGPU_TRY(resolve(path, Links::keep));
    if (find(real)->type != FileType::directory) return Error::from_errno("remove directory " + path, ENOTDIR);
    if (!children(real).empty()) return Error::from_errno("remove directory " + path, ENOTEMPTY);
    upper_[PVEGPU_TRY(place(real))] = std::nullopt;
    return {};
  });
}

Result<> FakeHost::write_attr(const std::string& path, const std::string& value) {
  return effect(fmt::format("attr {}={}", path, value), [&]() -> Result<> {
    if (const auto it = attributes_.find(path); it != attributes_.end()) return Attribute(it->second)(*this, value);
    const std::string real = PVEGPU_TRY(resolve(path, Links::follow));
    Node node = *find(real);
    if (node.type != FileType::regular) return Error::from_errno("open " + path, EISDIR);
    if (!allowed(node, may_write)) return Error::from_errno("open " + path, EACCES);
    node.bytes = value + "\n";
    upper_[real] = std::move(node);
    return {};
  });
}

Result<CommandResult> FakeHost::run(const Command& command) {
  const std::string line = joined(command.argv);
  return effect("run " + line, [&]() -> Result<CommandResult> {
    if (const Program* program = longest_match(programs_, line)) return Program(*program)(*this, command.argv);
    return Error{fmt::format("{} is not installed (in this world)", command.argv.at(0)), ENOENT};
  });
}

Result<> FakeHost::load_module(const std::string& name, const std::string&) {
  return effect("load " + name, [&]() -> Result<> {
    if (!PVEGPU_TRY(kernel_module(name, release_)).available) return Error::from_errno("load kernel module " + name, ENOENT);
    file(fmt::format("/sys/module/{}/initstate", name), "live\n", 0444);
    if (const auto hook = module_hooks_.find(name); hook != module_hooks_.end()) return ModuleHook(hook->second)(*this, true);
    return {};
  });
}

Result<> FakeHost::unload_module(const std::string& name) {
  return effect("unload " + name, [&]() -> Result<> {
    if (!exists("/sys/module/" + name)) return Error::from_errno("unload kernel module " + name, ENOENT);
    if (const auto hook = module_hooks_.find(name); hook != module_hooks_.end())
      if (auto allowed = ModuleHook(hook->second)(*this, false); !allowed) return allowed;
    gone("/sys/module/" + name);
    return {};
  });
}

Result<std::string> FakeHost::adopt_file(const std::string& source, const std::string& directory,
                                         const std::optional<std::string>& sha256) {
  return effect("adopt " + source, [&]() -> Result<std::string> {
    const std::string bytes = PVEGPU_TRY(read_file(source));
    const std::string sum = text::sha256_hex(bytes);
    if (sha256 && text::lower(*sha256) != sum) return Error{fmt::format("{} has the SHA-256 {}, not {}", source, sum, *sha256)};
    if (!exists(directory)) upper_[PVEGPU_TRY(place(directory))] = Node{FileType::directory, {}, 0700};
    const std::string path = directory + "/" + sum;
    upper_[PVEGPU_TRY(place(path))] = Node{FileType::regular, bytes, 0500};
    return path;
  });
}

Result<std::unique_ptr<HostLock>> FakeHost::lock(const std::string& path, std::chrono::seconds patience) {
  struct Held final : HostLock {
    Held(std::shared_ptr<std::set<std::string>> all, std::string mine) : all_(std::move(all)), mine_(std::move(mine)) {}
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    ~Held() override { all_->erase(mine_); }
    std::shared_ptr<std::set<std::string>> all_;
    std::string mine_;
  };
  ++locks_taken_;
  if (locked_->count(path)) {
    pause(patience);
    return Error::from_errno("lock " + path, EWOULDBLOCK);
  }
  if (!exists(path)) upper_[PVEGPU_TRY(place(path))] = Node{FileType::regular, {}, 0600};
  locked_->insert(path);
  return std::unique_ptr<HostLock>(std::make_unique<Held>(locked_, path));
}

bool FakeHost::break_cluster_lock(const std::string& path) {
  if (now_ - locks_.try_emplace(path, now_).first->second <= std::chrono::seconds(120)) return false;
  locks_.erase(path);
  upper_[path] = std::nullopt;
  return true;
}

FakeHost& FakeHost::hold_lock(const std::string& path) {
  make_parents(path);
  locked_->insert(path);
  return *this;
}

void FakeHost::pause(std::chrono::milliseconds time) {
  const auto until = now_ + time;
  while (!events_.empty() && events_.begin()->first <= until) {
    auto event = events_.extract(events_.begin());
    now_ = std::max(now_, event.key());
    event.mapped()(*this);
  }
  now_ = until;
}

}  // namespace pvegpu
