// SPDX-License-Identifier: MIT
// simfs: mounts a directory tree as a sysfs that behaves. One thread answers the kernel and the control socket; a second one tells
// the kernel which names to forget, because that waits for directories that the first may be busy with.
#define FUSE_USE_VERSION 35
#include <fuse_lowlevel.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <deque>
#include <fstream>
#include <functional>
#include <list>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <utility>

#include <nlohmann/json.hpp>

#include "faults.hpp"
#include "sysfs.hpp"
#include "tree.hpp"
#include "wire.hpp"

namespace simfs {

namespace {

constexpr double forever = 365.0 * 24 * 3600;
constexpr std::size_t page = 4096;

struct Options {
  std::string tree, model, log, control, mountpoint;
  int ready = -1;
};

// Tells the kernel to forget names, then does what waited for it (answers a write).
class Notifier {
 public:
  explicit Notifier(fuse_session* session) : session_(session), thread_([this] { run(); }) {}
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;
  ~Notifier() {
    post({}, nullptr);
    thread_.join();
  }

  // An empty `then` ends the thread.
  void post(std::vector<Change> changes, std::function<void()> then) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back({std::move(changes), std::move(then)});
    wake_.notify_one();
  }

 private:
  struct Job {
    std::vector<Change> changes;
    std::function<void()> then;
  };

  void run() {
    while (true) {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return !jobs_.empty(); });
      const Job job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      std::set<std::uint64_t> parents;
      for (const Change& change : job.changes) {
        // what the kernel doesn't know it need not forget: errors say just that
        (void)fuse_lowlevel_notify_inval_entry(session_, change.parent, change.name.c_str(), change.name.size());
        parents.insert(change.parent);
      }
      for (const std::uint64_t parent : parents) {
        (void)fuse_lowlevel_notify_inval_inode(session_, parent, 0, 0);  // its listing
      }
      if (!job.then) {
        return;
      }
      job.then();
    }
  }

  fuse_session* session_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;
  std::thread thread_;
};

struct Handle {
  Node* node;
  std::string text;  // what the first read, or the last at offset 0, saw: later parts of the same reading belong to it
  bool shown = false;
};

class Server {
 public:
  Server(const Options& options, const nlohmann::json& model) : tree_(options.tree), sysfs_(tree_, model) {
    tree_.lateness = [this](const std::string& path) { return faults_.lateness(path); };
    log_ = open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    listener_ = wire::listen_at(options.control);
    if (log_ < 0 || listener_ < 0) {
      throw std::runtime_error(std::string("cannot open the ") + (log_ < 0 ? "log " + options.log : "socket " + options.control) + ": " +
                               std::strerror(errno));
    }
    started_ = std::time(nullptr);
  }

  int run(fuse_session* session, int signals, int ready);

  void lookup(fuse_req_t request, fuse_ino_t parent, const char* name);
  void forget(std::uint64_t ino, std::uint64_t count) { tree_.forget(ino, count); }
  void getattr(fuse_req_t request, fuse_ino_t ino);
  void setattr(fuse_req_t request, fuse_ino_t ino, const struct stat* wanted, int which);
  void readlink(fuse_req_t request, fuse_ino_t ino);
  void open_file(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info);
  void read_file(fuse_req_t request, std::size_t size, off_t offset, const fuse_file_info* info);
  void write_file(fuse_req_t request, const char* data, std::size_t size, const fuse_file_info* info);
  void release(std::uint64_t handle) { handles_.erase(handle); }
  void open_directory(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info);
  void read_directory(fuse_req_t request, fuse_ino_t ino, std::size_t size, off_t offset);
  void refuse(fuse_req_t request, const char* what, fuse_ino_t parent, const char* name, int error);

 private:
  [[nodiscard]] struct stat attributes(const Node& node) const;
  [[nodiscard]] static bool visible(const Node& node) { return node.visible_from <= Clock::now(); }
  void log(fuse_req_t request, const char* what, const std::string& path, std::string_view data, const std::string& result) const;
  [[nodiscard]] std::string command(const std::vector<std::string>& words);
  static std::string outcome(int error) { return error == 0 ? "ok" : "errno " + wire::error_name(error); }

