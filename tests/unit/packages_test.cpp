// SPDX-License-Identifier: MIT
// What dpkg and APT say of packages: recorded with APT 2.6.1 and dpkg 1.21 on small packages made for it.
#include "common/apt/packages.hpp"
#include "common/text/deb822.hpp"
#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

#include <iterator>

namespace pvegpu::apt {
namespace {

constexpr const char* status =
    "Package: tool\nStatus: install ok installed\nMaintainer: x <x@example.org>\nArchitecture: amd64\nVersion: 2.3.1-3\n\n"
    "Package: tool-extra\nStatus: hold ok half-configured\nArchitecture: all\nVersion: 1:2.0~rc1-1+b2\nDescription: text\n Package: "
    "left\n\n"
    "Package: library\nStatus: install ok installed\nArchitecture: i386\nVersion: 1\n\n"
    "Package: library\nStatus: install ok triggers-pending\nArchitecture: amd64\nVersion: 2\n\n"
    "Package: left\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 3\n";

std::optional<Package> find(const std::string& name) {
  FakeHost host;
  host.file("/var/lib/dpkg/status", status)
      .file("/var/lib/apt/extended_states", "Package: library\nArchitecture: amd64\nAuto-Installed: 1\n\n");
  return find_package(host, name).or_fail("find");
}

TEST(DpkgStatus, says_what_is_there) {
  EXPECT_EQ(find("tool")->described(), "2.3.1-3");
  EXPECT_FALSE(find("tool")->automatic);
  EXPECT_EQ(find("tool-extra")->described(), "1:2.0~rc1-1+b2 (half-configured)");
  EXPECT_TRUE(find("tool-extra")->held);
  EXPECT_FALSE(find("tool-extra")->is_installed());
  EXPECT_EQ(find("library")->described(), "2") << "that of the host's architecture, whose triggers are still to come";
  EXPECT_TRUE(find("library")->automatic);
  EXPECT_FALSE(find("left")->is_there());
  EXPECT_FALSE(find("too"));
  EXPECT_FALSE(find("tool-"));
  EXPECT_FALSE(find_package(FakeHost(), "tool").or_fail("no books"));
}

TEST(DpkgStatus, keeps_some_fields_only) {
  constexpr std::string_view fields[] = {"Package", "Version"};
  EXPECT_EQ(text::only_fields("Package: a\nMaintainer: m\nDescription: d\n more\nVersion: 1\n\nPackage: b\n", fields, std::size(fields)),
            "Package: a\nVersion: 1\n\nPackage: b\n");
}

TEST(DpkgStatus, an_interrupted_dpkg) {
  FakeHost host;
  EXPECT_EQ(dpkg_obstacle(host), "");
  host.dir("/var/lib/dpkg/updates").file("/var/lib/dpkg/updates/tmp.i", "");
  EXPECT_EQ(dpkg_obstacle(host), "");
  host.file("/var/lib/dpkg/updates/0001", "");
  EXPECT_NE(dpkg_obstacle(host).find("dpkg --configure -a"), std::string::npos);
}

Simulation simulated(int exit_code, const std::string& out, const std::string& err) {
  FakeHost host;
  host.answer("apt-get --simulate", [=](const FakeHost&, const auto&) { return CommandResult{exit_code, false, out, err}; });
  return simulate_install(host, "tool");
}

TEST(Simulation, what_comes_and_what_stays) {
  const Simulation would = simulated(
      0,
      "Reading package lists...\nThe following NEW packages will be installed:\n  tool library\n"
      "Inst base [1.0] (1.1 Debian:12.5/stable [amd64]) []\nInst library (2.3.1-3 localhost [amd64])\n"
      "Inst tool (3.20240910.1~deb12u1 Debian-Security:12/stable-security [amd64])\nConf base (1.1 localhost [amd64])\n"
      "Conf library (2.3.1-3 localhost [amd64])\nConf tool (3.20240910.1~deb12u1 localhost [amd64])\nConf broken (1.0 localhost [amd64])\n",
      "");
  EXPECT_EQ(would.refusal, "");
  ASSERT_EQ(would.comes.size(), 2u);
  EXPECT_EQ(would.comes[0].name, "library");
  EXPECT_EQ(would.find("tool")->version, "3.20240910.1~deb12u1");
  EXPECT_EQ(would.find("base")->version, "1.1");
  EXPECT_EQ(would.stays.size(), 2u) << "one that is replaced and one that is only configured";
  EXPECT_EQ(would.find("tools"), nullptr);
}

TEST(Simulation, what_would_go) {
  const Simulation would =
      simulated(100,
                "The following packages will be REMOVED:\n  intel-microcode iucode-tool\n  third\nThe following NEW packages will be "
                "installed:\n  tool\n0 upgraded, 1 newly installed, 3 to remove and 0 not upgraded.\n",
                "E: Packages need to be removed but remove is disabled.\n");
  ASSERT_EQ(would.goes.size(), 3u);
  EXPECT_EQ(would.goes[2].name, "third");
  FakeHost host;
  host.answer("apt-get --simulate", [](const FakeHost&, const auto&) {
    return CommandResult{0, false, "The following packages will be REMOVED:\n  needs-tool* tool*\nPurg needs-tool [1.0]\nRemv tool [2.0]\n",
                         ""};
  });
  const Simulation purge = simulate_purge(host, {"tool"});
  ASSERT_EQ(purge.goes.size(), 2u);
  EXPECT_EQ(purge.goes[0].name, "needs-tool");
}

TEST(Simulation, refusals) {
  EXPECT_EQ(simulated(100, "", "E: Unable to locate package tool\n").refusal, "Unable to locate package tool");
  EXPECT_NE(simulated(1, "", "").refusal, "");
  EXPECT_NE(simulate_install(FakeHost(), "tool").refusal, "") << "there is no APT";
}

TEST(Failure, is_one_sentence) {
  const std::string run = "apt-get --assume-yes install tool: ";
  const auto told = [&](const std::string& said) { return explain_failure(run + said); };
  EXPECT_NE(
      told("E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem. ").find("run dpkg --configure -a"),
      std::string::npos);
  const std::string lock = told(
      "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7460 (python3)\n"
      "E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?");
  EXPECT_NE(lock.find("held by process 7460 (python3))"), std::string::npos) << lock;
  EXPECT_NE(told("E: Unable to acquire the dpkg frontend lock (/var/lib/dpkg/lock-frontend), is another process using it?")
                .find("another program"),
            std::string::npos);
  EXPECT_EQ(
      told("E: Failed to fetch file:/repo/./gone_1.0.deb  File not found\nE: Unable to fetch some archives, maybe run apt-get update"),
      "file:/repo/./gone_1.0.deb  File not found can't be fetched; where the package lists are old, apt-get update mends it, else see the "
      "network and the mirror");
  EXPECT_EQ(told("no\ndpkg: error processing package breaks (--configure):\n installed breaks package post-installation script subprocess "
                 "returned "
                 "error exit status 3\nErrors were encountered while processing:\n breaks\nE: Sub-process /usr/bin/dpkg returned an error "
                 "code (1)"),
            "package breaks (--configure): installed breaks package post-installation script subprocess returned error exit status 3; dpkg "
            "--configure -a tries it again and shows what it says");
  EXPECT_EQ(told("E: one\nE: two"), "one; two");
  EXPECT_EQ(explain_failure("start apt-get: no memory"), "start apt-get: no memory");
}

}  // namespace
}  // namespace pvegpu::apt
