// SPDX-License-Identifier: MIT
// What is told of a failure of pvesh or qm.
#include "common/cluster/api_error.hpp"

#include <gtest/gtest.h>

namespace pvegpu::cluster {
namespace {

std::string cause(const std::string& err, int code = 255) { return cause_of({code, false, "", err}); }

TEST(ApiError, usage_lines_are_no_cause) {
  EXPECT_EQ(cause("400 Parameter verification failed.\ndescription: value may only be 4096 characters long\n"
                  "pvesh create <api_path> [OPTIONS] [FORMAT_OPTIONS]\n"),
            "400 Parameter verification failed. description: value may only be 4096 characters long");
  EXPECT_EQ(
      cause(
          "400 Parameter verification failed.\nhostpci0: invalid format - format error\nhostpci0.x: unknown\n\nqm set <vmid> [OPTIONS]\n"),
      "400 Parameter verification failed. hostpci0: invalid format - format error hostpci0.x: unknown");
  EXPECT_EQ(cause("Unknown option: digest\n400 unable to parse option\npvesh set <api_path> [OPTIONS]\n"), "400 unable to parse option");
}

TEST(ApiError, warnings_before_the_cause_are_left_out) {
  EXPECT_EQ(cause("file /etc/pve/mapping/pci.cfg line 3 (section 'a') - unable to parse value\ndetected modified configuration\n"),
            "detected modified configuration");
}

TEST(ApiError, something_is_said_always) {
  EXPECT_EQ(cause("", 17), "exit code 17");
  EXPECT_EQ(cause(" \n\n", 2), "exit code 2");
  EXPECT_EQ(cause("qm set <vmid> [OPTIONS]\n"), "qm set <vmid> [OPTIONS]");
}

}  // namespace
}  // namespace pvegpu::cluster