  Tree tree_;
  Sysfs sysfs_;
  Faults faults_;
  int log_ = -1, listener_ = -1;
  std::time_t started_ = 0;
  Notifier* notifier_ = nullptr;
  std::list<wire::Client> clients_;
  std::unordered_map<std::uint64_t, Handle> handles_;
  std::uint64_t last_handle_ = 0;
  unsigned long lookups_ = 0, getattrs_ = 0, opens_ = 0, reads_ = 0, writes_ = 0, listings_ = 0, readlinks_ = 0;
};

struct stat Server::attributes(const Node& node) const {
  struct stat result {};
  result.st_ino = node.ino;
  result.st_nlink = 1;
  result.st_blksize = page;
  result.st_atim.tv_sec = result.st_mtim.tv_sec = result.st_ctim.tv_sec = started_;
  switch (node.kind) {
    case Kind::directory:
      result.st_mode = S_IFDIR | node.mode;
      break;
    case Kind::link:
      result.st_mode = S_IFLNK | 0777;
      result.st_size = static_cast<off_t>(node.data.size());
      break;
    case Kind::file:
      result.st_mode = S_IFREG | node.mode;
      result.st_size = static_cast<off_t>(node.binary ? node.data.size() : page);
      break;
  }
  return result;
}

void Server::log(fuse_req_t request, const char* what, const std::string& path, std::string_view data, const std::string& result) const {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  std::array<char, 64> head{};
  std::snprintf(head.data(), head.size(), "%lld.%06ld\t%d\t", static_cast<long long>(now.tv_sec), now.tv_nsec / 1000,
                static_cast<int>(fuse_req_ctx(request)->pid));
  const std::string line = head.data() + std::string(what) + '\t' + path + '\t' + wire::escape(data) + '\t' + result + '\n';
  if (write(log_, line.data(), line.size()) < 0) {
    std::perror("simfs: log");
  }
}

void Server::lookup(fuse_req_t request, fuse_ino_t parent, const char* name) {
  ++lookups_;
  Node* directory = tree_.by_ino(parent);
  Node* node = directory == nullptr ? nullptr : Tree::child(*directory, name);
  fuse_entry_param entry{};
  entry.attr_timeout = entry.entry_timeout = forever;
  if (node != nullptr && !visible(*node)) {
    fuse_reply_err(request, ENOENT);  // not cached: it appears by itself
    return;
  }
  if (node != nullptr) {
    entry.ino = node->ino;
    entry.attr = attributes(*node);
    ++node->lookups;
  }
  fuse_reply_entry(request, &entry);
}

void Server::getattr(fuse_req_t request, fuse_ino_t ino) {
  ++getattrs_;
  const Node* node = tree_.by_ino(ino);
  if (node == nullptr) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  const struct stat attr = attributes(*node);
  fuse_reply_attr(request, &attr, forever);
}

// kernfs_iop_setattr takes modes and owners; a size or a time changes nothing.
void Server::setattr(fuse_req_t request, fuse_ino_t ino, const struct stat* wanted, int which) {
  Node* node = tree_.by_ino(ino);
  if (node != nullptr && (which & FUSE_SET_ATTR_MODE) != 0) {
    node->mode = wanted->st_mode & 07777U;
  }
  getattr(request, ino);
}

void Server::readlink(fuse_req_t request, fuse_ino_t ino) {
  ++readlinks_;
  const Node* node = tree_.by_ino(ino);
  if (node == nullptr || node->kind != Kind::link) {
    fuse_reply_err(request, EINVAL);
    return;
  }
  fuse_reply_readlink(request, node->data.c_str());
}

