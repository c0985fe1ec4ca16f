// SPDX-License-Identifier: MIT
// Members and votes, HA, Ceph, replication, storages and guests as Proxmox VE's files show them.
#include "common/cluster/ceph.hpp"
#include "common/cluster/guests.hpp"
#include "common/cluster/replication.hpp"
#include "common/cluster/storage.hpp"
#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

namespace pvegpu::cluster {
namespace {

FakeHost node(const std::vector<bool>& online) {
  FakeHost host;
  std::string conf = "totem {\n  cluster_name: lab\n}\nnodelist {\n", members;
  for (std::size_t i = 1; i <= online.size(); ++i) {
    conf += fmt::format("  node {{\n    name: pve{0}\n    nodeid: {0}\n    quorum_votes: 1\n  }}\n", i);
    members += fmt::format("{}\"pve{}\": {{\"id\": {}, \"online\": {}}}", i > 1 ? "," : "", i, i, online[i - 1] ? 1 : 0);
    host.dir(fmt::format("/etc/pve/nodes/pve{}/qemu-server", i)).dir(fmt::format("/etc/pve/nodes/pve{}/lxc", i));
  }
  host.link("/etc/pve/local", "nodes/pve1").file("/etc/pve/corosync.conf", conf + "}\nquorum {\n  provider: corosync_votequorum\n}\n");
  host.file("/etc/pve/.members",
            "{\"nodename\": \"pve1\", \"cluster\": {\"name\": \"lab\", \"quorate\": 1}, \"nodelist\": {" + members + "}}");
  return host;
}
Membership members_of(const FakeHost& host) {
  Reader reader(host);
  return read_membership(reader);
}
Votes votes_of(const FakeHost& host) { return count_votes(host, members_of(host)); }
std::vector<Guest> guests_of(const FakeHost& host, const std::set<std::string>& away = {}) {
  Reader reader(host);
  return read_guests(reader, read_membership(reader), {}, away);
}
FakeHost with_guest(const std::string& config, const std::string& storage = "nfs: shared\n\tserver x\n\nlvmthin: thin\n\tvgname pve\n") {
  FakeHost host = node({true, true, true});
  host.file("/etc/pve/storage.cfg", storage).file("/etc/pve/nodes/pve1/qemu-server/100.conf", config);
  return host;
}
FakeHost running(FakeHost host) {
  host.file("/run/qemu-server/100.pid", "4711\n")
      .file("/proc/4711/cmdline", std::string("kvm\0-pidfile\0/var/run/qemu-server/100.pid\0", 43));
  return host;
}
Guest guest_of(const FakeHost& host) { return guests_of(host).at(0); }
using Strings = std::vector<std::string>;

// --- members and votes -----------------------------------------------------------------------------------------------------------

TEST(Membership, knows_a_cluster_and_who_is_there) {
  const Membership members = members_of(node({true, false, true}));
  EXPECT_EQ(members.problem, "");
  EXPECT_EQ(members.node, "pve1");
  EXPECT_EQ(members.cluster, "lab");
  EXPECT_TRUE(members.quorate);
  ASSERT_EQ(members.nodes.size(), 3u);
  EXPECT_FALSE(members.find("pve2")->online);
  EXPECT_TRUE(members.find("pve3")->online);
  EXPECT_EQ(members.find("pve9"), nullptr);
}

TEST(Membership, says_what_is_wrong) {
  const auto problem = [](const std::function<void(FakeHost&)>& spoil) {
    FakeHost host = node({true, true});
    spoil(host);
    return members_of(host).problem;
  };
  EXPECT_NE(problem([](FakeHost& host) { host.gone("/etc/pve/local"); }).find("not mounted"), std::string::npos);
  EXPECT_NE(problem([](FakeHost& host) { host.file("/etc/pve/.members", "{}"); }).find("corosync does not run"), std::string::npos);
  EXPECT_NE(problem([](FakeHost& host) { host.file("/etc/pve/.members", "{\"nodelist\": [1]}"); }).find("corosync does not run"),
            std::string::npos);
  EXPECT_NE(problem([](FakeHost& host) { host.file("/etc/pve/.members", "garbage"); }).find("/etc/pve/.members"), std::string::npos);
  EXPECT_NE(problem([](FakeHost& host) { host.gone("/etc/pve/.members"); }).find("/etc/pve/.members"), std::string::npos);
  EXPECT_NE(problem([](FakeHost& host) { host.file("/etc/pve/corosync.conf", "nodelist {"); }).find("can't be understood"),
            std::string::npos);
  EXPECT_NE(problem([](FakeHost& host) { host.file("/etc/pve/corosync.conf", ""); }).find("does not list this node"), std::string::npos);
  EXPECT_EQ(problem([](FakeHost& host) { host.gone("/etc/pve/corosync.conf"); }), "");
}

TEST(Votes, of_clusters_without_a_device) {
  struct Case {
    std::vector<bool> online;
    unsigned needed, remaining;
    bool holds;
  };
  for (const Case& each : {Case{{true, true}, 2, 1, false}, Case{{true, true, true}, 2, 2, true}, Case{{true, true, false}, 2, 1, false},
                           Case{{true, true, true, true}, 3, 3, true}, Case{{true, true, true, false}, 3, 2, false},
                           Case{{true, true, true, true, true}, 3, 4, true}, Case{{true, false, true, true, true}, 3, 3, true},
                           Case{{true, false, false, true, true}, 3, 2, false}}) {
    const Votes votes = votes_of(node(each.online));
    EXPECT_EQ(votes.expected, each.online.size());
    EXPECT_EQ(votes.needed, each.needed) << each.online.size();
    EXPECT_EQ(votes.remaining, each.remaining) << each.online.size();
    EXPECT_EQ(votes.holds, each.holds) << each.online.size();
  }
}

TEST(Votes, of_special_configurations) {
  const auto with = [](std::vector<bool> online, const std::string& quorum) {
    FakeHost host = node(online);
    std::string conf = host.bytes("/etc/pve/corosync.conf");
    conf.insert(conf.find("  provider"), quorum);
    host.file("/etc/pve/corosync.conf", conf);
    return host;
  };
  EXPECT_TRUE(votes_of(with({true, true}, "  two_node: 1\n")).holds);
  EXPECT_FALSE(votes_of(with({true, false}, "  two_node: 1\n")).holds) << "nobody is left";
  EXPECT_FALSE(votes_of(with({true, true, true}, "  expected_votes: 5\n")).holds);
  const std::string device = "  device {\n    model: net\n    votes: 1\n  }\n";
  FakeHost host = with({true, true}, device);
  EXPECT_FALSE(votes_of(host).holds) << "the tool is not there";
  EXPECT_FALSE(votes_of(host).device_votes);
  const auto answer = [&](const std::string& out) {
    host.answer("corosync-quorumtool -s", [out](const FakeHost&, const std::vector<std::string>&) {
      return CommandResult{0, false, out, ""};
    });
    return votes_of(host);
  };
  const std::string table = "Membership information\n----\n    Nodeid      Votes    Qdevice Name\n";
  EXPECT_TRUE(answer(table + " 1 1 A,V,NMW 192.0.2.1 (local)\n 2 1 A,V,NMW 192.0.2.2\n 0 1 Qdevice\n").holds);
  EXPECT_FALSE(answer(table + " 1 1 A,V,NMW 192.0.2.1 (local)\n 2 1 NA,NV,NMW 192.0.2.2\n 0 1 Qdevice\n").holds) << "only we reach it";
  EXPECT_FALSE(answer(table + " 1 1 A,V,NMW 192.0.2.1 (local)\n 2 1 A,NV,NMW 192.0.2.2\n 0 1 Qdevice\n").holds);
  EXPECT_FALSE(answer("").device_votes);
}

// --- HA, Ceph, replication ---------------------------------------------------------------------------------------------------------

TEST(Ha, joins_what_is_wished_and_what_is) {
  FakeHost host;
  host.file("/etc/pve/ha/resources.cfg", "vm: 100\n\tstate enabled\n\nvm: 101\n\tstate ignored\n\nct: 102\n");
  host.file("/etc/pve/ha/manager_status",
            "{\"master_node\":\"pve2\",\"timestamp\":\"1767225590\",\"node_status\":{\"pve1\":\"online\",\"pve2\":\"maintenance\"},"
            "\"service_status\":{\"vm:100\":{\"node\":\"pve1\",\"state\":\"started\"},\"vm:900\":{\"node\":\"pve2\",\"state\":\"error\"},"
            "\"vm:901\":7}}");
  Reader reader(host);
  const Ha ha = read_ha(reader, "pve1");
  EXPECT_TRUE(ha.active());
  EXPECT_EQ(ha.master_seen, 1767225590);
  EXPECT_EQ(ha.nodes_in("maintenance"), std::set<std::string>{"pve2"});
  EXPECT_EQ(ha.shutdown_policy, "conditional");
  ASSERT_EQ(ha.services.size(), 4u);
  EXPECT_EQ(ha.find("vm:100")->request, "started");
  EXPECT_EQ(ha.find("vm:101")->state, "ignored");
  EXPECT_EQ(ha.find("ct:102")->state, "queued");
  EXPECT_EQ(ha.find("vm:900")->request, "none");
  EXPECT_TRUE(reader.unreadable().empty());
}

TEST(Ha, of_a_host_without_it_is_nothing) {
  for (const char* content : {"", "{}", "\n"}) {
    FakeHost host;
    host.file("/etc/pve/ha/manager_status", content);
    Reader reader(host);
    const Ha ha = read_ha(reader, "pve1");
    EXPECT_FALSE(ha.active());
    EXPECT_EQ(ha.master, "");
    EXPECT_TRUE(reader.unreadable().empty());
  }
}

TEST(Ha, garbage_is_told) {
  FakeHost host;
  host.file("/etc/pve/ha/manager_status", "[1, 2]");
  Reader reader(host);
  (void)read_ha(reader, "pve1");
  EXPECT_EQ(reader.unreadable().size(), 1u);
}

TEST(Ceph, which_warnings_count) {
  EXPECT_TRUE(is_harmless({"PG_NOT_SCRUBBED", "HEALTH_WARN", "1 pgs not scrubbed in time"}));
  EXPECT_TRUE(is_harmless({"OSDMAP_FLAGS", "HEALTH_WARN", "noout flag(s) set"}));
  EXPECT_FALSE(is_harmless({"OSDMAP_FLAGS", "HEALTH_WARN", "noout,noup flag(s) set"}));
  EXPECT_FALSE(is_harmless({"OSDMAP_FLAGS", "HEALTH_WARN", ""}));
  EXPECT_FALSE(is_harmless({"MGR_MODULE_DEPENDENCY", "HEALTH_ERR", "x"}));
  EXPECT_FALSE(is_harmless({"SOMETHING_NEW", "HEALTH_WARN", "x"}));
}

TEST(Ceph, strange_answers_are_no_health) {
  FakeHost host;
  EXPECT_FALSE(read_ceph(host));
  host.file("/etc/pve/ceph.conf", "[global]\n");
  EXPECT_NE(read_ceph(host)->problem, "") << "no program";
  for (const char* out : {"", "[]", "{\"health\": 3}", "{\"health\": {\"status\": \"\"}}"}) {
    host.answer("ceph", [out](const FakeHost&, const std::vector<std::string>&) { return CommandResult{0, false, out, ""}; });
    EXPECT_NE(read_ceph(host)->problem, "") << out;
  }
  host.answer("ceph", [](const FakeHost&, const std::vector<std::string>&) {
    return CommandResult{
        0, false, "{\"health\": {\"status\": \"HEALTH_OK\", \"checks\": 4}, \"pgmap\": [], \"quorum_names\": [1, \"a\"], \"monmap\": null}",
        ""};
  });
  const auto ceph = read_ceph(host);
  EXPECT_EQ(ceph->problem, "");
  EXPECT_EQ(ceph->quorum, Strings{"a"});
  EXPECT_FALSE(ceph->ok_to_stop) << "no OSDs here";
}

TEST(Replication, a_job_runs_while_its_process_is_the_one_that_started_it) {
  FakeHost host;
  host.file("/etc/pve/replication.cfg", "local: 100-0\n\ttarget pve2\n\nlocal: 200-0\n\ttarget pve2\n");
  const auto runs = [&](const std::string& state) {
    host.file("/var/lib/pve-manager/pve-replication-state.json", state);
    Reader reader(host);
    const auto jobs = read_replication(reader, {100});
    EXPECT_EQ(jobs.size(), 1u) << "only of this node's guests";
    return jobs.at(0).running;
  };
  host.file("/proc/4711/stat", "4711 (a ) b) S 1 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 88112 5 5\n");
  EXPECT_TRUE(runs("{\"100\": {\"local/pve2\": {\"pid\": 4711, \"ptime\": \"88112\"}}}"));
  EXPECT_TRUE(runs("{\"100\": {\"local/pve2\": {\"pid\": \"4711\", \"ptime\": 88112}}}"));
  EXPECT_FALSE(runs("{\"100\": {\"local/pve2\": {\"pid\": 4711, \"ptime\": \"1\"}}}"));
  EXPECT_FALSE(runs("{\"100\": {\"local/pve2\": {\"pid\": 4712, \"ptime\": \"88112\"}}}"));
  EXPECT_FALSE(runs("{\"100\": {\"local/pve3\": {\"pid\": 4711, \"ptime\": \"88112\"}}}"));
  EXPECT_FALSE(runs("{\"100\": 5}"));
  EXPECT_FALSE(runs(""));
}

// --- storages and guests -----------------------------------------------------------------------------------------------------------

TEST(Storages, rules_of_proxmox_ve) {
  FakeHost host;
  host.file("/etc/pve/storage.cfg",
            "dir: local\n\tpath /var/lib/vz\n\tnodes pve9\n\ndir: nas\n\tpath /mnt/nas\n\tshared 1\n\tnodes pve1, pve2\n\n"
            "rbd: pool\n\tpool x\n\nlvm: off\n\tdisable\n\nfancy: own\n\tpath x\n");
  Reader reader(host);
  const Storages all = read_storages(reader);
  EXPECT_TRUE(all.find("local")->is_on("pve1")) << "local is everywhere";
  EXPECT_FALSE(all.find("local")->shared);
  EXPECT_TRUE(all.find("nas")->shared);
  EXPECT_TRUE(all.find("nas")->is_on("pve2"));
  EXPECT_FALSE(all.find("nas")->is_on("pve3"));
  EXPECT_TRUE(all.find("pool")->shared);
  EXPECT_FALSE(all.find("off")->is_on("pve1"));
  EXPECT_FALSE(all.find("own")->shared);
  EXPECT_FALSE(all.find("own")->can_be_copied());
  EXPECT_EQ(all.find("none"), nullptr);
  FakeHost empty;
  Reader other(empty);
  EXPECT_EQ(read_storages(other).find("local")->type, "dir");
}

TEST(Guests, move_with_shared_disks_only) {
  EXPECT_TRUE(guest_of(running(with_guest("scsi0: shared:100/disk.qcow2,size=1G\n"))).movable());
  const Guest local = guest_of(running(with_guest("scsi0: thin:vm-100-disk-0,size=1G\n")));
  EXPECT_FALSE(local.movable());
  EXPECT_TRUE(local.movable_with_disks());
  const Guest image = guest_of(with_guest("sata0: local:iso/x.iso,media=cdrom\n"));
  EXPECT_FALSE(image.movable_with_disks());
  EXPECT_TRUE(guest_of(with_guest("ide2: none,media=cdrom\nide0: thin:vm-100-cloudinit,media=cdrom\n")).movable());
  EXPECT_TRUE(guest_of(with_guest("unused0: thin:vm-100-disk-3\n")).movable());
  EXPECT_FALSE(guest_of(with_guest("scsi0: /dev/sdb\n")).movable_with_disks());
  EXPECT_TRUE(guest_of(with_guest("scsi0: /dev/mapper/lun,shared=1\n")).movable());
  EXPECT_FALSE(guest_of(with_guest("scsi0: own:x\n", "fancy: own\n\tpath x\n")).movable_with_disks());
}

TEST(Guests, snapshots_count_while_it_runs) {
  const std::string config = "scsi0: shared:100/disk.qcow2\n\n[before]\nscsi0: thin:vm-100-disk-0\nvmstate: thin:vm-100-state-before\n";
  EXPECT_FALSE(guest_of(running(with_guest(config))).movable_with_disks());
  EXPECT_TRUE(guest_of(with_guest(config)).movable());
  EXPECT_TRUE(guest_of(running(with_guest("scsi0: shared:100/disk.qcow2\n\n[before]\nvmstate: thin:vm-100-state-before\n"))).movable());
}

TEST(Guests, mapped_devices_need_an_entry_there_and_live_migration_here) {
  FakeHost host = with_guest("hostpci0: mapping=gpu,pcie=1\n");
  host.file("/etc/pve/mapping/pci.cfg",
            "gpu\n\tmap id=10de:2235,node=pve1,path=0000:41:00.0\n\tmap id=10de:2235,node=pve3,path=0000:41:00.0\n");
  EXPECT_EQ(guest_of(host).targets, Strings{"pve3"});
  EXPECT_TRUE(guest_of(host).movable());
  EXPECT_FALSE(guest_of(running(host)).movable());
  host.file("/etc/pve/mapping/pci.cfg", "gpu\n\tmap id=10de:2235,node=pve3,path=0000:41:00.0\n\tlive-migration-capable 1\n");
  EXPECT_TRUE(guest_of(running(host)).movable());
  EXPECT_EQ(guests_of(host, {"pve3"}).at(0).targets, Strings{}) << "pve3 is in maintenance mode";
  host.gone("/etc/pve/mapping/pci.cfg");
  EXPECT_FALSE(guest_of(host).movable());
}

TEST(Guests, a_pid_file_alone_proves_nothing) {
  FakeHost host = with_guest("name: x\n");
  host.file("/run/qemu-server/100.pid", "4711\n");
  EXPECT_FALSE(guest_of(host).running);
  host.file("/proc/4711/cmdline", std::string("kvm\0-pidfile\0/var/run/qemu-server/1001.pid\0", 44));
  EXPECT_FALSE(guest_of(host).running);
  EXPECT_TRUE(guest_of(running(host)).running);
}

TEST(Guests, broken_configurations_do_not_move) {
  for (const char* config : {"scsi0: shared:a,shared:b\n", "hostpci0: mapping=a,host=01:00\n", "scsi0: nowhere:x\n"})
    EXPECT_FALSE(guest_of(with_guest(config)).movable()) << config;
}

}  // namespace
}  // namespace pvegpu::cluster
