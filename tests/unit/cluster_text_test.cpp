// SPDX-License-Identifier: MIT
// Parsers of what a cluster is written in: corosync.conf, corosync-quorumtool, section configurations, guests' sections.
#include "common/text/corosync_conf.hpp"
#include "common/text/guest_sections.hpp"
#include "common/text/typed_config.hpp"

#include <gtest/gtest.h>

namespace pvegpu::text {
namespace {

TEST(CorosyncConf, nodes_votes_and_device) {
  const auto conf = parse_corosync_conf(
      "# written by pvecm\nlogging {\n  debug: off\n}\n\nnodelist {\n  node {\n    name: pve1\n    nodeid: 1\n    quorum_votes: 1\n    "
      "ring0_addr: 192.0.2.11\n  }\n"
      "  node {\n    name: pve2   # the big one\n    nodeid: 2\n    quorum_votes: 2\n  }\n  node {\n    name: pve3\n    nodeid: 3\n  }\n}\n"
      "quorum {\n  device {\n    model: net\n    net {\n      algorithm: ffsplit\n      host: 192.0.2.60\n    }\n    votes: 1\n  }\n  "
      "provider: corosync_votequorum\n}\n"
      "totem {\n  cluster_name: lab\n  interface {\n    linknumber: 0\n  }\n}\n");
  ASSERT_TRUE(conf);
  EXPECT_EQ(conf->cluster_name, "lab");
  ASSERT_EQ(conf->nodes.size(), 3u);
  EXPECT_EQ(conf->nodes[1].name, "pve2");
  EXPECT_EQ(conf->nodes[1].id, 2);
  EXPECT_EQ(conf->votes_of_nodes(), 4u);
  EXPECT_TRUE(conf->has_device);
  EXPECT_EQ(conf->votes_of_device(), 1u);
  EXPECT_FALSE(conf->two_node);
  EXPECT_FALSE(conf->expected_votes);
}

TEST(CorosyncConf, a_device_without_votes_has_one_less_than_the_nodes) {
  const auto conf = parse_corosync_conf(
      "nodelist { node { name: a } node { name: b } node { name: c } } quorum { device { model: net } two_node: 1 expected_votes: 7 }");
  ASSERT_TRUE(conf);
  EXPECT_EQ(conf->votes_of_device(), 2u);
  EXPECT_TRUE(conf->two_node);
  EXPECT_EQ(conf->expected_votes, 7u);
}

TEST(CorosyncConf, says_what_is_wrong) {
  for (const char* text : {"nodelist {", "}", "a b", "nodelist { node { name: } }", "quorum { votes: }", "key:"})
    EXPECT_FALSE(parse_corosync_conf(text)) << text;
  EXPECT_TRUE(parse_corosync_conf(""));
}

// pve-docs, pvecm.adoc: the form that corosync-quorumtool has.
TEST(QuorumMembers, decimal_and_hexadecimal) {
  const auto members = parse_quorum_members(
      "Membership information\n----------------------\n    Nodeid      Votes    Qdevice Name\n    0x00000001          1    A,V,NMW "
      "192.168.22.180 (local)\n"
      "         2          1    A,NV,NMW 192.168.22.181\n         3          1         NR 192.168.22.182\n    0x00000000          1        "
      "    Qdevice\n");
  ASSERT_EQ(members.size(), 3u);
  EXPECT_EQ(members[0].id, 1);
  EXPECT_TRUE(members[0].device_votes);
  EXPECT_FALSE(members[1].device_votes);
  EXPECT_FALSE(members[2].device_votes);
  EXPECT_TRUE(parse_quorum_members("Quorate: Yes\n1 1 A,V,NMW x\n").empty()) << "no table";
}

TEST(TypedConfig, sections_with_types) {
  const auto sections = parse_typed_config(
      "vm: 100\n\tstate started\n\tgroup all nodes\n\nCT: 101\n\tdisable\n\n# a comment\nlocal:   7-0\n\ttarget pve2\n\n\tstray line\n\nno "
      "header\n");
  ASSERT_EQ(sections.size(), 3u);
  EXPECT_EQ(sections[0].type, "vm");
  EXPECT_EQ(sections[0].id, "100");
  EXPECT_EQ(*sections[0].find("group"), "all nodes");
  EXPECT_EQ(sections[0].find("none"), nullptr);
  EXPECT_EQ(sections[1].type, "ct");
  EXPECT_TRUE(sections[1].flag("disable"));
  EXPECT_FALSE(sections[1].flag("shared"));
  EXPECT_EQ(sections[2].id, "7-0");
}

TEST(TypedConfig, a_value_that_looks_like_a_header_is_none) {
  const auto sections = parse_typed_config("dir: a\n\tcomment: b\n\tpath /x\n");
  ASSERT_EQ(sections.size(), 1u);
  EXPECT_EQ(sections[0].lines.size(), 2u);
}

TEST(GuestSections, current_pending_and_snapshots) {
  const auto sections = parse_guest_sections(
      "#description: not a setting\nname: a\nscsi0: local-lvm:vm-100-disk-0,size=8G\n\n[PENDING]\ncores: 4\n\n[special:cloudinit]\nname: "
      "b\n\n[before]\nname: c\n");
  ASSERT_EQ(sections.size(), 4u);
  EXPECT_EQ(*sections[0].find("name"), "a");
  EXPECT_EQ(*sections[0].find("scsi0"), "local-lvm:vm-100-disk-0,size=8G");
  EXPECT_EQ(sections[1].kind, GuestSection::Kind::pending);
  EXPECT_EQ(sections[2].kind, GuestSection::Kind::other);
  EXPECT_EQ(sections[3].kind, GuestSection::Kind::snapshot);
  EXPECT_EQ(sections[3].name, "before");
  EXPECT_EQ(parse_guest_sections("").size(), 1u);
  EXPECT_TRUE(parse_guest_sections(" : x")[0].values.empty()) << "no key";
}

TEST(GuestSections, of_containers) {
  const auto sections = parse_guest_sections(
      "hostname: a\nlxc.cgroup2.devices.allow = c 226:* rwm\nlxc.mount.entry: /dev/dri dev/dri none bind\n\n[pve:pending]\nmemory: 5\n");
  ASSERT_EQ(sections.size(), 2u);
  EXPECT_EQ(*sections[0].find("lxc.cgroup2.devices.allow"), "c 226:* rwm");
  EXPECT_EQ(*sections[0].find("lxc.mount.entry"), "/dev/dri dev/dri none bind");
  EXPECT_EQ(sections[1].kind, GuestSection::Kind::pending);
}

TEST(GuestSections, what_proxmox_ignores_is_not_there) {
  const auto sections = parse_guest_sections(
      "hostpci0: nonsense\nhostpci1: 41:00,pcie=maybe\nhostpci2: 41:00,new-key=1\nhostpci3: host=41:00,mapping=a40\n hostpci4: 42:00\n"
      "hostpci5:\nname:one\nhostpci6: 41:00,pcie=1,pcie=0\ncores: 2\ncores: 4\nonboot\n");
  std::vector<std::string> keys;
  for (const auto& [key, value] : sections[0].values) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"hostpci2", "hostpci3", "name", "cores"}));
  EXPECT_EQ(*sections[0].find("cores"), "4") << "the last one counts";
  const auto container = parse_guest_sections("lxc.mount.entry: a\nlxc.mount.entry = b\n");
  EXPECT_EQ(container[0].values.size(), 2u) << "such a key is a list";
}

TEST(GuestSections, numbered_keys) {
  EXPECT_EQ(numbered_key("hostpci12"), "hostpci");
  EXPECT_EQ(numbered_key("scsi0"), "scsi");
  EXPECT_EQ(numbered_key("scsihw"), "");
  EXPECT_EQ(numbered_key("7"), "");
  EXPECT_EQ(numbered_key(""), "");
}

}  // namespace
}  // namespace pvegpu::text
