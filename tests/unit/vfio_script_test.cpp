// SPDX-License-Identifier: MIT
// The script of the initramfs: printed, read again, and run by a real shell over a made-up /sys.
#include "common/host/real_host.hpp"
#include "common/base/strings.hpp"
#include "common/text/vfio_script.hpp"
#include "tests/unit/sysfs_tree.hpp"

namespace pvegpu {
namespace {

using text::VfioClaim;

const VfioClaim display{"0000:41:00.0", {0x10de, 0x24b0, 0x10de, 0x14ad}, "nouveau", false};
const VfioClaim sound{"0000:41:00.1", {0x10de, 0x228b, 0x10de, 0x14ad}, "", true};

TEST(VfioScript, says_what_it_was_made_of) {
  const std::string script = text::print_vfio_script({display, sound}, true);
  EXPECT_TRUE(
      text::contains(script, "\nclaim 0000:41:00.0 10de 24b0 10de 14ad nouveau\nclaim 0000:41:00.1 10de 228b 10de 14ad - override\n"))
      << script;
  EXPECT_EQ(text::parse_vfio_script(script), (std::vector<VfioClaim>{display, sound}));
  EXPECT_FALSE(text::contains(text::print_vfio_script({display}, false), "modprobe"));
}

TEST(VfioScript, skips_what_is_no_claim) {
  EXPECT_TRUE(text::parse_vfio_script("").empty());
  EXPECT_TRUE(text::parse_vfio_script("#!/bin/sh\n#   claim ADDRESS VENDOR\nclaim() {\nclaim 0000:41:00.0 10de 24b0 10de 14ad\n"
                                      "claim 0000:41:00.0 10de 124b0 10de 14ad nouveau\nclaim 0000:41:00.0 10de xx 10de 14ad nouveau\n")
                  .empty());
}

/// The script with /sys and /dev/kmsg moved below a directory, and with a modprobe that notes what it is asked.
class Boot : public testing::TestWithParam<const char*> {
 protected:
  CommandResult run(const std::vector<VfioClaim>& claims, bool load, const std::string& argument = "") {
    std::string script = text::print_vfio_script(claims, load);
    for (const auto& [from, to] :
         {std::pair{"=/sys/", "=" + tree_.root() + "/sys/"}, std::pair{">/dev/kmsg", ">>" + tree_.root() + "/kmsg"}})
      script.replace(script.find(from), std::string(from).size(), to);
    script.insert(script.find('\n') + 1, fmt::format("modprobe() {{ echo \"$*\" >>{}/modprobe; }}\n", tree_.root()));
    tree_.file("script", script);
    std::vector<std::string> argv = {"/bin/sh"};
    if (std::string(GetParam()) == "busybox") argv = {"busybox", "sh"};
    argv.insert(argv.end(), {"-u", tree_.root() + "/script"});
    argv.push_back(argument);
    return run_program({argv, std::chrono::seconds(600)}).or_fail("run the script");
  }
  std::string override_of(const std::string& address) { return read("sys/devices/pci0000:00/" + address + "/driver_override"); }
  std::string read(const std::string& path) { return RealHost(tree_.root()).read_file("/" + path).value_or("(absent)"); }
  void function(const std::string& address, const std::string& device) {
    const std::string dir = tree_.function(address, "10de", device, "0300", "", "14ad");
    tree_.file(dir + "/driver_override", "(null)\n");
  }

  SysfsTree tree_;
};

TEST_P(Boot, takes_what_it_knows_and_not_its_twin) {
  function("0000:41:00.0", "24b0");
  function("0000:42:00.0", "24b0");
  const CommandResult result = run({display}, true);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err + result.out, "");
  EXPECT_EQ(override_of("0000:41:00.0"), "vfio-pci\n");
  EXPECT_EQ(override_of("0000:42:00.0"), "(null)\n");
  EXPECT_EQ(read("modprobe"), "vfio-pci\n");
  EXPECT_EQ(read("kmsg"), "(absent)");
}

TEST_P(Boot, leaves_another_card_alone_and_says_so) {
  function("0000:41:00.0", "2231");
  function("0000:42:00.0", "24b0");
  EXPECT_EQ(run({display}, false).exit_code, 0);
  EXPECT_EQ(override_of("0000:41:00.0"), "(null)\n");
  EXPECT_EQ(override_of("0000:42:00.0"), "(null)\n");
  EXPECT_EQ(
      read("kmsg"),
      "<4>pve-gpu: 0000:41:00.0 is left alone: it is 10de 2231 10de 14ad, the card for guests that was there is 10de 24b0 10de 14ad\n");
  EXPECT_EQ(read("modprobe"), "(absent)");
}

TEST_P(Boot, one_of_the_same_chip_on_another_board_is_another_card) {
  function("0000:41:00.0", "24b0");
  VfioClaim other = display;
  other.ids.subsystem_vendor = 0x1028;
  EXPECT_EQ(run({other}, false).exit_code, 0);
  EXPECT_EQ(override_of("0000:41:00.0"), "(null)\n");
}

TEST_P(Boot, says_what_is_not_there_and_goes_on) {
  function("0000:41:00.1", "228b");
  const CommandResult result = run({display, sound}, false);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(read("kmsg"), "<4>pve-gpu: 0000:41:00.0 is not there: the card for guests was 10de 24b0 10de 14ad\n");
  EXPECT_EQ(override_of("0000:41:00.1"), "vfio-pci\n");
}

TEST_P(Boot, asks_for_no_other_script) {
  function("0000:41:00.0", "24b0");
  const CommandResult result = run({display}, true, "prereqs");
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(override_of("0000:41:00.0"), "(null)\n");
}

/// Initramfs of Debian have one of these two.
std::vector<const char*> shells() {
  std::vector<const char*> out = {"sh"};
  if (RealHost().exists("/usr/bin/busybox")) out.push_back("busybox");
  return out;
}
INSTANTIATE_TEST_SUITE_P(Shells, Boot, testing::ValuesIn(shells()), [](const auto& test) { return std::string(test.param); });

}  // namespace
}  // namespace pvegpu
