// SPDX-License-Identifier: MIT
// Recordings: what they keep, what they hide, what they answer.
#include "common/core/judgements.hpp"
#include "common/record/privacy.hpp"
#include "common/base/strings.hpp"
#include "tests/laws/fake_host.hpp"

#include <gtest/gtest.h>

namespace pvegpu::record {
namespace {

/// As a file, and out of it again.
ReplayHost replay(const Recording& recording) { return ReplayHost(unpack(pack(recording)).or_fail("unpack")); }

// --- what is kept ------------------------------------------------------------------------------------------------------------------

TEST(Recorder, answers_come_back_as_they_were) {
  FakeHost host;
  host.file("/etc/a", "text\n", 0640, 3, 4).file("/etc/binary", std::string("\xff\x00\x01", 3)).dir("/etc/d").link("/etc/l", "a");
  host.answer("systemctl show", [](const FakeHost&, const std::vector<std::string>&) { return CommandResult{3, true, "out", "err\xfe"}; });
  host.user(7).release("6.8.12-4-pve");
  const Recorder recorder(host);
  const auto ask = [](const HostView& view) {
    std::string out = fmt::format("{} {} {}", view.effective_uid(), view.kernel_release(), view.now().time_since_epoch().count());
    for (const char* path : {"/etc/a", "/etc/binary", "/etc/d", "/etc/l", "/etc/none", "/etc/a/b"}) {
      const auto bytes = view.read_file(path), link = view.read_link(path), sum = view.sha256_of(path);
      const auto names = view.list_dir(path);
      const auto told = [&](const Result<std::string>& r) { out += r ? *r : fmt::format("{} {}", r.error().message, r.error().code); };
      told(bytes), told(link), told(sum);
      out += names ? fmt::format("{}", fmt::join(*names, ",")) : names.error().message;
      for (const Links links : {Links::follow, Links::keep})
        if (const auto info = view.stat(path, links))
          out += fmt::format("{} {:o} {} {} {}", static_cast<int>(info->type), info->mode, info->uid, info->gid, info->size);
      if (const auto space = view.free_space(path)) out += std::to_string(*space);
    }
    const auto shown = view.query(Query::unit_state("x"));
    return out + fmt::format("{} {} {} {}", shown->exit_code, shown->timed_out, shown->out, shown->err);
  };
  const std::string told = ask(recorder);
  EXPECT_EQ(ask(host).substr(0, 20), told.substr(0, 20));
  const ReplayHost again = replay(recorder.recording());
  EXPECT_EQ(ask(again), told);
  EXPECT_TRUE(again.missing().empty());
}

TEST(Recorder, is_of_one_moment) {
  FakeHost host;
  host.file("/etc/a", "first");
  const Recorder recorder(host);
  EXPECT_EQ(*recorder.read_file("/etc/a"), "first");
  host.file("/etc/a", "second");
  EXPECT_EQ(*recorder.read_file("/etc/a"), "first");
}

TEST(Recorder, never_keeps_a_secret_file) {
  FakeHost host;
  host.file("/etc/pve/priv/authkey.key", "TOPSECRET").file("/root/some", "-----BEGIN RSA PRIVATE KEY-----\nTOPSECRET");
  host.file("/etc/apt/auth.conf.d/pve.conf", "machine a login b password TOPSECRET")
      .file("/etc/nvidia/ClientConfigToken/a.tok", "TOPSECRET");
  const Recorder recorder(host);
  for (const char* path :
       {"/etc/pve/priv/authkey.key", "/root/some", "/etc/apt/auth.conf.d/pve.conf", "/etc/nvidia/ClientConfigToken/a.tok"}) {
    EXPECT_FALSE(recorder.read_file(path));
    EXPECT_FALSE(recorder.read_file(path)) << "the second time";
    EXPECT_TRUE(recorder.recording().of(Question::file).at(path).contains("secret"));
  }
  EXPECT_FALSE(text::contains(print(recorder.recording()), "TOPSECRET"));
  EXPECT_EQ(recorder.read_file("/etc/pve/priv/none.key").error().code, ENOENT);
}

TEST(Recorder, has_no_effects) {
  FakeHost host;
  Recorder recorder(host);
  EXPECT_FALSE(recorder.write_file("/etc/a", "x", {}));
  EXPECT_FALSE(recorder.run({{"true"}}));
  EXPECT_FALSE(recorder.lock("/run/pve-gpu.lock", std::chrono::seconds(1)));
  EXPECT_TRUE(host.effects().empty());
}

// --- what is answered --------------------------------------------------------------------------------------------------------------

TEST(ReplayHost, says_what_is_not_in_it) {
  FakeHost host;
  host.file("/etc/a", "1").dir("/etc/d");
  const Recorder recorder(host);
  (void)recorder.read_file("/etc/a");
  const ReplayHost again = replay(recorder.recording());
  const auto other = again.read_file("/etc/b");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().message, "not in the recording: /etc/b");
  EXPECT_FALSE(other.error().not_found()) << "that it is not there is not known";
  (void)again.stat("/etc/b");
  (void)again.query(Query::apt_policy());
  EXPECT_EQ(again.missing().size(), 2u);
}

TEST(ReplayHost, knows_what_is_not_there) {
  FakeHost host;
  host.file("/etc/a", "1");
  const Recorder recorder(host);
  (void)recorder.list_dir("/etc");
  (void)recorder.stat("/opt");
  const ReplayHost again = replay(recorder.recording());
  for (const char* path : {"/etc/b", "/etc/b/c/d", "/opt/x/y"}) EXPECT_TRUE(again.read_file(path).error().not_found()) << path;
  EXPECT_TRUE(again.missing().empty());
  EXPECT_FALSE(again.read_file("/etc/a").error().not_found());
}

TEST(Recording, what_is_none_is_refused) {
  const std::string whole = pack(Recorder(FakeHost()).recording());
  EXPECT_TRUE(unpack(whole));
  EXPECT_TRUE(unpack(print(Recorder(FakeHost()).recording()))) << "unpacked";
  for (const std::string& bytes : {std::string(), std::string("{}"), std::string("[1]"), whole.substr(0, whole.size() / 2), whole.substr(1),
                                   std::string("{\"pve_gpu_recording\":1}"), std::string("{\"pve_gpu_recording\":2}")})
    EXPECT_FALSE(unpack(bytes));
  Recording odd = Recorder(FakeHost()).recording();
  odd.of(Question::file)["/a"] = 7.5;
  odd.of(Question::info)["/a"] = json::array({1});
  const ReplayHost host(odd);
  EXPECT_TRUE(text::contains(host.read_file("/a").error().message, "damaged"));
  EXPECT_TRUE(text::contains(host.stat("/a").error().message, "damaged"));
}

// --- masks -------------------------------------------------------------------------------------------------------------------------

std::string masked_text(const std::string& text) {
  Masks masks;
  masks.scan(text);
  masks.settle();
  return masks.text(text);
}

TEST(Masks, have_the_form_of_what_they_hide) {
  EXPECT_EQ(masked_text("bc:24:11:AA:0f:9e bc-24-11-aa-0f-9f"), "02:00:00:00:00:02 02-00-00-00-00-01");
  EXPECT_EQ(masked_text("10.1.2.3/24, 10.1.2.3:8006, 192.168.7.9"), "198.18.0.1/24, 198.18.0.1:8006, 198.18.0.2");
  EXPECT_EQ(masked_text("[fd00:1::5]:3128 2001:db8:a:b:c:d:e:f"), "[2001:db8::0002]:3128 2001:db8::0001");
  EXPECT_EQ(masked_text("GPU-5af3c0de-1234-4bcd-9abc-0123456789ab"), "GPU-00000000-aaaa-4000-8000-000000000001");
  EXPECT_EQ(masked_text("ops@corp.internal"), "mail01@example.org");
  EXPECT_EQ(masked_text("https://joe:hunter2@apt.corp.internal:8443/debian"), "https://user01:masked01@machine01.example.org:8443/debian");
}

TEST(Masks, leave_what_identifies_nobody) {
  for (const char* text :
       {"0000:41:00.4 10de:2235", "535.161.05 and 94.02.5c.00.0e, 90.17.29.00.01, 6.8.12-4-pve", "127.0.0.1 0.0.0.0 255.255.255.0 ::1",
        "00000000-0000-0000-0000-000000000201 00000001-0000-0000-0000-000000000201", "00:00:00:00:00:00 ff:ff:ff:ff:ff:ff",
        "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "http://download.proxmox.com/debian/pve",
        "getty@tty1.service pve-gpu@0000:41:00.0.service", "PVE::QemuServer 12:30:45 BAR 0x000000383fffffff",
        "46b91c885e60052676e0d4f0ccbf76ede76f0d303105a5195e2fa3c4b05527a3"})
    EXPECT_EQ(masked_text(text), text);
}

TEST(Masks, the_same_secret_has_the_same_mask_in_the_order_of_secrets) {
  Masks masks;
  for (const char* name : {"zeus", "athena", "Athena2"}) masks.add(Secret::node, name);
  masks.settle();
  EXPECT_EQ(masks.text("athena zeus ATHENA athena2.corp /nodes/zeus/ zeus_lock zeusx"),
            "host01 host03 host01 host02.corp /nodes/host03/ host03_lock zeusx");
}

TEST(Masks, common_words_are_no_secret) {
  Masks masks;
  masks.is_technical("cdrom");
  for (const char* name : {"pve", "pve12", "node-3", "nvidia", "cdrom", "ab", "100"}) masks.add(Secret::guest, name);
  masks.settle();
  EXPECT_EQ(masks.text("/etc/pve pve12 node-3 nvidia media=cdrom ab 100"), "/etc/pve pve12 node-3 nvidia media=cdrom ab 100");
}

// --- a host full of secrets --------------------------------------------------------------------------------------------------------

/// Every one of these stands somewhere in what the modules read.
const std::vector<std::string> secrets = {"falkor7",
                                          "uxmal-corp",
                                          "smaug",
                                          "payroll-db",
                                          "jdoe",
                                          "hunter2secret",
                                          "tiger-corp.internal",
                                          "S64HNE0T123456",
                                          "10.77.3.9",
                                          "fd77:1::beef",
                                          "bc:24:11:5e:c2:e7",
                                          "BC:24:11:5E:C2:E7",
                                          "77aa88bb-1234-4321-8888-99990000aaaa",
                                          "eyJhbGciOiJSUzI1NiJ9.abc.def",
                                          "cafe1234cafe1234cafe1234cafe1234",
                                          "ops@tiger",
                                          "7C1F-22B9",
                                          "Windows of the boss",
                                          "ZXCV998877",
                                          "nas77"};

FakeHost secretive() {
  FakeHost host;
  host.release("6.8.12-4-pve");
  host.file("/proc/sys/kernel/osrelease", "6.8.12-4-pve\n").dir("/sys/bus/pci/devices").dir("/run/qemu-server");
  host.file("/etc/hostname", "falkor7\n")
      .file("/proc/sys/kernel/hostname", "falkor7.tiger-corp.internal\n")
      .link("/etc/pve/local", "nodes/falkor7");
  host.file("/etc/pve/corosync.conf",
            "totem {\n  cluster_name: uxmal-corp\n}\nnodelist {\n  node {\n    name: falkor7\n    nodeid: 1\n    quorum_votes: 1\n    "
            "ring0_addr: 10.77.3.9\n  }\n"
            "  node {\n    name: smaug\n    nodeid: 2\n    quorum_votes: 1\n    ring0_addr: fd77:1::beef\n  }\n}\n");
  host.file("/etc/pve/.members", R"({"nodename": "falkor7", "cluster": {"name": "uxmal-corp", "nodes": 2, "quorate": 1},
                                     "nodelist": {"falkor7": {"id": 1, "online": 1, "ip": "10.77.3.9"}, "smaug": {"id": 2, "online": 1}}})");
  host.file("/etc/pve/nodes/falkor7/qemu-server/201.conf",
            "# Windows of the boss, password hunter2secret\nname: payroll-db\nnet0: virtio=BC:24:11:5E:C2:E7,bridge=vmbr0\nciuser: "
            "jdoe\ncipassword: hunter2secret\n"
            "smbios1: uuid=77aa88bb-1234-4321-8888-99990000aaaa,serial=WlhDVjk5ODg3Nw==,base64=1\nscsi0: "
            "local-lvm:vm-201-disk-0,serial=S64HNE0T123456,size=8G\n"
            "hostpci0: 0000:41:00.0\ntags: payroll-db\n");
  host.dir("/etc/pve/nodes/falkor7/lxc").dir("/etc/pve/nodes/smaug/qemu-server");
  host.file("/etc/pve/storage.cfg",
            "nfs: shared\n\tserver nas77.tiger-corp.internal\n\texport /pool\n\tpath /mnt/pve/shared\n\tcontent images\n\npbs: "
            "bak\n\tserver 10.77.3.9\n"
            "\tusername jdoe@pbs\n\tfingerprint aa:bb:cc:dd:ee:ff:00:11:22:33\n\tdatastore one\n");
  host.file("/etc/pve/mapping/pci.cfg",
            "a40\n\tdescription Windows of the boss\n\tmap id=10de:2235,iommugroup=1,node=falkor7,path=0000:41:00.0\n");
  host.file("/etc/pve/datacenter.cfg", "email_from: ops@tiger-corp.internal\nhttp_proxy: http://jdoe:hunter2secret@10.77.3.9:3128\n");
  host.file("/etc/apt/sources.list", "deb https://jdoe:hunter2secret@apt.tiger-corp.internal/debian bookworm main\n");
  host.file("/etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n")
      .file("/usr/share/perl5/PVE/pvecfg.pm", "sub version {\n    return '8.4.1';\n}\n");
  host.file("/proc/cmdline",
            "BOOT_IMAGE=/boot/vmlinuz root=UUID=77aa88bb-1234-4321-8888-99990000aaaa ro token=eyJhbGciOiJSUzI1NiJ9.abc.def\n");
  host.file("/etc/kernel/proxmox-boot-uuids", "7C1F-22B9\n");
  host.file("/proc/net/if_inet6", "cafe1234cafe1234cafe1234cafe1234 02 40 00 80 eno1\n")
      .file("/proc/net/route", "Iface\tDestination\neno1\t00034D0A\t0903004D\n");
  host.file("/proc/mounts",
            "/dev/mapper/pve-root / ext4 rw 0 0\nnas77.tiger-corp.internal:/pool /mnt/pve/shared nfs4 rw,addr=10.77.3.9 0 0\n");
  host.file("/etc/crontab",
            "MAILTO=ops@tiger-corp.internal\n* * * * * jdoe curl -u jdoe:hunter2secret https://tiger-corp.internal\n@reboot root "
            "sriov-manage -e ALL\n");
  host.file("/run/qemu-server/201.pid", "77\n");
  constexpr char words[] =
      "kvm\0-name\0payroll-db\0-pidfile\0/run/qemu-server/201.pid\0-uuid\0"
      "77aa88bb-1234-4321-8888-99990000aaaa";
  host.file("/proc/77/cmdline", std::string(words, sizeof words));
  host.file("/sys/class/dmi/id/product_serial", "ZXCV998877\n");
  host.file("/proc/net/unix", "Num\n0: @/var/lib/lxc/300/command\n0: /home/jdoe/.gnupg/S.agent\n");
  const std::string old = "deb http://jdoe:hunter2secret@apt.tiger-corp.internal/old bookworm main\n";
  host.file("/var/lib/pve-gpu/undo/193b03205bc72c1e.json",
            dump_json({{"path", "/etc/apt/sources.list"},
                       {"contributions",
                        {{{"module", "repo"}, {"existed", true}, {"before", text::base64(old)}, {"after", text::sha256_hex(old)}}}}}),
            0600);
  host.answer("systemctl show", [](const FakeHost&, const std::vector<std::string>&) {
    return CommandResult{0, false, "ActiveState=active\nDescription=falkor7\n", ""};
  });
  host.answer("apt-cache policy", [](const FakeHost&, const std::vector<std::string>&) {
    return CommandResult{0, false, " 500 https://apt.tiger-corp.internal/debian bookworm/main\n     origin apt.tiger-corp.internal\n", ""};
  });
  return host;
}

