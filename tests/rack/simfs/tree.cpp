// SPDX-License-Identifier: MIT
// The files of a simulated sysfs, in memory.
#include "tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace simfs {

namespace {

constexpr int max_link_depth = 20;

std::pair<std::string_view, std::string_view> split_last(std::string_view path) {
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos) {
    return {{}, path};
  }
  return {path.substr(0, slash), path.substr(slash + 1)};
}

[[noreturn]] void fail(const std::string& path) { throw std::runtime_error("cannot read " + path + ": " + std::strerror(errno)); }

std::string read_whole(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    fail(path);
  }
  std::string text;
  std::array<char, 4096> buffer{};
  ssize_t got = 0;
  while ((got = read(fd, buffer.data(), buffer.size())) > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close(fd);
  if (got < 0) {
    fail(path);
  }
  return text;
}

std::string read_target(const std::string& path) {
  std::array<char, 4096> buffer{};
  const ssize_t got = readlink(path.c_str(), buffer.data(), buffer.size());
  if (got < 0) {
    fail(path);
  }
  return {buffer.data(), static_cast<std::size_t>(got)};
}

// Attributes that are no text: configuration space and resources of PCI functions.
bool is_binary_name(std::string_view name) {
  return name == "config" || name == "rom" || (name.substr(0, 8) == "resource" && name.size() > 8);
}

}  // namespace

Tree::Tree(const std::string& directory) : root_(std::make_unique<Node>()) {
  root_->ino = next_ino_++;
  nodes_[root_->ino] = root_.get();
  load(*root_, directory, false);
  changes_.clear();
}

void Tree::load(Node& directory, const std::string& from, bool binary) {
  DIR* stream = opendir(from.c_str());
  if (stream == nullptr) {
    fail(from);
  }
  while (const dirent* entry = readdir(stream)) {
    const std::string name = entry->d_name;
    if (name == "." || name == "..") {
      continue;
    }
    const std::string path = from + '/' + name;
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0) {
      fail(path);
    }
    const unsigned mode = status.st_mode & 07777U;
    if (S_ISDIR(status.st_mode)) {
      load(add(directory, name, Kind::directory, mode), path, binary || (&directory == root_.get() && name == "firmware"));
    } else if (S_ISLNK(status.st_mode)) {
      add(directory, name, Kind::link, 0777).data = read_target(path);
    } else {
      Node& node = add(directory, name, Kind::file, mode);
      node.data = read_whole(path);
      node.binary = binary || is_binary_name(name);
    }
  }
  closedir(stream);
}

Node* Tree::by_ino(std::uint64_t ino) const {
  const auto found = nodes_.find(ino);
  return found == nodes_.end() ? nullptr : found->second;
}

Node* Tree::child(Node& directory, std::string_view name) {
  const auto found = directory.children.find(name);
  return found == directory.children.end() ? nullptr : found->second.get();
}

Node* Tree::find(std::string_view path) {
  Node* node = root_.get();
  while (node != nullptr && !path.empty()) {
    const auto slash = path.find('/');
    node = child(*node, path.substr(0, slash));
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
  }
  return node;
}

Node* Tree::resolve(std::string_view path) { return walk(path, 0); }

Node* Tree::walk(std::string_view path, int depth) {
  Node* node = root_.get();
  while (node != nullptr && !path.empty()) {
    const auto slash = path.find('/');
    const auto part = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    if (part.empty() || part == ".") {
      continue;
    }
    if (part == "..") {
      node = node->parent;
      continue;
    }
    Node* next = child(*node, part);
    if (next != nullptr && next->kind == Kind::link) {
      if (depth >= max_link_depth) {
        return nullptr;
      }
      next = walk(Tree::path(*node) + '/' + next->data, depth + 1);
    }
    node = next;
  }
  return node;
}

std::string Tree::path(const Node& node) {
  if (node.parent == nullptr) {
    return {};
  }
  const std::string above = path(*node.parent);
  return above.empty() ? node.name : above + '/' + node.name;
}

Node& Tree::add(Node& directory, std::string_view name, Kind kind, unsigned mode) {
  auto node = std::make_unique<Node>();
  node->ino = next_ino_++;
  node->parent = &directory;
  node->name = name;
  node->kind = kind;
  node->mode = mode;
  Node& made = *node;
  nodes_[made.ino] = &made;
  attach(directory, std::move(node));
  return made;
}

void Tree::attach(Node& directory, std::unique_ptr<Node> node) {
  node->parent = &directory;
  node->alive = true;
  changes_.push_back({directory.ino, node->name});
  if (lateness) {
    const auto delay = lateness(path(*node));
    node->visible_from = delay.count() > 0 ? Clock::now() + delay : Clock::time_point{};
  }
  directory.children[node->name] = std::move(node);
}

std::unique_ptr<Node> Tree::detach(Node& node) {
  const auto place = node.parent->children.find(node.name);
  auto taken = std::move(place->second);
  node.parent->children.erase(place);
  changes_.push_back({node.parent->ino, node.name});
  return taken;
}

Node& Tree::make_directory(std::string_view path) {
  if (path.empty()) {
    return *root_;
  }
  const auto [above, name] = split_last(path);
  Node& parent = make_directory(above);
  Node* there = child(parent, name);
  return there != nullptr ? *there : add(parent, name, Kind::directory, 0755);
}

Node& Tree::make_file(std::string_view path, std::string text, unsigned mode) {
  const auto [above, name] = split_last(path);
  return make_file(make_directory(above), std::string(name), std::move(text), mode);
}

Node& Tree::make_link(std::string_view path, const Node& target) {
  const auto [above, name] = split_last(path);
  return make_link(make_directory(above), std::string(name), target);
}

Node& Tree::make_file(Node& directory, const std::string& name, std::string text, unsigned mode) {
  if (Node* there = child(directory, name)) {
    there->data = std::move(text);
    return *there;
  }
  Node& node = add(directory, name, Kind::file, mode);
  node.data = std::move(text);
  node.binary = is_binary_name(name);
  return node;
}

Node& Tree::make_link(Node& directory, const std::string& name, const Node& target) {
  remove_child(directory, name);
  // relative, as sysfs makes them: up to the deepest directory that holds both, then down
  std::string down = target.name;
  std::string up;
  for (const Node* here = &directory; here != nullptr; here = here->parent) {
    std::string tail = target.name;
    const Node* above = target.parent;
    while (above != nullptr && above != here) {
      tail = above->name + '/' + tail;
      above = above->parent;
    }
    if (above != nullptr) {
      down = tail;
      break;
    }
    up += "../";
  }
  Node& node = add(directory, name, Kind::link, 0777);
  node.data = up + down;
  return node;
}

void Tree::remove(Node& node) { bury(detach(node)); }

void Tree::remove_child(Node& directory, std::string_view name) {
  if (Node* node = child(directory, name)) {
    remove(*node);
  }
}

void Tree::bury(std::unique_ptr<Node> node) {
  for (auto& [name, below] : node->children) {
    bury(std::move(below));
  }
  node->children.clear();
  node->alive = false;
  node->parent = nullptr;
  if (node->lookups == 0) {
    nodes_.erase(node->ino);
  } else {
    const auto ino = node->ino;
    buried_[ino] = std::move(node);
  }
}

void Tree::forget(std::uint64_t ino, std::uint64_t count) {
  Node* node = by_ino(ino);
  if (node == nullptr) {
    return;
  }
  node->lookups -= count < node->lookups ? count : node->lookups;
  if (node->lookups == 0 && buried_.erase(ino) != 0) {
    nodes_.erase(ino);
  }
}

}  // namespace simfs
