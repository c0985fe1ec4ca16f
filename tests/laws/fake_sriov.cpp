// SPDX-License-Identifier: MIT
// SR-IOV on the host in memory.
#include "tests/laws/fake_sriov.hpp"

#include "common/base/strings.hpp"

namespace pvegpu {
namespace {

const std::string pci = "/sys/bus/pci/devices/", drivers = "/sys/bus/pci/drivers/", script = "/usr/lib/nvidia/sriov-manage";
const std::string nvidia_gpus = "/proc/driver/nvidia/gpus/";

std::string last_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }
std::string attribute_of(const FakeHost& host, const std::string& address, const std::string& name) {
  return host.read_attr(pci + address + "/" + name).value_or("");
}
unsigned number_of(const FakeHost& host, const std::string& address, const std::string& name) {
  return static_cast<unsigned>(std::strtoul(attribute_of(host, address, name).c_str(), nullptr, 10));
}
std::string driver_of(const FakeHost& host, const std::string& address) {
  return last_of(host.read_link(pci + address + "/driver").value_or(""));
}

void bind(FakeHost& host, const std::string& address, const std::string& driver) {
  // Links of a device count from its own directory, whose depth is not the same everywhere.
  std::string up;
  for (const std::string& part : text::split(host.read_link(pci + address).or_fail("bind"), '/'))
    if (part != "..") up += "../";
  host.link(pci + address + "/driver", up + "bus/pci/drivers/" + driver);
  if (driver == "nvidia" && !host.exists(pci + address + "/physfn"))
    host.file(fmt::format("{}{}/information", nvidia_gpus, address), "Model: \t\t NVIDIA\n", 0444);
}
void unbind(FakeHost& host, const std::string& address) {
  host.gone(pci + address + "/driver");
  if (host.exists(nvidia_gpus + address)) host.gone(nvidia_gpus + address);
}

/// Routing ids as pci_iov_virtfn_bus() and pci_iov_virtfn_devfn() count them.
std::string vf_address(const FakeHost& host, const std::string& card, unsigned index) {
  unsigned domain = 0, bus = 0, slot = 0, function = 0;
  if (std::sscanf(card.c_str(), "%x:%x:%x.%x", &domain, &bus, &slot, &function) != 4) throw std::runtime_error("no address: " + card);
  const unsigned id =
      (bus << 8 | slot << 3 | function) + number_of(host, card, "sriov_offset") + index * number_of(host, card, "sriov_stride");
  return fmt::format("{:04x}:{:02x}:{:02x}.{:x}", domain, id >> 8, id >> 3 & 31, id & 7);
}

void take_vfs(FakeHost& host, const std::string& card) {
  for (unsigned i = 0; i < number_of(host, card, "sriov_numvfs"); ++i) {
    const std::string link = fmt::format("{}{}/virtfn{}", pci, card, i);
    const std::string vf = last_of(host.read_link(link).or_fail("take VFs"));
    host.gone(link);
    const std::string target = host.read_link(pci + vf).or_fail("take VFs");
    host.gone("/sys/" + target.substr(target.find("devices/")));
    host.gone(pci + vf);
  }
  host.file(pci + card + "/sriov_numvfs", "0\n");
}

void make_vfs(FakeHost& host, const std::string& card, unsigned count, const std::string& driver, std::chrono::milliseconds late) {
  const std::string target = host.read_link(pci + card).or_fail("make VFs");
  const std::string parent = target.substr(0, target.rfind('/') + 1);
  for (unsigned i = 0; i < count; ++i) {
    const std::string vf = vf_address(host, card, i);
    const std::string dir = "/sys/" + parent.substr(parent.find("devices/")) + vf;
    for (const char* name : {"vendor", "device", "class", "subsystem_vendor"})
      host.file(dir + "/" + name, attribute_of(host, card, name) + "\n", 0444);
    host.file(dir + "/subsystem_device", "0x0000\n", 0444);
    host.file(dir + "/driver_override", "(null)\n");
    host.link(dir + "/physfn", "../" + card);
    host.link(pci + vf, parent + vf);
    host.link(fmt::format("{}{}/virtfn{}", pci, card, i), "../" + vf);
    if (driver.empty()) continue;
    if (late.count() == 0)
      bind(host, vf, driver);
    else
      host.after(late, [vf, driver](FakeHost& now) { bind(now, vf, driver); });
  }
  host.file(pci + card + "/sriov_numvfs", std::to_string(count) + "\n");
}

int errno_named(const std::string& name) { return name == "ENOENT" ? ENOENT : name == "ENOMEM" ? ENOMEM : name == "EBUSY" ? EBUSY : 0; }

/// sriov_numvfs_store, drivers/pci/iov.c.
Result<> store_numvfs(FakeHost& host, const std::string& card, const std::string& value, const json& faults) {
  const auto wanted = static_cast<unsigned>(std::strtoul(value.c_str(), nullptr, 10));
  const unsigned now = number_of(host, card, "sriov_numvfs");
  const auto refused = [&](int code) { return Error::from_errno(fmt::format("write '{}' to {}{}/sriov_numvfs", value, pci, card), code); };
  if (wanted > number_of(host, card, "sriov_totalvfs")) return refused(ERANGE);
  if (wanted == now) return {};
  const std::string driver = driver_of(host, card);
  if (driver.empty() || driver == "nvidia" || driver == "nouveau") return refused(ENOENT);  // no sriov_configure
  if (wanted == 0) {
    take_vfs(host, card);
    return {};
  }
  if (now != 0) return refused(EBUSY);
  if (const int code = errno_named(faults.value("errno", ""))) return refused(code);
  make_vfs(host, card, wanted, driver, std::chrono::milliseconds(faults.value("late_ms", 0)));
  return {};
}

Result<> store_bind(FakeHost& host, const std::string& driver, const std::string& address) {
  const std::string what = fmt::format("write '{}' to {}{}/bind", address, drivers, driver);
  const std::string only = attribute_of(host, address, "driver_override");
  if (!host.exists(pci + address) || (only != "(null)" && only != driver)) return Error::from_errno(what, ENODEV);
  if (!driver_of(host, address).empty()) return Error::from_errno(what, EBUSY);
  bind(host, address, driver);
  return {};
}

Result<> store_unbind(FakeHost& host, const std::string& driver, const std::string& address) {
  if (driver_of(host, address) != driver)
    return Error::from_errno(fmt::format("write '{}' to {}{}/unbind", address, drivers, driver), ENODEV);
  unbind(host, address);
  return {};
}

/// NVIDIA's script for one card (GPU-FACTS 3).
CommandResult manage(FakeHost& host, const std::vector<std::string>& argv, const json& faults) {
  const std::string option = argv.at(1), card = argv.at(2), fault = faults.value("script", "");
  const unsigned now = number_of(host, card, "sriov_numvfs"), total = number_of(host, card, "sriov_totalvfs");
  if (!host.exists(pci + card + "/sriov_numvfs")) return {};
  if (option == "-e" ? now != 0 : now == 0)
    return {0, false, fmt::format("GPU at {} already has VFs {}.\n", card, option == "-e" ? "enabled" : "disabled"), ""};
  const std::string said = fmt::format("{} VFs on {}\n", option == "-e" ? "Enabling" : "Disabling", card);
  if (fault == "ignore") return {0, false, said, ""};
  if (fault == "busy") return {1, false, said + fmt::format("Cannot obtain unbindLock for {}\n", card), ""};
  if (fault == "stub") {
    unbind(host, card);
    host.file(pci + card + "/driver_override", "pci-pf-stub\n");
    bind(host, card, "pci-pf-stub");
    return {1, false, said, script + ": line 120: echo: write error: Cannot allocate memory\n"};
  }
  if (option == "-d")
    take_vfs(host, card);
  else
    make_vfs(host, card, total, fault == "bare" ? "" : "nvidia", std::chrono::milliseconds(faults.value("late_ms", 0)));
  return {0, false, said, ""};
}

}  // namespace

void model_sriov(FakeHost& host, const json& faults) {
  for (const std::string& address : host.list_dir("/sys/bus/pci/devices").value_or({})) {
    if (!host.exists(pci + address + "/sriov_totalvfs")) continue;
    host.attribute(pci + address + "/sriov_numvfs",
                   [address, faults](FakeHost& now, const std::string& value) { return store_numvfs(now, address, value, faults); });
    host.attribute(pci + address + "/driver_override", [address](FakeHost& now, const std::string& value) -> Result<> {
      now.file(pci + address + "/driver_override", value == "\n" ? "(null)\n" : value + "\n");
      return {};
    });
  }
  for (const char* driver : {"nvidia", "pci-pf-stub"}) {
    host.attribute(drivers + driver + "/bind",
                   [driver](FakeHost& now, const std::string& address) { return store_bind(now, driver, address); });
    host.attribute(drivers + driver + "/unbind",
                   [driver](FakeHost& now, const std::string& address) { return store_unbind(now, driver, address); });
  }
  if (host.exists(script))
    host.program(script, [faults](FakeHost& now, const std::vector<std::string>& argv) { return manage(now, argv, faults); });
}

}  // namespace pvegpu