// kernfs_fop_open: sysfs is a KERNFS_ROOT_EXTRA_OPEN_PERM_CHECK tree, where the mode binds root as well.
void Server::open_file(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
  ++opens_;
  Node* node = tree_.by_ino(ino);
  if (node == nullptr || !node->alive) {
    fuse_reply_err(request, ENODEV);
    return;
  }
  const int access = info->flags & O_ACCMODE;
  if ((access != O_RDONLY && (node->mode & 0222U) == 0) || (access != O_WRONLY && (node->mode & 0444U) == 0)) {
    if (access != O_RDONLY) {
      log(request, "open", Tree::path(*node), "", "EACCES");
    }
    fuse_reply_err(request, EACCES);
    return;
  }
  if (const auto fault = faults_.on("open", Tree::path(*node))) {
    fuse_reply_err(request, *fault);
    return;
  }
  info->fh = ++last_handle_;
  info->direct_io = 1;
  info->noflush = 1;
  if (fuse_reply_open(request, info) == 0) {
    handles_[info->fh] = {node, {}, false};
  }
}

void Server::read_file(fuse_req_t request, std::size_t size, off_t offset, const fuse_file_info* info) {
  ++reads_;
  Handle& handle = handles_.at(info->fh);
  if (!handle.node->alive) {
    fuse_reply_err(request, ENODEV);
    return;
  }
  if (const auto fault = faults_.on("read", Tree::path(*handle.node))) {
    fuse_reply_err(request, *fault);
    return;
  }
  const auto from = static_cast<std::size_t>(offset);
  if (from == 0 || !handle.shown) {
    handle.text = handle.node->data;
    handle.shown = true;
  }
  if (from >= handle.text.size()) {
    fuse_reply_buf(request, nullptr, 0);
    return;
  }
  fuse_reply_buf(request, handle.text.data() + from, std::min(size, handle.text.size() - from));
}

// kernfs_fop_write_iter hands over at most a page, whatever the offset.
void Server::write_file(fuse_req_t request, const char* data, std::size_t size, const fuse_file_info* info) {
  ++writes_;
  Node& node = *handles_.at(info->fh).node;
  if (!node.alive) {
    fuse_reply_err(request, ENODEV);
    return;
  }
  size = std::min(size, page);
  const std::string_view text(data, size);
  const std::string path = Tree::path(node);
  const auto fault = faults_.on("write", path);
  const int error = fault ? *fault : sysfs_.store(node, text);
  log(request, "write", path, text, error == 0 ? (fault ? "ignored" : "ok") : wire::error_name(error));
  auto changes = tree_.take_changes();
  const auto reply = [request, error, size] {
    if (error != 0) {
      fuse_reply_err(request, error);
    } else {
      fuse_reply_write(request, size);
    }
  };
  if (changes.empty()) {
    reply();
  } else {
    notifier_->post(std::move(changes), reply);
  }
}

void Server::open_directory(fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) {
  const Node* node = tree_.by_ino(ino);
  const bool settled = node != nullptr &&
                       std::all_of(node->children.begin(), node->children.end(), [](const auto& entry) { return visible(*entry.second); });
  info->cache_readdir = info->keep_cache = settled ? 1 : 0;
  fuse_reply_open(request, info);
}

void Server::read_directory(fuse_req_t request, fuse_ino_t ino, std::size_t size, off_t offset) {
  ++listings_;
  const Node* node = tree_.by_ino(ino);
  if (node == nullptr) {
    fuse_reply_err(request, ENOENT);
    return;
  }
  std::vector<char> buffer(size);
  std::size_t used = 0;
  const auto put = [&](const char* name, const Node& entry, off_t next) {
    const struct stat attr = attributes(entry);
    const std::size_t length = fuse_add_direntry(request, buffer.data() + used, size - used, name, &attr, next);
    if (length > size - used) {
      return false;
    }
    used += length;
    return true;
  };
  // The offset after an entry is its inode number, and entries are told in that order: names that come and go between two parts
  // of a listing make no other name appear twice or never.
  std::vector<const Node*> entries;
  for (const auto& [name, child] : node->children) {
    if (child->ino + 2 > static_cast<std::uint64_t>(offset) && visible(*child)) {
      entries.push_back(child.get());
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Node* left, const Node* right) { return left->ino < right->ino; });
  bool room = offset >= 1 || put(".", *node, 1);
  room = room && (offset >= 2 || put("..", node->parent == nullptr ? *node : *node->parent, 2));
  for (const Node* entry : entries) {
    room = room && put(entry->name.c_str(), *entry, static_cast<off_t>(entry->ino + 2));
  }
  fuse_reply_buf(request, buffer.data(), used);
}

