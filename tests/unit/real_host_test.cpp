// SPDX-License-Identifier: MIT
// The real machine, tried in a directory of its own.
#include "common/host/real_host.hpp"

#include "common/base/strings.hpp"
#include "tests/unit/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

namespace pvegpu {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class RealHostTest : public testing::Test {
 protected:
  TemporaryDirectory directory_;
  RealHost host_{directory_.path()};

  std::string bytes(const std::string& path) { return host_.read_file(path).value_or("(absent)"); }
  unsigned mode(const std::string& path) { return host_.stat(path).or_fail("stat").mode; }
  std::vector<std::string> names(const std::string& path = "/") { return host_.list_dir(path).or_fail("list"); }
};

TEST_F(RealHostTest, new_file_is_0644_whatever_the_umask) {
  const mode_t before = ::umask(077);
  EXPECT_TRUE(host_.write_file("/a", "text\n"));
  EXPECT_TRUE(host_.write_file("/b", "text\n", {.mode = 0755}));
  EXPECT_TRUE(host_.make_dir("/d", 0755));
  ::umask(before);
  EXPECT_EQ(bytes("/a"), "text\n");
  EXPECT_EQ(mode("/a"), 0644u);
  EXPECT_EQ(mode("/b"), 0755u);
  EXPECT_EQ(mode("/d"), 0755u);
}

TEST_F(RealHostTest, replaced_file_keeps_its_mode_and_owner_unless_told) {
  ASSERT_TRUE(host_.write_file("/a", "1", {.mode = 0600}));
  const bool root = ::geteuid() == 0;
  if (root) {
    ASSERT_EQ(::chown((directory_.path() + "/a").c_str(), 7, 8), 0);
  }
  ASSERT_TRUE(host_.write_file("/a", "2"));
  const FileInfo info = host_.stat("/a").or_fail("stat");
  EXPECT_EQ(info.mode, 0600u);
  if (root) {
    EXPECT_EQ(info.uid, 7u);
    EXPECT_EQ(info.gid, 8u);
  }
  ASSERT_TRUE(host_.write_file("/a", "3", {.mode = 0640}));
  EXPECT_EQ(mode("/a"), 0640u);
}

TEST_F(RealHostTest, symbolic_link_stays_a_link) {
  ASSERT_TRUE(host_.make_dir("/real", 0755));
  ASSERT_TRUE(host_.write_file("/real/file", "1"));
  ASSERT_TRUE(host_.make_symlink("/link", "real/file"));
  ASSERT_TRUE(host_.write_file("/link", "2"));
  EXPECT_EQ(host_.read_link("/link").or_fail("readlink"), "real/file");
  EXPECT_EQ(bytes("/real/file"), "2");
  ASSERT_TRUE(host_.remove_file("/link"));
  EXPECT_EQ(bytes("/real/file"), "2");
}

TEST_F(RealHostTest, failed_write_leaves_the_old_file_and_nothing_else) {
  ASSERT_TRUE(host_.make_dir("/dir", 0755));
  EXPECT_EQ(host_.write_file("/missing/file", "x").error().code, ENOENT);
  EXPECT_EQ(host_.write_file("/dir", "x").error().code, EISDIR);
  EXPECT_EQ(names(), std::vector<std::string>{"dir"});
}

TEST_F(RealHostTest, write_that_is_killed_leaves_the_old_bytes_and_the_next_one_cleans_up) {
  ASSERT_TRUE(host_.write_file("/a", "old"));
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);  // SIGXFSZ in the middle of write(2)
    (void)host_.write_file("/a", std::string(100000, 'n'));
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(bytes("/a"), "old");
  EXPECT_EQ(names(), (std::vector<std::string>{"a", std::string("a") + temporary_suffix}));
  ASSERT_TRUE(host_.write_file("/a", "new"));
  EXPECT_EQ(bytes("/a"), "new");
  EXPECT_EQ(names(), std::vector<std::string>{"a"});
}

TEST_F(RealHostTest, full_disk_leaves_the_old_file) {
  ASSERT_TRUE(host_.write_file("/a", "old"));
  const pid_t child = ::fork();
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);  // the write fails with EFBIG instead, as it does with ENOSPC
    const rlimit limit{4096, 4096};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto written = host_.write_file("/a", std::string(100000, 'n'));
    ::_exit(!written && written.error().code == EFBIG ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(bytes("/a"), "old");
  EXPECT_EQ(names(), std::vector<std::string>{"a"});
}

TEST_F(RealHostTest, reads_what_has_no_size_and_refuses_what_is_too_large) {
  EXPECT_TRUE(text::contains(RealHost().read_file("/proc/self/status").or_fail("read"), "Pid:"));
  ASSERT_TRUE(host_.write_file("/large", ""));
  ASSERT_EQ(::truncate((directory_.path() + "/large").c_str(), (64 << 20) + 1), 0);
  EXPECT_EQ(host_.read_file("/large").error().code, EFBIG);
  EXPECT_EQ(host_.read_file("/").error().code, EISDIR);
  EXPECT_EQ(host_.read_file("/none").error().code, ENOENT);
  EXPECT_EQ(host_.read_file("/large/below").error().code, ENOTDIR);
}

