// SPDX-License-Identifier: MIT
// The host in memory answers as the real one does: the same random effects and questions go to both, and every answer, every errno
// and the files in the end must be the same.
#include "tests/laws/fake_host.hpp"

#include "common/host/real_host.hpp"
#include "tests/unit/temporary_directory.hpp"

#include <gtest/gtest.h>

#include <random>

namespace pvegpu {
namespace {

std::string shown(const Error& error) { return fmt::format("errno {}", error.code); }
std::string shown(const Result<>& r) { return r ? "done" : shown(r.error()); }
std::string shown(const Result<std::string>& r) { return r ? "'" + *r + "'" : shown(r.error()); }
std::string shown(const Result<std::vector<std::string>>& r) { return r ? fmt::format("{}", fmt::join(*r, ",")) : shown(r.error()); }
std::string shown(const Result<FileInfo>& r) {
  if (!r) return shown(r.error());
  const bool sized = r->type == FileType::regular;
  return fmt::format("type {} mode {:o} size {}", static_cast<int>(r->type), r->mode, sized ? r->size : 0);
}

/// One random question or effect on `host`; the same random numbers give the same call.
template <class Random>
std::string act(Host& host, Random& random) {
  const auto pick = [&](std::vector<std::string> from) { return from[random() % from.size()]; };
  // Nothing may lead out of the real host's directory: one ".." at most, and links to neighbours only.
  const auto path = [&] {
    std::string out = "/top";
    const bool up = random() % 4 == 0;
    for (auto depth = 1 + random() % 3; depth > 0; --depth) out += "/" + pick({"a", "b", "c", "link"});
    return up ? out + "/../" + pick({"d", "e"}) : out;
  };
  const std::string p = path();
  const FileMeta meta = random() % 2 ? FileMeta{0600u + static_cast<unsigned>(random() % 64)} : FileMeta{};
  switch (random() % 12) {
    case 0:
    case 1:
      return fmt::format("write {}: {}", p, shown(host.write_file(p, pick({"", "one\n", std::string("\0two", 4)}), meta)));
    case 2:
      return fmt::format("remove {}: {}", p, shown(host.remove_file(p)));
    case 3: {
      const std::string target = pick({"a", "b", "missing", "link"});
      return fmt::format("link {} {}: {}", p, target, shown(host.make_symlink(p, target)));
    }
    case 4:
    case 5:
      return fmt::format("mkdir {}: {}", p, shown(host.make_dir(p, 0750)));
    case 6:
      return fmt::format("rmdir {}: {}", p, shown(host.remove_dir(p)));
    case 7:
      return fmt::format("read {}: {}", p, shown(host.read_file(p)));
    case 8:
      return fmt::format("readlink {}: {}", p, shown(host.read_link(p)));
    case 9:
      return fmt::format("list {}: {}", p, shown(host.list_dir(p)));
    case 10:
      return fmt::format("stat {}: {}", p, shown(host.stat(p)));
    default:
      return fmt::format("lstat {}: {}", p, shown(host.stat(p, Links::keep)));
  }
}

TEST(FakeHost, does_what_the_real_host_does) {
  for (unsigned seed = 1; seed <= 15; ++seed) {
    const TemporaryDirectory directory;
    RealHost real(directory.path());
    ASSERT_TRUE(real.make_dir("/top", 0755));
    FakeHost fake(std::make_shared<Tree>());
    fake.gone("/proc").dir("/top");
    std::mt19937 one(seed), two(seed);
    for (int i = 0; i < 200; ++i) ASSERT_EQ(act(real, one), act(fake, two)) << "seed " << seed << ", call " << i;
    State found = fake.state(), wanted;
    const auto tree = load_tree(directory.path());
    for (const auto& [path, node] : *tree) wanted[path] = node;
    std::erase_if(found, [](const auto& entry) { return !entry.second; });
    ASSERT_EQ(difference(wanted, found), "") << "seed " << seed;
  }
}

TEST(FakeHost, takes_a_tree_from_the_disk) {
  const TemporaryDirectory directory;
  RealHost real(directory.path());
  ASSERT_TRUE(real.make_dir("/sys", 0755));
  ASSERT_TRUE(real.write_file("/sys/value", "1\n", {.mode = 0444}));
  ASSERT_TRUE(real.make_symlink("/sys/link", "value"));
  FakeHost fake(load_tree(directory.path()), directory.path());
  EXPECT_EQ(fake.bytes("/sys/link"), "1\n");
  EXPECT_EQ(fake.stat("/sys/value").or_fail("stat").mode, 0444u);
  ASSERT_TRUE(fake.write_attr("/sys/link", "2"));
  EXPECT_EQ(fake.bytes("/sys/value"), "2\n");
  EXPECT_EQ(real.read_file("/sys/value").or_fail("read"), "1\n") << "what is below stays as it is";
}

TEST(FakeHost, counts_effects_and_breaks_the_one_it_is_told_to) {
  const auto world = [] { return FakeHost().dir("/etc"); };
  {
    FakeHost host = world().fault_at(2, Fault::error);
    EXPECT_TRUE(host.write_file("/etc/a", "a"));
    EXPECT_FALSE(host.write_file("/etc/b", "b"));
    EXPECT_TRUE(host.write_file("/etc/c", "c"));
    EXPECT_EQ(host.effects(), (std::vector<std::string>{"write /etc/a", "write /etc/b", "write /etc/c"}));
    EXPECT_FALSE(host.exists("/etc/b"));
  }
  {
    FakeHost host = world().fault_at(1, Fault::fails);
    EXPECT_FALSE(host.write_file("/etc/a", "a"));
    EXPECT_EQ(host.bytes("/etc/a"), "a");
  }
  for (const Fault fault : {Fault::kill_before, Fault::kill_after, Fault::kill_torn}) {
    FakeHost host = world().file("/etc/a", "old").fault_at(1, fault);
    EXPECT_THROW((void)host.write_file("/etc/a", "new"), Killed);
    EXPECT_EQ(host.bytes("/etc/a"), fault == Fault::kill_after ? "new" : "old");
    EXPECT_EQ(host.exists(std::string("/etc/a") + temporary_suffix), fault == Fault::kill_torn);
    EXPECT_FALSE(host.remove_file("/etc/a")) << "a dead process does nothing more";
    EXPECT_TRUE(host.exists("/etc/a"));
    host.restart();
    EXPECT_TRUE(host.remove_file("/etc/a"));
  }
}

TEST(FakeHost, keeps_what_root_alone_may_do_from_others) {
  FakeHost host = FakeHost().file("/root/secret", "s", 0600).dir("/root", 0700).file("/etc/shadow", "s", 0640).user(1000);
  EXPECT_EQ(host.read_file("/root/secret").error().code, EACCES);
  EXPECT_EQ(host.read_file("/etc/shadow").error().code, EACCES);
  EXPECT_EQ(host.write_file("/etc/new", "x").error().code, EACCES);
  EXPECT_TRUE(host.list_dir("/etc"));
}

TEST(FakeHost, makes_no_files_where_the_kernel_makes_them) {
  FakeHost host = FakeHost().file("/sys/class/x/value", "0\n");
  EXPECT_FALSE(host.write_file("/sys/class/x/value", "1\n"));
  EXPECT_FALSE(host.write_file("/proc/new", "1\n"));
  EXPECT_TRUE(host.write_attr("/sys/class/x/value", "1"));
}

TEST(FakeHost, lets_time_pass_only_when_asked) {
  FakeHost host;
  host.after(std::chrono::seconds(2), [](FakeHost& later) { later.file("/late", "x"); });
  const auto start = host.now();
  host.pause(std::chrono::seconds(1));
  EXPECT_FALSE(host.exists("/late"));
  host.pause(std::chrono::seconds(1));
  EXPECT_TRUE(host.exists("/late"));
  EXPECT_EQ(host.now() - start, std::chrono::seconds(2));
}

TEST(FakeHost, world_json_says_what_programs_do) {
  FakeHost host = FakeHost()
                      .file("/etc/old", "x")
                      .world(parse_json(R"({
    "user": 0, "kernel_release": "6.8.4-2-pve",
    "programs": {"apt-get update": {"exit": 100, "err": "E: down", "files": {"/etc/new": "n", "/etc/old": null}}, "apt-get": {"exit": 7}},
    "answers": {"systemctl show": {"out": "ActiveState=active\n"}}})")
                                 .or_fail("world"));
  const CommandResult result = host.run({{"apt-get", "update", "-q"}}).or_fail("run");
  EXPECT_EQ(result.exit_code, 100);
  EXPECT_EQ(result.err, "E: down");
  EXPECT_EQ(host.bytes("/etc/new"), "n");
  EXPECT_FALSE(host.exists("/etc/old"));
  EXPECT_EQ(host.run({{"apt-get", "install"}}).or_fail("run").exit_code, 7);
  EXPECT_EQ(host.run({{"missing"}}).error().code, ENOENT);
  EXPECT_EQ(host.query(Query::unit_state("x.service")).or_fail("query").out, "ActiveState=active\n");
  EXPECT_EQ(host.kernel_release(), "6.8.4-2-pve");
  EXPECT_THROW(host.world({{"progams", json::object()}}), std::runtime_error);
}

TEST(FakeHost, product_shows_whether_its_program_ran_after_the_last_change) {
  FakeHost host = FakeHost().file("/etc/x/a", "1").product("/boot/image", "build", {"/etc/x"}).make_products();
  EXPECT_TRUE(host.stale_products().empty());
  host.file("/etc/x/a", "2");
  EXPECT_EQ(host.stale_products(), std::vector<std::string>{"build"});
  ASSERT_TRUE(host.run({{"build"}}));
  EXPECT_TRUE(host.stale_products().empty());
}

}  // namespace
}  // namespace pvegpu