TEST(Privacy, no_secret_is_left_anywhere) {
  const FakeHost host = secretive();
  Recorder everything(host);
  // All files, whether a module reads them or not.
  const std::vector<std::string> more = {
      "/proc/77/cmdline",   "/sys/class/dmi/id/product_serial", "/etc/crontab",     "/proc/mounts", "/proc/net/unix", "/proc/net/route",
      "/proc/net/if_inet6", "/etc/pve/datacenter.cfg",          "/etc/pve/.members"};
  for (const std::string& path : more) (void)everything.read_file(path);
  for (const char* path : {"/etc/pve/nodes", "/dev/disk/by-id"}) (void)everything.list_dir(path);
  const Recording raw = record_unmasked(registry(), everything, {});
  Recording all = raw;
  for (const std::string& path : more) all.of(Question::file)[path] = from_bytes(host.bytes(path));
  const Recording hidden = masked(all, masks_for(all));
  const std::string told = print(all);
  std::string shown = print(hidden);
  for (const std::string& secret : secrets) {
    EXPECT_FALSE(text::contains(shown, secret)) << secret << " is left: " << shown.substr(shown.find(secret) - 100, 250);
    EXPECT_FALSE(text::contains(shown, text::base64(secret).substr(0, 12))) << secret << " in base64";
  }
  int planted = 0;
  for (const std::string& secret : secrets) planted += text::contains(told, secret);
  EXPECT_GE(planted, static_cast<int>(secrets.size()) - 3) << "the modules read fewer files than this test thinks";
  // The old bytes in our own notes, in base64.
  const std::string note = to_bytes(hidden.of(Question::file).at("/var/lib/pve-gpu/undo/193b03205bc72c1e.json"));
  const json contribution = parse_json(note)->at("contributions").at(0);
  const std::string before = text::from_base64(contribution.at("before").get<std::string>());
  EXPECT_TRUE(before.starts_with("deb http://user")) << before;
  EXPECT_FALSE(text::contains(before, "hunter2"));
  EXPECT_EQ(contribution.at("after"), text::sha256_hex(before)) << "its checksum is that of the masked bytes";
  // What is needed stays.
  for (const char* kept : {"/etc/pve/nodes/host01/qemu-server/201.conf", "0000:41:00.0", "10de:2235", "sriov-manage -e ALL",
                           "@/var/lib/lxc/300/command", "/run/qemu-server/201.pid", "6.8.12-4-pve"})
    EXPECT_TRUE(text::contains(shown, kept)) << kept;
}