void Server::refuse(fuse_req_t request, const char* what, fuse_ino_t parent, const char* name, int error) {
  const Node* directory = tree_.by_ino(parent);
  log(request, what, directory == nullptr ? name : Tree::path(*directory) + '/' + name, "", wire::error_name(error));
  fuse_reply_err(request, error);
}

// The control socket: README.md says what the commands mean.
std::string Server::command(const std::vector<std::string>& words) {
  const std::string& verb = words[0];
  if (verb == "fault" && words.size() >= 2) {
    auto given = words;
    if (given.size() > 2 && given[2].find_first_of("*?[") == std::string::npos) {  // a path that is there may lead over links
      if (const Node* node = tree_.resolve(given[2])) {
        given[2] = Tree::path(*node);
      }
    }
    const auto answer = faults_.command(given);
    return (answer.good ? "ok " : "error ") + wire::escape(answer.text);
  }
  if (verb == "module" && words.size() >= 3) {
    if (words[1] == "load") {
      return outcome(sysfs_.load_module(words[2], words.size() > 3 ? words[3] : ""));
    }
    if (words[1] == "unload") {
      return outcome(sysfs_.unload_module(words[2]));
    }
  }
  if (verb == "get" && words.size() == 2) {
    const Node* node = tree_.resolve(words[1]);
    return node == nullptr ? "errno ENOENT" : "ok " + wire::escape(node->data);
  }
  if (verb == "set" && (words.size() == 3 || words.size() == 4)) {
    if (Node* node = tree_.resolve(words[1])) {
      node->data = words[2];
    } else {
      tree_.make_file(words[1], words[2], words.size() == 4 ? static_cast<unsigned>(std::stoul(words[3], nullptr, 8)) : 0644);
    }
    return "ok";
  }
  if (verb == "absent" && words.size() == 2) {
    Node* node = tree_.find(words[1]);
    if (node == nullptr || node->parent == nullptr) {
      return "errno ENOENT";
    }
    tree_.remove(*node);
    return "ok";
  }
  if (verb == "stats" && words.size() == 1) {
    std::array<char, 256> text{};
    std::snprintf(text.data(), text.size(), "ok lookup=%lu getattr=%lu open=%lu read=%lu write=%lu list=%lu readlink=%lu", lookups_,
                  getattrs_, opens_, reads_, writes_, listings_, readlinks_);
    return text.data();
  }
  return "error fault … | module load|unload NAME [PARAMETERS] | get PATH | set PATH TEXT [MODE] | absent PATH | stats";
}

