// SPDX-License-Identifier: MIT
// Features of ZFS pools, and whether a kernel's ZFS imports the pools that a host boots from.
#include "common/text/zpool.hpp"

#include "common/boot/boot_pools.hpp"
#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

namespace pvegpu {
namespace {

using Names = std::vector<std::string>;

TEST(Zpool, VersionsOfZfsKo) {
  EXPECT_EQ(text::parse_zfs_version("2.2.10-pve1")->str(), "2.2");
  EXPECT_EQ(text::parse_zfs_version("2.4.99-1_gabc")->str(), "2.4");
  EXPECT_TRUE((text::ZfsVersion{2, 2}) < (text::ZfsVersion{2, 10}));
  for (const char* wrong : {"", "2", "2.", "v2.2", "2-2"}) EXPECT_FALSE(text::parse_zfs_version(wrong)) << wrong;
}

TEST(Zpool, FeaturesWithAndWithoutHeader) {
  const auto features = text::parse_pool_features(
      "NAME   PROPERTY               VALUE      SOURCE\n"
      "rpool  size                   928G       -\n"
      "rpool\tfeature@block_cloning\tactive\tlocal\n"
      "rpool  feature@draid  enabled  local\nrpool feature@blake3 disabled local\nrpool  unsupported@com.x:y  inactive  local\ntorn "
      "feature@\n");
  ASSERT_EQ(features.size(), 3u);
  EXPECT_EQ(features[0].name, "block_cloning");
  EXPECT_EQ(features[0].state, text::PoolFeature::State::active);
  EXPECT_EQ(features[1].state, text::PoolFeature::State::enabled);
  EXPECT_EQ(features[2].state, text::PoolFeature::State::disabled);
}

TEST(Zpool, SinceWhen) {
  EXPECT_EQ(text::feature_since("zstd_compress")->str(), "2.0");
  EXPECT_EQ(text::feature_since("draid")->str(), "2.1");
  EXPECT_EQ(text::feature_since("vdev_zaps_v2")->str(), "2.2");
  EXPECT_EQ(text::feature_since("longname")->str(), "2.3");
  EXPECT_EQ(text::feature_since("block_cloning_endian")->str(), "2.4");
  EXPECT_EQ(text::feature_since("lz4_compress")->str(), "0.8");
  EXPECT_FALSE(text::feature_since("anyraid"));
  EXPECT_FALSE(text::feature_since("lz4"));
}

TEST(Zpool, PoolsThatAHostBootsFrom) {
  EXPECT_EQ(text::boot_pools("rpool/ROOT/pve-1 / zfs rw 0 0\nrpool/data /rpool/data zfs rw 0 0\n", "quiet"), Names{"rpool"});
  EXPECT_EQ(text::boot_pools("rpool / zfs rw 0 0\nbpool/BOOT/x /boot zfs rw 0 0\ntank /tank zfs rw 0 0\n", ""), (Names{"rpool", "bpool"}));
  EXPECT_EQ(text::boot_pools("", "initrd=x root=ZFS=rp-1/ROOT/pve-1 boot=zfs"), Names{"rp-1"});
  EXPECT_EQ(text::boot_pools("", "root=zfs:tank/root"), Names{"tank"});
  EXPECT_EQ(text::boot_pools("", "root=ZFS=/ROOT/pve-1 root=ZFS=rpool/ROOT/pve-1"), Names{"rpool"});
  EXPECT_EQ(text::boot_pools("/dev/sda1 / ext4 rw 0 0\ntank/x /srv zfs rw 0 0\n", "root=/dev/sda1 root=zfs:AUTO root=ZFS=-o/x"), Names{});
}

/// 6.17 runs with ZFS 2.4, from rpool, of which zpool tells these features.
FakeHost host_with(const std::string& features) {
  FakeHost out;
  out.release("6.17.2-1-pve").file("/sys/module/zfs/version", "2.4.2-pve1\n").file("/proc/mounts", "rpool/ROOT/pve-1 / zfs rw 0 0\n");
  out.answer("zpool get -H all rpool", [features](const FakeHost&, const Names&) { return CommandResult{0, false, features, ""}; });
  return out;
}

TEST(BootPools, ActiveRefusesEnabledWarns) {
  const FakeHost host = host_with("rpool\tfeature@longname\tactive\tlocal\nrpool\tfeature@physical_rewrite\tenabled\tlocal\n");
  const auto verdict = boot::judge_boot_pools(host, "6.8.12-9-pve");
  ASSERT_EQ(verdict.refusals.size(), 1u);
  EXPECT_NE(verdict.refusals[0].find("longname (OpenZFS 2.3)"), std::string::npos) << verdict.refusals[0];
  ASSERT_EQ(verdict.warnings.size(), 1u);
  EXPECT_NE(verdict.warnings[0].find("physical_rewrite (OpenZFS 2.4)"), std::string::npos) << verdict.warnings[0];
}

TEST(BootPools, NothingToSay) {
  const FakeHost host = host_with("rpool\tfeature@longname\tactive\tlocal\n");
  for (const char* kernel : {"6.17.2-1-pve", "7.0.2-1-pve"}) {  // what runs, and a newer one
    EXPECT_TRUE(boot::judge_boot_pools(host, kernel).refusals.empty());
    EXPECT_TRUE(boot::judge_boot_pools(host, kernel).warnings.empty());
  }
  FakeHost lvm = host;
  lvm.file("/proc/mounts", "/dev/mapper/pve-root / ext4 rw 0 0\n");
  EXPECT_TRUE(boot::judge_boot_pools(lvm, "6.8.12-9-pve").refusals.empty());
}

TEST(BootPools, WhatCanNotBeToldIsSaid) {
  FakeHost silent = host_with("");
  EXPECT_EQ(boot::judge_boot_pools(silent, "6.8.12-9-pve").warnings.size(), 1u);
  EXPECT_TRUE(boot::judge_boot_pools(silent, "6.8.12-9-pve").refusals.empty());
  const FakeHost unknown = host_with("rpool\tfeature@anyraid\tactive\tlocal\n");
  EXPECT_EQ(boot::judge_boot_pools(unknown, "6.8.12-9-pve").warnings.size(), 1u);
  const FakeHost newest = host_with("rpool\tfeature@block_cloning_endian\tactive\tlocal\n");
  EXPECT_EQ(boot::judge_boot_pools(newest, "6.17.1-1-pve").warnings.size(), 1u) << "the first 6.17 came with ZFS 2.3";
  EXPECT_EQ(boot::judge_boot_pools(newest, "6.14.8-2-pve").refusals.size(), 1u);
}

}  // namespace
}  // namespace pvegpu
