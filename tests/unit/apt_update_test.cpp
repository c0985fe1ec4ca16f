// SPDX-License-Identifier: MIT
// What apt-get update printed, recorded with APT 2.2.4 (bullseye), 2.6.1 (bookworm) and 3.0.3 (trixie) against a small archive
// with LC_ALL=C, and what is read from it. Where no version is named all three print the same.
#include "common/apt/update_output.hpp"
#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

namespace pvegpu::apt {
namespace {

const std::string no_network = "W: Some index files failed to download. They have been ignored, or old ones used instead.\n";

/// "SOURCE | REASON" for each problem.
std::vector<std::string> problems(const std::string& out, const std::string& err) {
  std::vector<std::string> told;
  for (const UpdateProblem& problem : parse_update_output(out, err)) told.push_back(problem.source + " | " + problem.reason);
  return told;
}
using Told = std::vector<std::string>;

TEST(AptUpdate, Success) {
  EXPECT_EQ(
      problems("Hit:1 http://mirror.example.org/debian bookworm InRelease\nGet:2 http://mirror.example.org/debian bookworm/main amd64 "
               "Packages [150 B]\nFetched 1280 B in 0s (9871 B/s)\nReading package lists...\n",
               ""),
      Told{});
}

TEST(AptUpdate, NoSuchRelease) {
  EXPECT_EQ(
      problems("Ign:1 http://mirror.example.org/nowhere bookworm InRelease\nErr:2 http://mirror.example.org/nowhere bookworm Release\n"
               "  404  File not found [IP: 192.0.2.1 80]\nReading package lists...\n",
               "E: The repository 'http://mirror.example.org/nowhere bookworm Release' does not have a Release file.\n"),
      Told{"http://mirror.example.org/nowhere bookworm | 404  File not found [IP: 192.0.2.1 80]"});
  EXPECT_EQ(problems("", "E: The repository 'http://mirror.example.org/debian trixie Release' no longer has a Release file.\n"),
            Told{"http://mirror.example.org/debian trixie | The repository 'http://mirror.example.org/debian trixie Release' no longer has "
                 "a Release file."});
}

TEST(AptUpdate, EnterpriseWithoutSubscription) {
  EXPECT_EQ(
      problems(
          "Get:1 http://mirror.example.org/debian bookworm InRelease [1286 B]\nErr:2 https://enterprise.proxmox.com/debian/pve bookworm "
          "InRelease\n"
          "  401  Unauthorized [IP: 192.0.2.1 443]\nReading package lists...\n",
          "E: Failed to fetch https://enterprise.proxmox.com/debian/pve/dists/bookworm/InRelease  401  Unauthorized [IP: 192.0.2.1 443]\n"
          "E: The repository 'https://enterprise.proxmox.com/debian/pve bookworm InRelease' is not signed.\n"),
      Told{"https://enterprise.proxmox.com/debian/pve bookworm | 401  Unauthorized [IP: 192.0.2.1 443]"});
}

// Exit code 0 in all three.
TEST(AptUpdate, HostOutOfReach) {
  const std::string apt_2_2 =
      "Err:1 http://mirror.example.org/debian bullseye InRelease\n  Could not connect to mirror.example.org:80 (192.0.2.1). - connect "
      "(111: Connection refused)\n";
  const std::string apt_3_0 =
      "Ign:1 http://mirror.example.org/debian bullseye InRelease\nIgn:1 http://mirror.example.org/debian bullseye InRelease\n"
      "Err:1 http://mirror.example.org/debian bullseye InRelease\n  Could not connect to mirror.example.org:80 (192.0.2.1). - connect "
      "(111: Connection refused)\n"
      "  Unable to connect to mirror.example.org:80:\nReading package lists...\n";
  for (const auto& out : {apt_2_2, apt_3_0})
    EXPECT_EQ(
        problems(
            out,
            "W: Failed to fetch http://mirror.example.org/debian/dists/bullseye/InRelease  Unable to connect to mirror.example.org:80:\n" +
                no_network),
        Told{"http://mirror.example.org/debian bullseye | Could not connect to mirror.example.org:80 (192.0.2.1). - connect (111: "
             "Connection refused)"});
  EXPECT_EQ(problems("Err:1 http://nosuch.example.org/debian bookworm InRelease\n  Temporary failure resolving 'nosuch.example.org'\n",
                     "W: Failed to fetch http://nosuch.example.org/debian/dists/bookworm/InRelease  Temporary failure resolving "
                     "'nosuch.example.org'\n" +
                         no_network),
            Told{"http://nosuch.example.org/debian bookworm | Temporary failure resolving 'nosuch.example.org'"});
}

TEST(AptUpdate, Signatures) {
  const std::string source = "http://mirror.example.org/debian-security bookworm-security";
  const std::string gpg =
      "The following signatures couldn't be verified because the public key is not available: NO_PUBKEY D9FB11FEA46C9343";
  const std::string sqv =
      "Sub-process /usr/bin/sqv returned an error code (1), error message is: Missing key C83F05F733EFE09B9048688ED9FB11FEA46C9343, "
      "which is needed to verify signature.";
  EXPECT_EQ(problems("Err:1 " + source + " InRelease\n  " + gpg + "\n",
                     "W: GPG error: " + source + " InRelease: " + gpg + "\nE: The repository '" + source + " InRelease' is not signed.\n"),
            Told{source + " | " + gpg});
  EXPECT_EQ(problems("Err:1 " + source + " InRelease\n  " + sqv + "\n", "W: OpenPGP signature verification failed: " + source +
                                                                            " InRelease: " + sqv + "\nE: The repository '" + source +
                                                                            " InRelease' is not signed.\n"),
            Told{source + " | " + sqv});
  // The lists of an earlier run are there: exit code 0.
  EXPECT_EQ(problems("Err:1 " + source + " InRelease\n  " + gpg + "\n",
                     "W: An error occurred during the signature verification. The repository is not updated and the previous index files "
                     "will be used. "
                     "GPG error: " +
                         source + " InRelease: " + gpg +
                         "\nW: Failed to fetch http://mirror.example.org/debian-security/dists/bookworm-security/InRelease  " + gpg + "\n" +
                         no_network),
            Told{source + " | " + gpg});
  EXPECT_EQ(problems("Ign:1 " + source + " InRelease\nGet:2 " + source + " Release [937 B]\nIgn:3 " + source + " Release.gpg\n",
                     "E: The repository '" + source + " Release' is not signed.\n"),
            Told{source + " | The repository '" + source + " Release' is not signed."});
}

TEST(AptUpdate, Expired) {
  const std::string text =
      "Release file for http://archive.debian.org/debian/dists/bullseye-updates/InRelease is expired (invalid since 10d 0h 0min 15s). "
      "Updates for this repository will not be applied.";
  EXPECT_EQ(problems("Get:1 http://archive.debian.org/debian bullseye-updates InRelease [1321 B]\n", "E: " + text + "\n"),
            Told{"http://archive.debian.org/debian bullseye-updates | " + text});
}

// Exit code 0: the reason that "exit code 0" proves nothing.
TEST(AptUpdate, NoSuchComponent) {
  const std::string text =
      "W: Skipping acquire of configured file 'pvetest/%/Packages' as repository 'http://mirror.example.org/proxmox/debian/pve trixie "
      "InRelease' doesn't have the component 'pvetest' (component misspelt in sources.list?)\n";
  EXPECT_EQ(problems("", text + text), Told{"http://mirror.example.org/proxmox/debian/pve trixie | it has no component 'pvetest'"});
  EXPECT_EQ(problems("",
                     "W: Skipping acquire of configured file 'main/source/Sources' as repository 'http://mirror.example.org/debian trixie "
                     "InRelease' does not "
                     "seem to provide it (sources.list entry misspelt?)\n"),
            Told{})
      << "a mirror without sources has every package that the host can install";
}

TEST(AptUpdate, BrokenMirror) {
  const std::string fetch = "E: Failed to fetch http://mirror.example.org/debian/dists/bookworm/main/binary-amd64/Packages";
  EXPECT_EQ(problems("Err:2 http://mirror.example.org/debian bookworm/main amd64 Packages\n  404  File not found [IP: 192.0.2.1 80]\n"
                     "Err:2 http://mirror.example.org/debian bookworm/main amd64 Packages\n  404  File not found [IP: 192.0.2.1 80]\n",
                     fetch + "  404  File not found [IP: 192.0.2.1 80]\n"),
            Told{"http://mirror.example.org/debian bookworm | 404  File not found [IP: 192.0.2.1 80]"});
  EXPECT_EQ(problems("Err:2 http://mirror.example.org/debian bookworm/main amd64 Packages\n  Hash Sum mismatch\n  Hashes of expected "
                     "file:\n   - Filesize:150 [weak]\n",
                     fetch + ".gz  Hash Sum mismatch\n   Hashes of expected file:\n    - Filesize:150 [weak]\n"
                             "E: Some index files failed to download. They have been ignored, or old ones used instead.\n"),
            Told{"http://mirror.example.org/debian bookworm | Hash Sum mismatch"});
}

TEST(AptUpdate, WhatConcernsAllSources) {
  EXPECT_EQ(problems("Reading package lists...\n",
                     "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 373 (apt-get)\n"
                     "E: Unable to lock directory /var/lib/apt/lists/\n"),
            (Told{" | Could not get lock /var/lib/apt/lists/lock. It is held by process 373 (apt-get)",
                  " | Unable to lock directory /var/lib/apt/lists/"}));
  EXPECT_EQ(problems("", "E: Malformed entry 2 in list file /etc/apt/sources.list (Suite)\nE: The list of sources could not be read.\n"),
            Told{" | Malformed entry 2 in list file /etc/apt/sources.list (Suite)"});
  EXPECT_EQ(
      problems(
          "",
          "E: Conflicting values set for option Signed-By regarding source http://mirror.example.org/debian/ trixie: /a.gpg != /b.gpg\n"
          "E: The list of sources could not be read.\n"),
      Told{"http://mirror.example.org/debian trixie | Conflicting values set for option Signed-By regarding source "
           "http://mirror.example.org/debian/ trixie: /a.gpg != /b.gpg"});
  EXPECT_EQ(problems("", "E: The method driver /usr/lib/apt/methods/tor+http could not be found.\n"),
            Told{"tor+http:// | APT has no method for such URIs"});
  EXPECT_EQ(problems("",
                     "W: Target Packages (main/binary-amd64/Packages) is configured multiple times in /etc/apt/sources.list:1 and "
                     "/etc/apt/sources.list:2\n"),
            Told{});
}

TEST(AptUpdate, NamesOfSources) {
  EXPECT_EQ(source_name("http://mirror.example.org/debian//", "trixie"), "http://mirror.example.org/debian trixie");
  EXPECT_EQ(source_name("https://user:pa@ss@mirror.example.org/d@y", "s"), "https://mirror.example.org/d@y s");
  EXPECT_EQ(source_name("file:/srv/x", "./"), "file:/srv/x ./");
  EXPECT_EQ(source_name("file:///srv/x/", "s"), "file:/srv/x s");
  EXPECT_EQ(source_name("http://a@b", "s"), "http://b s");
}

TEST(AptUpdate, GarbageNamesNoSource) {
  for (const auto& [source, reason, component] :
       parse_update_output("Err:\nErr:1\nErr:2 x\nErr:3 \n", "E:\nW: \nE: Failed to fetch \nE: The repository '\n")) {
    EXPECT_EQ(source, "");
    EXPECT_NE(reason, "");
  }
  EXPECT_EQ(problems("", ""), Told{});
}

const FakeHost no_host;

TEST(JudgeAptUpdate, OursFailTheTaskOthersAreTold) {
  CommandResult result;
  result.exit_code = 100;
  result.out =
      "Err:1 http://ours.example.org/debian bookworm InRelease\n  404  Not Found\nErr:2 http://theirs.example.org/x stable InRelease\n  "
      "403  Forbidden\n";
  result.err = "E: The repository 'http://theirs.example.org/x stable InRelease' is not signed.\n";
  Judgement judgement = judge_update(result, {{"http://ours.example.org/debian bookworm main"}, {}}, no_host);
  ASSERT_TRUE(judgement.failure);
  EXPECT_EQ(judgement.failure->message,
            "http://ours.example.org/debian bookworm: 404  Not Found; it has no such release: check the mirror's address");
  ASSERT_EQ(judgement.warnings.size(), 1u);
  EXPECT_EQ(judgement.warnings[0],
            "apt-get update can't read http://theirs.example.org/x stable, which this task did not change: 403  Forbidden");

  judgement = judge_update(result, {}, no_host);
  EXPECT_FALSE(judgement.failure);
  EXPECT_EQ(judgement.warnings.size(), 2u);

  result.exit_code = 0;
  EXPECT_TRUE(judge_update(result, {{"http://ours.example.org/debian bookworm main"}, {}}, no_host).failure)
      << "the exit code proves nothing";
}

TEST(JudgeAptUpdate, AMissingComponentIsOursWhereWeAskedForIt) {
  CommandResult result;
  for (const char* component : {"main", "test"})
    result.err += fmt::format(
        "W: Skipping acquire of configured file '{0}/binary-amd64/Packages' as repository 'http://x.example.org/ceph-squid "
        "trixie InRelease' doesn't have the component '{0}' (component misspelt in sources.list?)\n",
        component);
  const std::string source = "http://x.example.org/ceph-squid trixie";
  Judgement judgement = judge_update(result, {{source + " no-subscription"}, {}}, no_host);
  EXPECT_FALSE(judgement.failure);
  EXPECT_EQ(judgement.warnings.size(), 2u);
  judgement = judge_update(result, {{source + " test"}, {}}, no_host);
  ASSERT_TRUE(judgement.failure);
  EXPECT_EQ(judgement.failure->message, source + ": it has no component 'test'; name a mirror that has it");
  EXPECT_EQ(judgement.warnings.size(), 1u);
}

TEST(JudgeAptUpdate, AFailureThatNamesNoSourceIsAFailure) {
  CommandResult result;
  result.exit_code = 100;
  result.err = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 373 (apt-get)\n";
  ASSERT_TRUE(judge_update(result, {}, no_host).failure);
  EXPECT_NE(judge_update(result, {}, no_host).failure->message.find("another program uses APT"), std::string::npos);
  result.err = "Segmentation fault\n";
  result.exit_code = 139;
  ASSERT_TRUE(judge_update(result, {}, no_host).failure);
  EXPECT_EQ(judge_update(result, {}, no_host).failure->message, "exit code 139: Segmentation fault");
  result = {};
  EXPECT_FALSE(judge_update(result, {}, no_host).failure);
}

}  // namespace
}  // namespace pvegpu::apt