/// Every way to read or lock `path` is refused at once, with its kind.
void expect_refused(RealHost& host, const std::string& path, const std::string& kind) {
  ASSERT_TRUE(host.exists("/ours") || host.make_dir("/ours", 0700));
  const auto expect = [&](const auto& result) {
    ASSERT_FALSE(result) << path;
    EXPECT_FALSE(result.error().not_found());
    EXPECT_TRUE(text::contains(result.error().message, path + ": it is " + kind + ", not a regular file; move it away"))
        << result.error().message;
  };
  expect(host.read_file(path));
  expect(host.sha256_of(path));
  expect(host.adopt_file(path, "/ours", std::nullopt));
  EXPECT_TRUE(host.list_dir("/ours").or_fail("list").empty());
}

TEST_F(RealHostTest, nothing_but_a_regular_file_is_read) {
  const std::string top = directory_.path();
  ASSERT_EQ(::mkfifo((top + "/fifo").c_str(), 0600), 0);
  ASSERT_TRUE(host_.make_symlink("/link", "fifo"));
  ASSERT_TRUE(host_.make_symlink("/zero", "/dev/zero"));
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  top.copy(name.sun_path, sizeof name.sun_path - 8);
  std::strcat(name.sun_path, "/sock");
  ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&name), sizeof name), 0);
  expect_refused(host_, "/fifo", "a FIFO");
  expect_refused(host_, "/link", "a FIFO");
  expect_refused(host_, "/zero", "a device");
  expect_refused(host_, "/sock", "a socket");
  expect_refused(host_, "/ours", "a directory");
  EXPECT_EQ(host_.write_attr("/fifo", "1").error().code, ENXIO) << "nobody reads it: not waited for";
  ::close(socket);
}

TEST_F(RealHostTest, lock_is_a_regular_file) {
  ASSERT_EQ(::mkfifo((directory_.path() + "/fifo").c_str(), 0600), 0);
  ASSERT_TRUE(host_.make_symlink("/link", "file"));
  for (const auto& [path, kind] : {std::pair("/fifo", "a FIFO"), {"/link", "a symbolic link"}}) {
    const auto lock = host_.lock(path, seconds(0));
    ASSERT_FALSE(lock);
    EXPECT_EQ(lock.error().message, fmt::format("lock {}: it is {}, not a regular file; move it away", path, kind));
  }
  EXPECT_FALSE(host_.lock("/", seconds(0)));
}

TEST_F(RealHostTest, endless_file_is_not_hashed_or_copied) {
  ASSERT_TRUE(host_.write_file("/endless", ""));
  ASSERT_EQ(::truncate((directory_.path() + "/endless").c_str(), off_t{1} << 40), 0);
  EXPECT_EQ(host_.sha256_of("/endless").error().code, EFBIG);
  const auto adopted = host_.adopt_file("/endless", "/ours", std::nullopt);
  EXPECT_EQ(adopted.error().message, "read /endless: it is larger than 4096 MiB; move it away");
}

TEST_F(RealHostTest, copy_goes_into_a_directory_of_ours_alone) {
  ASSERT_TRUE(host_.write_file("/driver.run", "driver"));
  ASSERT_TRUE(host_.make_dir("/open", 0770));
  EXPECT_TRUE(text::contains(host_.adopt_file("/driver.run", "/open", std::nullopt).error().message, "can be written by others"));
  ASSERT_TRUE(host_.make_dir("/real", 0700));
  ASSERT_TRUE(host_.make_symlink("/link", "real"));
  EXPECT_FALSE(host_.adopt_file("/driver.run", "/link", std::nullopt));
  EXPECT_TRUE(names("/real").empty() && names("/open").empty());
}

TEST_F(RealHostTest, bytes_come_back_as_they_went) {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  ASSERT_TRUE(host_.write_file("/a", all));
  EXPECT_EQ(bytes("/a"), all);
}

TEST_F(RealHostTest, attribute_is_one_write_and_its_errno_is_told) {
  ASSERT_TRUE(host_.write_file("/attr", "0\n"));
  ASSERT_TRUE(host_.write_attr("/attr", "1"));
  EXPECT_EQ(bytes("/attr"), "1\n") << "written over, not cut";
  EXPECT_EQ(host_.read_attr("/attr").or_fail("read"), "1");
  const auto full = RealHost().write_attr("/dev/full", "16");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, ENOSPC);
  EXPECT_TRUE(text::contains(full.error().message, "write '16' to /dev/full")) << full.error().message;
  EXPECT_EQ(host_.write_attr("/none", "1").error().code, ENOENT) << "an attribute is never created";
  EXPECT_FALSE(host_.exists("/none"));
}