int Server::run(fuse_session* session, int signals, int ready) {
  Notifier notifier(session);
  notifier_ = &notifier;
  if (ready >= 0) {
    (void)!write(ready, "ready\n", 6);
    close(ready);
  }
  fuse_buf buffer{};
  int status = 0;
  while (fuse_session_exited(session) == 0) {
    std::vector<pollfd> polled{{fuse_session_fd(session), POLLIN, 0}, {signals, POLLIN, 0}, {listener_, POLLIN, 0}};
    for (const auto& client : clients_) {
      polled.push_back({client.fd(), POLLIN, 0});
    }
    if (poll(polled.data(), polled.size(), -1) < 0 && errno != EINTR) {
      status = 1;
      break;
    }
    if (polled[1].revents != 0) {
      break;
    }
    if (polled[0].revents != 0) {
      const int got = fuse_session_receive_buf(session, &buffer);
      if (got == -EINTR || got == -EAGAIN) {
        continue;
      }
      if (got <= 0) {
        break;  // unmounted
      }
      fuse_session_process_buf(session, &buffer);
    }
    std::size_t index = 3;
    for (auto client = clients_.begin(); client != clients_.end() && index < polled.size(); ++index) {
      std::vector<std::string> lines;
      if (polled[index].revents == 0 || client->receive(lines)) {
        for (const std::string& line : lines) {
          std::string answer;
          try {
            answer = command(wire::words(line)) + '\n';
          } catch (const std::exception& error) {
            answer = std::string("error ") + error.what() + '\n';
          }
          const int fd = client->fd();
          notifier.post(tree_.take_changes(), [fd, answer] { (void)!send(fd, answer.data(), answer.size(), MSG_NOSIGNAL); });
        }
        ++client;
      } else {
        const int fd = client->fd();
        notifier.post({}, [fd] { close(fd); });  // after the answers that it still owes
        client = clients_.erase(client);
      }
    }
    if (polled[2].revents != 0) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd >= 0) {
        clients_.emplace_back(fd);
      }
    }
  }
  std::free(buffer.mem);
  notifier_ = nullptr;
  return status;
}

// --- libfuse's callbacks -----------------------------------------------------------------------------------------------------

Server& server_of(fuse_req_t request) { return *static_cast<Server*>(fuse_req_userdata(request)); }

fuse_lowlevel_ops operations() {
  fuse_lowlevel_ops ops{};
  ops.init = [](void*, fuse_conn_info* connection) {
    connection->want |= connection->capable & FUSE_CAP_CACHE_SYMLINKS;
    connection->want &= ~static_cast<unsigned>(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA);
  };
  ops.lookup = [](fuse_req_t request, fuse_ino_t parent, const char* name) { server_of(request).lookup(request, parent, name); };
  ops.forget = [](fuse_req_t request, fuse_ino_t ino, std::uint64_t count) {
    server_of(request).forget(ino, count);
    fuse_reply_none(request);
  };
  ops.forget_multi = [](fuse_req_t request, std::size_t count, fuse_forget_data* forgets) {
    for (std::size_t index = 0; index < count; ++index) {
      server_of(request).forget(forgets[index].ino, forgets[index].nlookup);
    }
    fuse_reply_none(request);
  };
  ops.getattr = [](fuse_req_t request, fuse_ino_t ino, fuse_file_info*) { server_of(request).getattr(request, ino); };
  ops.setattr = [](fuse_req_t request, fuse_ino_t ino, struct stat* wanted, int which, fuse_file_info*) {
    server_of(request).setattr(request, ino, wanted, which);
  };
  ops.readlink = [](fuse_req_t request, fuse_ino_t ino) { server_of(request).readlink(request, ino); };
  ops.open = [](fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) { server_of(request).open_file(request, ino, info); };
  ops.read = [](fuse_req_t request, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
    server_of(request).read_file(request, size, offset, info);
  };
  ops.write = [](fuse_req_t request, fuse_ino_t, const char* data, std::size_t size, off_t, fuse_file_info* info) {
    server_of(request).write_file(request, data, size, info);
  };
  ops.release = [](fuse_req_t request, fuse_ino_t, fuse_file_info* info) {
    server_of(request).release(info->fh);
    fuse_reply_err(request, 0);
  };
  ops.opendir = [](fuse_req_t request, fuse_ino_t ino, fuse_file_info* info) { server_of(request).open_directory(request, ino, info); };
  ops.readdir = [](fuse_req_t request, fuse_ino_t ino, std::size_t size, off_t offset, fuse_file_info*) {
    server_of(request).read_directory(request, ino, size, offset);
  };
  // kernfs has no such operations: the VFS answers EACCES for a new file, EPERM for the others
  ops.create = [](fuse_req_t request, fuse_ino_t parent, const char* name, mode_t, fuse_file_info*) {
    server_of(request).refuse(request, "create", parent, name, EACCES);
  };
  ops.mknod = [](fuse_req_t request, fuse_ino_t parent, const char* name, mode_t, dev_t) {
    server_of(request).refuse(request, "mknod", parent, name, EPERM);
  };
  ops.mkdir = [](fuse_req_t request, fuse_ino_t parent, const char* name, mode_t) {
    server_of(request).refuse(request, "mkdir", parent, name, EPERM);
  };
  ops.unlink = [](fuse_req_t request, fuse_ino_t parent, const char* name) {
    server_of(request).refuse(request, "unlink", parent, name, EPERM);
  };
  ops.rmdir = [](fuse_req_t request, fuse_ino_t parent, const char* name) {
    server_of(request).refuse(request, "rmdir", parent, name, EPERM);
  };
  ops.symlink = [](fuse_req_t request, const char*, fuse_ino_t parent, const char* name) {
    server_of(request).refuse(request, "symlink", parent, name, EPERM);
  };
  ops.link = [](fuse_req_t request, fuse_ino_t, fuse_ino_t parent, const char* name) {
    server_of(request).refuse(request, "link", parent, name, EPERM);
  };
  ops.rename = [](fuse_req_t request, fuse_ino_t parent, const char* name, fuse_ino_t, const char*, unsigned) {
    server_of(request).refuse(request, "rename", parent, name, EPERM);
  };
  return ops;
}

