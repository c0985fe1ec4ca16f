// SPDX-License-Identifier: MIT
// Drivers and PCI functions in memory.
#include "tests/laws/fake_sysfs.hpp"

#include "common/base/strings.hpp"

namespace pvegpu {
namespace {

constexpr const char* devices_dir = "/sys/bus/pci/devices";
constexpr const char* drivers_dir = "/sys/bus/pci/drivers";

std::string device_dir(const std::string& address) { return fmt::format("{}/{}", devices_dir, address); }
std::string driver_dir(const std::string& driver) { return fmt::format("{}/{}", drivers_dir, driver); }
std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

struct Function {
  std::string home;  ///< the driver that has it at the beginning: its ids mean that one
  std::string link;  ///< from its directory to those of the drivers
  std::string back;  ///< from a driver's directory to its own
};

void bind(FakeHost& host, const Function& function, const std::string& address, const std::string& driver) {
  host.link(device_dir(address) + "/driver", function.link + driver);
  host.link(driver_dir(driver) + "/" + address, function.back);
}

/// __device_attach: no error when no driver takes it.
Result<> probe(FakeHost& host, const Function& function, const std::string& address) {
  const std::string dir = device_dir(address);
  if (host.exists(dir + "/driver")) return {};
  const std::string override = host.read_attr(dir + "/driver_override").value_or("(null)");
  const std::string driver = override == "(null)" ? function.home : override;
  if (driver.empty() || !host.exists(driver_dir(driver))) return {};
  if (override != "(null)" && driver != "vfio-pci" && driver != function.home) return {};
  if (driver == "vfio-pci" && !host.exists(dir + "/iommu_group")) return {};
  bind(host, function, address, driver);
  return {};
}

}  // namespace

void model_driver_binding(FakeHost& host) {
  std::map<std::string, Function> functions;
  for (const std::string& address : host.list_dir(devices_dir).value_or({})) {
    const auto real = host.read_link(device_dir(address));
    if (!real) continue;
    Function function;
    std::string up;  // from the device's directory to /sys, as sysfs makes its links
    for (const std::string& part : text::split(real->substr(real->find("devices/")), '/')) up += part.empty() ? "" : "../";
    function.link = up + "bus/pci/drivers/";
    function.back = "../../" + *real;
    if (const auto driver = host.read_link(device_dir(address) + "/driver")) {
      function.home = last_part(*driver);
      function.link = driver->substr(0, driver->size() - function.home.size());
      if (const auto back = host.read_link(driver_dir(function.home) + "/" + address)) function.back = *back;
    }
    functions[address] = std::move(function);
  }
  for (const auto& [address, function] : functions)
    host.attribute(device_dir(address) + "/driver_override", [address = address](FakeHost& world, const std::string& value) -> Result<> {
      const std::string wanted = value.substr(0, value.find('\n'));  // driver_set_override
      world.file(device_dir(address) + "/driver_override", (wanted.empty() ? "(null)" : wanted) + "\n");
      return {};
    });
  host.attribute("/sys/bus/pci/drivers_probe", [functions](FakeHost& world, const std::string& value) -> Result<> {
    const auto found = functions.find(value);
    if (found == functions.end() || !world.exists(device_dir(value))) return Error::from_errno("write drivers_probe", ENODEV);
    return probe(world, found->second, value);
  });
  for (const std::string& driver : host.list_dir(drivers_dir).value_or({}))
    host.attribute(driver_dir(driver) + "/unbind", [driver](FakeHost& world, const std::string& value) -> Result<> {
      const auto has = world.read_link(device_dir(value) + "/driver");
      if (!has || last_part(*has) != driver) return Error::from_errno("write unbind", ENODEV);
      world.gone(device_dir(value) + "/driver").gone(driver_dir(driver) + "/" + value);
      return {};
    });
}

}  // namespace pvegpu
