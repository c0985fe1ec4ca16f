// SPDX-License-Identifier: MIT
// What apt-cache policy printed, recorded with APT 2.2.4 (bullseye), 2.6.1 (bookworm) and 3.0.4 (trixie) against a small archive with
// LC_ALL=C: all three print the same. What follows for a wish is tried on a host in memory.
#include "common/apt/offer.hpp"
#include "common/apt/update_output.hpp"
#include "common/core/follow_up.hpp"
#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

namespace pvegpu::apt {
namespace {

const std::string policy_text =
    "Package files:\n 100 /var/lib/dpkg/status\n     release a=now\n"
    " 500 http://mirror.example.org/proxmox/ceph-squid trixie/no-subscription amd64 Packages\n"
    "     release o=Proxmox,a=stable,n=trixie,l=Proxmox Ceph Squid Debian Repository,c=no-subscription,b=amd64\n"
    "     origin mirror.example.org\n"
    "  -1 http://mirror.example.org/proxmox/pve trixie/pve-no-subscription amd64 Packages\n"
    "     release o=Proxmox,a=stable,n=trixie,l=Proxmox Debian Repository,c=pve-no-subscription,b=amd64\n"
    "     origin mirror.example.org\n"
    " 500 file:/srv/flat ./ Packages\n     release c=\n     origin \n"
    " 500 http://old.example.org/pve trixie/pve-test amd64 Packages\n"
    "     release o=Proxmox,a=oldstable,n=bookworm,l=Proxmox Debian Repository,c=pve-test,b=amd64\n"
    " 500 http://plain.example.org/pve trixie/pve-test amd64 Packages\n"
    "Pinned packages:\n     release n=nothing\n";

const std::string pve = "http://mirror.example.org/proxmox/pve trixie";

Wish wish(std::vector<Candidate> candidates) { return {"the channel test of Proxmox VE", "trixie", std::move(candidates)}; }

FakeHost asked(int exit_code, const std::string& out, const std::string& err) {
  FakeHost host;
  host.answer("apt-cache policy", [=](const FakeHost&, const auto&) { return CommandResult{exit_code, false, out, err}; });
  return host;
}

TEST(AptPolicy, Lists) {
  const auto files = parse_policy(policy_text);
  ASSERT_EQ(files.size(), 4u);
  EXPECT_EQ(files[0].source, "http://mirror.example.org/proxmox/ceph-squid trixie");
  EXPECT_EQ(files[0].component, "no-subscription");
  EXPECT_EQ(files[0].codename, "trixie");
  EXPECT_EQ(files[0].priority, 500);
  EXPECT_EQ(files[1].priority, -1);
  EXPECT_EQ(files[2].codename, "bookworm");
  EXPECT_EQ(files[3].codename, "");
  for (const char* text : {"", "Packages", "\n\n Packages Packages\n", "1 2 3 4 Packages\n release", " release n=x\n"})
    (void)parse_policy(text);
}

TEST(AptPolicy, AWishNeedsAListOfItsSourceComponentAndRelease) {
  const FakeHost host = asked(0, policy_text, "");
  const Policy policy(host);
  EXPECT_TRUE(policy.offers(wish({{"a:1", pve, "pve-no-subscription", ""}})));
  EXPECT_TRUE(policy.offers(wish({{"a:1", "http://nowhere.example.org trixie", "pve-test", ""}, {"b:1", pve, "pve-no-subscription", ""}})));
  EXPECT_TRUE(policy.offers(wish({{"a:1", "http://plain.example.org/pve trixie", "pve-test", ""}}))) << "the Release file may say nothing";
  for (const Candidate& c : {Candidate{"a:1", pve, "pve-test", ""},
                             {"a:1", "http://mirror.example.org/proxmox/pve bookworm", "pve-test", ""},
                             {"a:1", "http://mirror.example.org/proxmox/pve/debian/pve trixie", "pve-no-subscription", ""},
                             {"a:1", "http://old.example.org/pve trixie", "pve-test", ""}})
    EXPECT_FALSE(policy.offers(wish({c}))) << c.source << " " << c.component;
  EXPECT_FALSE(policy.offers(wish({})));
  EXPECT_FALSE(policy.offers(wish({{"a:1", pve, "pve-no-subscription", ""}}), {{pve, "404"}})) << "the list is an old one";
}

TEST(AptPolicy, WhatIsMissingIsNamed) {
  const FakeHost host = asked(0, policy_text, "");
  EXPECT_EQ(
      Policy(host).lacks(
          wish({{"/a.list:3", pve, "pve-test", "its URI is odd"}, {"/b.list:1", "http://old.example.org/pve trixie", "pve-test", ""}}),
          {{pve, "404  Not Found"}}),
      "no active source offers the channel test of Proxmox VE: /a.list:3 (http://mirror.example.org/proxmox/pve trixie pve-test): 404  Not "
      "Found; its URI is odd | /b.list:1 (http://old.example.org/pve trixie pve-test): its Release file is of bookworm, not trixie");
  const FakeHost broken =
      asked(100, "", "W: x\nE: Conflicting values set for option Trusted regarding source http://x/ trixie\nE: The list\n");
  EXPECT_EQ(Policy(broken).refusal(), "Conflicting values set for option Trusted regarding source http://x/ trixie");
  EXPECT_TRUE(Policy(broken).unknown().empty());
  EXPECT_FALSE(Policy(FakeHost()).unknown().empty());
}

TEST(AptPolicy, UpdateFailsWithoutTheWish) {
  const FakeHost host = asked(0, policy_text, "");
  const CommandResult good{0, false, "Hit:1 x\n", ""};
  UpdateDuty duty{{}, {wish({{"/a.list:3", pve, "pve-no-subscription", ""}})}};
  EXPECT_FALSE(judge_update(good, duty, host).failure);
  CommandResult gone = good;
  gone.err = "E: The repository '" + pve + " Release' no longer has a Release file.\n";
  ASSERT_TRUE(judge_update(gone, duty, host).failure) << "the list is an old one";
  EXPECT_NE(judge_update(gone, duty, host).failure->message.find("/a.list:3"), std::string::npos);
  duty.wishes[0].candidates[0].component = "main";
  ASSERT_TRUE(judge_update(good, duty, host).failure);
  EXPECT_FALSE(judge_update(good, duty, FakeHost()).failure) << "can't be asked: the plan says so";
  EXPECT_EQ(UpdateDuty::from_json(duty.to_json()).to_json(), duty.to_json());
  duty.ours = {pve + " main"};
  const UpdateDuty left = UpdateDuty::from_json(FollowUp::from_json(follow_up_apt_update(duty.to_json()).to_json()).or_fail("read").data);
  EXPECT_TRUE(left.wishes.empty()) << "the journal keeps no wish";
  EXPECT_EQ(left.ours, duty.ours);
  for (const char* text : {"null", "[]", R"(["http://x trixie"])", "{}", R"({"ours":[1],"this_run":[1,{}]})",
                           R"({"this_run":[{"candidates":[1,{"place":2}]}]})"})
    (void)judge_update(good, UpdateDuty::from_json(*parse_json(text)), host);
}

std::vector<ActiveSource> two(const std::string& first, const std::string& second) {
  std::vector<ActiveSource> out;
  for (const std::string& line : {first, second}) {
    const text::AptSources list(text::AptFormat::one_line, line);
    for (const text::AptSource& source : list.all()) out.push_back({fmt::format("/{}.list:1", out.size()), source, Archive::proxmox});
  }
  return out;
}

TEST(AptContradiction, AsAptSeesIt) {
  const Release pve8{.pve = 8,
                     .codename = "bookworm",
                     .format = {},
                     .test_component = "",
                     .keyring = "",
                     .keyring_cure = "",
                     .debian_components = "",
                     .ceph = {}};
  Release pve9 = pve8;
  pve9.pve = 9;
  const std::string uri = " http://x.example.org/pve bookworm ";
  struct Case {
    std::string first, second;
    bool before_3_0, from_3_0;
  };
  for (const Case& c :
       {Case{"deb" + uri + "a", "deb" + uri + "b", false, false},
        {"deb [signed-by=/a.gpg]" + uri + "a", "deb [signed-by=/a.gpg]" + uri + "b", false, false},
        {"deb [signed-by=/a.gpg]" + uri + "a", "deb [signed-by=/b.gpg]" + uri + "b", true, true},
        {"deb [signed-by=/a.gpg]" + uri + "a", "deb-src" + uri + "a", true, false},
        {"deb" + uri + "a", "deb [signed-by=/a.gpg]" + uri + "b", false, false},
        {"deb [trusted=yes]" + uri + "a", "deb" + uri + "b", true, true},
        {"deb" + uri + "a", "deb [trusted=no]" + uri + "b", true, true},
        {"deb [signed-by=/a.gpg]" + uri + "a", "deb [signed-by=/b.gpg] http://x.example.org/pve/ bookworm b", true, true},
        {"deb [signed-by=/a.gpg]" + uri + "a", "deb [signed-by=/b.gpg] http://x.example.org/pve bookworm-x b", false, false}}) {
    EXPECT_EQ(!contradiction(two(c.first, c.second), pve8).empty(), c.before_3_0) << c.first << " | " << c.second;
    EXPECT_EQ(!contradiction(two(c.first, c.second), pve9).empty(), c.from_3_0) << c.first << " | " << c.second;
  }
}

}  // namespace
}  // namespace pvegpu::apt