TEST(Privacy, a_module_says_of_the_recording_what_it_says_of_the_host) {
  const FakeHost host = secretive();
  const Recording raw = record_unmasked(registry(), host, {});
  const Masks masks = masks_for(raw);
  const ReplayHost open(raw), hidden(masked(raw, masks));
  for (const RegistryEntry& entry : registry()) {
    const json args{{"_ansible_check_mode", true}, {"_ansible_diff", true}};
    FakeHost mine = host;
    ReplayHost first = open, second = hidden;
    const json answer = entry.module().run(args, mine);
    EXPECT_EQ(entry.module().run(args, first).dump(1), answer.dump(1)) << entry.name;
    EXPECT_EQ(entry.module().run(args, second).dump(1), masks.value(answer).dump(1)) << entry.name;
  }
}

// --- tasks -------------------------------------------------------------------------------------------------------------------------

TEST(Replay, is_in_check_mode_whatever_is_asked_and_counts_what_is_missing) {
  const FakeHost host = secretive();
  const ReplayHost recorded(record_judgements(registry(), host, {}));
  for (const RegistryEntry& entry : registry()) {
    if (entry.name != std::string_view("kernel_cmdline")) continue;
    const Answer answer = replay_task(entry.module(), R"({"parameters": ["iommu=pt"], "_ansible_check_mode": false})", recorded);
    EXPECT_FALSE(text::contains(answer.line, "recording can't be changed")) << answer.line;
  }
  for (const RegistryEntry& entry : registry()) {
    if (entry.name != std::string_view("hostpci")) continue;
    EXPECT_TRUE(replay_task(entry.module(), "[]", recorded).failed);
    const Answer whole = replay_task(entry.module(), R"({"vmid": 201, "slot": 0, "state": "absent"})", recorded);
    EXPECT_FALSE(text::contains(whole.line, "not answered by the recording")) << whole.line;
    ReplayHost empty{Recording{}};
    const Answer answer = replay_task(entry.module(), R"({"vmid": 201, "host": "41:00"})", empty);
    EXPECT_TRUE(text::contains(answer.line, "not answered by the recording")) << answer.line;
    EXPECT_TRUE(text::contains(answer.line, "/etc/hostname")) << answer.line;
  }
}

TEST(Record, host_info_writes_it) {
  FakeHost host = secretive();
  for (const RegistryEntry& entry : registry()) {
    if (entry.name != std::string_view("host_info")) continue;
    const json args{{"record", "/root/recording.json.gz"}};
    json checked = args;
    checked["_ansible_check_mode"] = true;
    EXPECT_TRUE(entry.module().run(checked, host)["changed"]);
    EXPECT_TRUE(host.effects().empty());
    host.dir("/root");
    EXPECT_TRUE(entry.module().run(args, host)["changed"]);
    EXPECT_EQ(host.effects(), std::vector<std::string>{"write /root/recording.json.gz"});
    EXPECT_EQ(host.stat("/root/recording.json.gz")->mode, 0600u);
    EXPECT_TRUE(unpack(host.bytes("/root/recording.json.gz")));
    EXPECT_TRUE(entry.module().run({{"record", "recording"}}, host)["failed"]);
  }
}

}  // namespace
}  // namespace pvegpu::record