int serve(const Options& options) {
  nlohmann::json model = nlohmann::json::object();
  if (!options.model.empty()) {
    std::ifstream file(options.model);
    if (!file) {
      throw std::runtime_error("cannot read " + options.model + ": " + std::strerror(errno));
    }
    model = nlohmann::json::parse(file);
  }
  sigset_t wanted;
  sigemptyset(&wanted);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) {
    sigaddset(&wanted, number);
  }
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  const int signals = signalfd(-1, &wanted, SFD_CLOEXEC);
  Server server(options, model);
  const std::array<const char*, 3> words{"simfs", "-o", "allow_other,default_permissions,fsname=sysfs"};
  fuse_args arguments = FUSE_ARGS_INIT(static_cast<int>(words.size()), const_cast<char**>(words.data()));
  const fuse_lowlevel_ops ops = operations();
  fuse_session* session = fuse_session_new(&arguments, &ops, sizeof(ops), &server);
  if (session == nullptr || fuse_session_mount(session, options.mountpoint.c_str()) != 0) {
    throw std::runtime_error("cannot mount on " + options.mountpoint);
  }
  const int status = server.run(session, signals, options.ready);
  fuse_session_unmount(session);
  fuse_session_destroy(session);
  fuse_opt_free_args(&arguments);
  return status;
}

}  // namespace

}  // namespace simfs

int main(int count, char** words) {
  simfs::Options options;
  const char* usage = "usage: simfs --tree DIRECTORY --log FILE --control SOCKET [--model FILE] [--ready-fd N] MOUNTPOINT\n";
  for (int index = 1; index < count; ++index) {
    const std::string word = words[index];
    std::string* value = word == "--tree"      ? &options.tree
                         : word == "--model"   ? &options.model
                         : word == "--log"     ? &options.log
                         : word == "--control" ? &options.control
                                               : nullptr;
    if (value != nullptr && index + 1 < count) {
      *value = words[++index];
    } else if (word == "--ready-fd" && index + 1 < count) {
      options.ready = std::atoi(words[++index]);
    } else if (word[0] != '-' && options.mountpoint.empty()) {
      options.mountpoint = word;
    } else {
      std::fputs(usage, stderr);
      return 2;
    }
  }
  if (options.tree.empty() || options.log.empty() || options.control.empty() || options.mountpoint.empty()) {
    std::fputs(usage, stderr);
    return 2;
  }
  try {
    return simfs::serve(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "simfs: %s\n", error.what());
    return 1;
  }
}