TEST_F(RealHostTest, directories) {
  for (const char* name : {"/b", "/a", "/c"}) ASSERT_TRUE(host_.write_file(name, ""));
  EXPECT_EQ(names(), (std::vector<std::string>{"a", "b", "c"}));
  ASSERT_TRUE(host_.make_dir("/d", 0700));
  EXPECT_EQ(host_.make_dir("/d", 0700).error().code, EEXIST);
  ASSERT_TRUE(host_.write_file("/d/x", ""));
  EXPECT_EQ(host_.remove_dir("/d").error().code, ENOTEMPTY);
  ASSERT_TRUE(host_.remove_file("/d/x"));
  EXPECT_TRUE(host_.remove_dir("/d"));
  EXPECT_EQ(host_.remove_dir("/d").error().code, ENOENT);
  EXPECT_EQ(host_.remove_file("/none").error().code, ENOENT);
  EXPECT_EQ(host_.list_dir("/a").error().code, ENOTDIR);
}

TEST_F(RealHostTest, stat_tells_kinds_apart) {
  ASSERT_TRUE(host_.write_file("/f", "abc"));
  ASSERT_TRUE(host_.make_symlink("/l", "f"));
  ASSERT_TRUE(host_.make_symlink("/dangling", "none"));
  EXPECT_EQ(host_.stat("/f").or_fail("stat").type, FileType::regular);
  EXPECT_EQ(host_.stat("/f").or_fail("stat").size, 3u);
  EXPECT_EQ(host_.stat("/").or_fail("stat").type, FileType::directory);
  EXPECT_EQ(host_.stat("/l").or_fail("stat").type, FileType::regular);
  EXPECT_EQ(host_.stat("/l", Links::keep).or_fail("stat").type, FileType::symlink);
  EXPECT_FALSE(host_.exists("/dangling"));
  EXPECT_TRUE(host_.stat("/dangling", Links::keep));
  EXPECT_EQ(RealHost().stat("/dev/null").or_fail("stat").type, FileType::other);
}

TEST_F(RealHostTest, adopted_file_is_a_copy_named_by_its_hash) {
  const std::string content(3000000, 'd'), sum = text::sha256_hex(content);
  ASSERT_TRUE(host_.write_file("/driver.run", content));
  EXPECT_EQ(host_.adopt_file("/driver.run", "/ours", std::nullopt).or_fail("adopt"), "/ours/" + sum);
  EXPECT_EQ(bytes("/ours/" + sum), content);
  EXPECT_EQ(mode("/ours"), 0700u);
  EXPECT_EQ(mode("/ours/" + sum), 0500u);
  EXPECT_TRUE(host_.adopt_file("/driver.run", "/ours", sum)) << "again";
  EXPECT_EQ(names("/ours").size(), 1u);
}

TEST_F(RealHostTest, file_with_another_hash_is_not_kept) {
  ASSERT_TRUE(host_.write_file("/driver.run", "not the driver"));
  const auto adopted = host_.adopt_file("/driver.run", "/ours", std::string(64, '0'));
  ASSERT_FALSE(adopted);
  EXPECT_TRUE(text::contains(adopted.error().message, text::sha256_hex("not the driver"))) << adopted.error().message;
  EXPECT_TRUE(names("/ours").empty());
  EXPECT_EQ(host_.adopt_file("/none", "/ours", std::nullopt).error().code, ENOENT);
}

TEST_F(RealHostTest, lock_is_exclusive_until_it_is_destroyed) {
  auto held = host_.lock("/lock", seconds(0)).or_fail("lock");
  const auto start = host_.now();
  EXPECT_EQ(host_.lock("/lock", seconds(1)).error().code, EWOULDBLOCK);
  EXPECT_GE(host_.now() - start, milliseconds(900));
  held.reset();
  EXPECT_TRUE(host_.lock("/lock", seconds(0)));
}

TEST_F(RealHostTest, lock_of_a_killed_process_is_free) {
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto held = host_.lock("/lock", seconds(0));
    (void)!::write(ready[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(host_.lock("/lock", seconds(0)).error().code, EWOULDBLOCK);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(host_.lock("/lock", seconds(2)));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_F(RealHostTest, no_pci_bus_is_an_error_and_an_empty_one_is_none) {
  EXPECT_EQ(host_.pci_devices().error().code, ENOENT);
  for (const char* path : {"/sys", "/sys/bus", "/sys/bus/pci", "/sys/bus/pci/devices", "/sys/bus/pci/slots"})
    ASSERT_TRUE(host_.make_dir(path, 0755));
  EXPECT_TRUE(host_.pci_devices().or_fail("list").empty());
}

TEST_F(RealHostTest, kernel_module_needs_a_name_and_a_module_directory) {
  EXPECT_TRUE(text::contains(host_.kernel_module("../etc/passwd", "6.8").error().message, "not a kernel module's name"));
  EXPECT_FALSE(host_.kernel_module("", "6.8"));
  EXPECT_EQ(host_.kernel_module("nvidia", "6.8").error().code, ENOENT);
}

TEST_F(RealHostTest, free_space_and_time) {
  EXPECT_GT(host_.free_space("/").or_fail("free space"), 0u);
  EXPECT_FALSE(host_.free_space("/none"));
  const auto start = std::chrono::steady_clock::now();
  host_.pause(milliseconds(30));
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(30));
  EXPECT_FALSE(RealHost().kernel_release().empty());
}

}  // namespace
}  // namespace pvegpu
