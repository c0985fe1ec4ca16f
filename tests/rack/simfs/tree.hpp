// SPDX-License-Identifier: MIT
// The files of a simulated sysfs, in memory: directories, attributes and links, with inode numbers and a list of what changed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace simfs {

using Clock = std::chrono::steady_clock;

enum class Kind { directory, file, link };

struct Node {
  std::uint64_t ino = 0;
  Node* parent = nullptr;
  std::string name;
  Kind kind = Kind::directory;
  unsigned mode = 0755;       // permission bits
  std::string data;           // an attribute's text, or where a link leads
  bool binary = false;        // its size is that of the data; of text attributes sysfs says 4096
  bool alive = true;          // false: removed, but a process still has it open
  std::uint64_t lookups = 0;  // references that the kernel holds
  Clock::time_point visible_from{};
  std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
};

// A name that the kernel may have cached, positively or negatively, and must forget.
struct Change {
  std::uint64_t parent;
  std::string name;
};

// Paths have no leading slash and start below /sys.
class Tree {
 public:
  // Copies a directory of plain files; throws std::runtime_error with the path that could not be read.
  explicit Tree(const std::string& directory);

  [[nodiscard]] Node& root() { return *root_; }
  [[nodiscard]] Node* by_ino(std::uint64_t ino) const;
  // Does not follow links, except in `resolve`.
  [[nodiscard]] static Node* child(Node& directory, std::string_view name);
  [[nodiscard]] Node* find(std::string_view path);
  [[nodiscard]] Node* resolve(std::string_view path);
  [[nodiscard]] static std::string path(const Node& node);

  // Each makes missing parents, and returns what is there already when the name is taken.
  Node& make_directory(std::string_view path);
  Node& make_file(std::string_view path, std::string text, unsigned mode);
  Node& make_link(std::string_view path, const Node& target);
  Node& make_file(Node& directory, const std::string& name, std::string text, unsigned mode);
  Node& make_link(Node& directory, const std::string& name, const Node& target);
  void remove(Node& node);
  void remove_child(Node& directory, std::string_view name);
  // Takes a subtree out and keeps it whole, so that it can come back.
  std::unique_ptr<Node> detach(Node& node);
  void attach(Node& directory, std::unique_ptr<Node> node);

  void forget(std::uint64_t ino, std::uint64_t count);
  // What was added or removed since the last call.
  [[nodiscard]] std::vector<Change> take_changes() { return std::exchange(changes_, {}); }
  // Asked for every new name: how long it stays invisible.
  std::function<std::chrono::milliseconds(const std::string& path)> lateness;

 private:
  Node& add(Node& directory, std::string_view name, Kind kind, unsigned mode);
  void load(Node& directory, const std::string& from, bool binary);
  void bury(std::unique_ptr<Node> node);
  [[nodiscard]] Node* walk(std::string_view path, int depth);

  std::unique_ptr<Node> root_;
  std::uint64_t next_ino_ = 1;
  std::unordered_map<std::uint64_t, Node*> nodes_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Node>> buried_;
  std::vector<Change> changes_;
};

}  // namespace simfs
