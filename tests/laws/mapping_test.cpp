// SPDX-License-Identifier: MIT
// Writing a mapping while others write: what the laws, which know one process only, can't show.
#include "common/cluster/cluster_lock.hpp"
#include "common/mapping/mapping_store.hpp"
#include "common/core/registry.hpp"
#include "common/base/strings.hpp"
#include "tests/laws/fake_pvesh.hpp"

#include <gtest/gtest.h>

namespace pvegpu::laws {
namespace {

const std::string other = "other\n\tmap id=10de:2484,node=pve2,path=0000:01:00\n\n";

FakeHost world() {
  FakeHost host;
  host.link("/etc/pve/local", "nodes/pve1").dir("/etc/pve/nodes/pve1/qemu-server").file(cluster::pci_cfg, other, 0640);
  host.file("/usr/share/perl5/PVE/pvecfg.pm", "package PVE::pvecfg;\nsub version {\n    return '8.4.1';\n}\n");
  host.dir("/run").dir("/var/lib").dir("/sys/bus/pci/devices");
  add_pvesh(host);
  return host.restart();
}

json run(FakeHost& host, json args = json::object()) {
  args["id"] = "gpu";
  if (!args.contains("state")) args["entries"] = {{{"node", "pve1"}, {"path", "0000:01:00"}, {"id", "10de:2235"}}};
  for (const RegistryEntry& entry : registry())
    if (std::string(entry.name) == "mapping") return entry.module().run(args, host);
  throw std::runtime_error("there is no module mapping");
}

/// Another writer changes the file just before each of the first `times` calls of pvesh.
void interfere(FakeHost& host, int times, const std::function<void(FakeHost&, int)>& change) {
  host.before_effect([times, change, done = 0](FakeHost& world, const std::string& effect) mutable {
    if (effect.starts_with("run pvesh") && done < times) change(world, done++);
  });
}

TEST(Mapping, what_others_write_meanwhile_is_kept) {
  FakeHost host = world();
  interfere(host, 3, [](FakeHost& world, int n) {
    const std::string gpu = fmt::format("gpu\n\tmap id=10de:2235,node=pve{},path=0000:01:00\n\n", n + 2);
    world.file(cluster::pci_cfg, fmt::format("new-{}\n\tmap id=10de:2484,node=pve2,path=0000:01:00\n\n{}{}", n, other, gpu), 0640);
  });
  const json answer = run(host);
  EXPECT_FALSE(answer.value("failed", false)) << answer.dump();
  EXPECT_EQ(host.bytes(cluster::pci_cfg),
            "new-2\n\tmap id=10de:2484,node=pve2,path=0000:01:00\n\n" + other +
                "gpu\n\tmap id=10de:2235,node=pve4,path=0000:01:00\n\tmap id=10de:2235,node=pve1,path=0000:01:00\n\n");
  EXPECT_FALSE(host.exists("/etc/pve/priv/lock/pve-gpu-mapping"));
}

TEST(Mapping, a_storm_of_changes_ends_with_a_sentence) {
  FakeHost host = world();
  host.file(cluster::pci_cfg, other + "gpu\n\tmap id=10de:2235,node=pve2,path=0000:01:00\n\n", 0640);
  interfere(host, 1000,
            [](FakeHost& world, int n) { world.file(cluster::pci_cfg, fmt::format("{}# {}\n", world.bytes(cluster::pci_cfg), n), 0640); });
  const auto began = host.now();
  const json answer = run(host);
  EXPECT_TRUE(answer.value("failed", false));
  EXPECT_NE(answer["msg"].get<std::string>().find("20 tries, and each time others had changed or locked"), std::string::npos)
      << answer["msg"];
  EXPECT_FALSE(answer.value("changed", true));
  EXPECT_LT(host.now() - began, std::chrono::seconds(60));
}

TEST(Mapping, the_lock_of_a_dead_writer_is_broken_and_a_living_one_waited_for) {
  FakeHost host = world();
  host.make_dir("/etc/pve/priv/lock/pve-gpu-mapping", 0755).or_fail("leave a lock");
  host.restart();
  FakeHost living = host;
  auto began = host.now();
  EXPECT_FALSE(run(host).value("failed", false));
  EXPECT_GT(host.now() - began, std::chrono::seconds(119));
  EXPECT_LT(host.now() - began, std::chrono::seconds(125));

  living.after(std::chrono::seconds(5), [](FakeHost& world) { world.gone("/etc/pve/priv/lock/pve-gpu-mapping"); });
  began = living.now();
  EXPECT_FALSE(run(living).value("failed", false));
  EXPECT_LT(living.now() - began, std::chrono::seconds(6));
}

TEST(Mapping, healing_waits_for_the_lock_of_proxmox) {
  FakeHost host = world();
  host.file(cluster::pci_cfg, "# mine\nbad\n\tmdev 1\n\n" + other, 0640);
  EXPECT_NE(run(host)["msg"].get<std::string>().find("section 'bad' has no valid entry"), std::string::npos);
  host.restart();
  host.make_dir("/etc/pve/priv/lock/file-mapping_pci_cfg", 0755).or_fail("take the lock");
  host.after(std::chrono::seconds(3), [](FakeHost& world) {
    world.gone("/etc/pve/priv/lock/file-mapping_pci_cfg");
    world.file(cluster::pci_cfg, "# mine\nbad\n\tmdev 1\n\n" + other + "late\n\tmap id=10de:2484,node=pve2,path=0000:02:00\n\n", 0640);
  });
  const json answer = run(host, {{"heal", true}});
  EXPECT_FALSE(answer.value("failed", false)) << answer.dump();
  EXPECT_EQ(host.bytes(cluster::pci_cfg),
            other + "late\n\tmap id=10de:2484,node=pve2,path=0000:02:00\n\n" + "gpu\n\tmap id=10de:2235,node=pve1,path=0000:01:00\n\n");
}

TEST(Mapping, the_limit_of_pmxcfs_is_known_before_the_first_effect) {
  FakeHost host = world();
  // As large as it may be with "gpu" in it, and then one byte more.
  const std::string gpu = "gpu\n\tmap id=10de:2235,node=pve1,path=0000:01:00\n\n";
  std::string others;
  for (int i = 0; others.size() + gpu.size() + 4300 < cluster::largest_pmxcfs_file; ++i)
    others += fmt::format("m-{}\n\tmap id=10de:2484,node=pve2,path=0000:01:00\n\tdescription {}\n\n", i, std::string(4000, 'x'));
  const std::string last = "last\n\tmap id=10de:2484,node=pve2,path=0000:01:00\n\tdescription \n\n";
  const std::size_t room = cluster::largest_pmxcfs_file - others.size() - gpu.size() - last.size();
  ASSERT_LT(room, 4096U);
  const auto filled = [&](std::size_t length) {
    return others + fmt::format("last\n\tmap id=10de:2484,node=pve2,path=0000:01:00\n\tdescription {}\n\n", std::string(length, 'x'));
  };
  host.file(cluster::pci_cfg, filled(room + 1), 0640);
  const json refused = run(host);
  EXPECT_NE(refused["msg"].get<std::string>().find("would have 1048577 bytes"), std::string::npos) << refused["msg"];
  EXPECT_EQ(host.times("mkdir /etc/pve/priv/lock/pve-gpu-mapping"), 0);
  host.file(cluster::pci_cfg, filled(room), 0640).restart();
  EXPECT_FALSE(run(host).value("failed", false));
  EXPECT_EQ(host.bytes(cluster::pci_cfg).size(), cluster::largest_pmxcfs_file);
}

TEST(Mapping, losing_the_quorum_on_the_way) {
  FakeHost host = world();
  host.before_effect([](FakeHost& world, const std::string& effect) {
    if (effect.starts_with("mkdir /etc/pve")) world.dir("/etc/pve/priv/lock", 0500).user(1000);
  });
  const json answer = run(host);
  EXPECT_NE(answer["msg"].get<std::string>().find("lost its quorum meanwhile"), std::string::npos) << answer["msg"];
}

}  // namespace
}  // namespace pvegpu::laws
