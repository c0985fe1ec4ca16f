// SPDX-License-Identifier: MIT
// PCI functions by libpci, through sysfs only.
#include "common/host/real_host.hpp"

#include <algorithm>
#include <cstdarg>
#include <cstdio>

extern "C" {
#include <pci/pci.h>
}

namespace pvegpu {
namespace {

struct PciFailure {
  std::string message;
};

// libpci's own handler calls exit(1): no answer would reach Ansible.
// An attribute in GNU's spelling is part of the type, which clang wants it to be.
__attribute__((noreturn)) void fail(char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  throw PciFailure{text};
}
void be_quiet(char*, ...) {}

class Access {
 public:
  explicit Access(const std::string& sysfs_path) : access_(::pci_alloc()) {
    access_->method = PCI_ACCESS_SYS_BUS_PCI;  // else it silently tries others, down to raw I/O ports
    access_->error = fail;
    access_->warning = be_quiet;
    std::string path = sysfs_path;
    ::pci_set_param(access_, const_cast<char*>("sysfs.path"), path.data());
  }
  Access(const Access&) = delete;
  Access& operator=(const Access&) = delete;
  ~Access() { ::pci_cleanup(access_); }

  pci_access* get() const { return access_; }

 private:
  pci_access* access_;
};

}  // namespace

Result<std::vector<PciDevice>> RealHost::pci_devices() const {
  constexpr const char* sysfs = "/sys/bus/pci";
  if (!exists(std::string(sysfs) + "/devices"))
    return Error{fmt::format("{}/devices is missing: no PCI bus, or /sys is not mounted", sysfs), ENOENT};
  try {
    const Access access(at(sysfs));
    // Only the list is libpci's: ids and class are read here, so that a function that vanishes meanwhile is left out instead of
    // ending the whole scan, and libpci does not read the resources of each (up to 3.7, Debian 11, it does so at once; "buscentric"
    // says not to ask the kernel). The configuration headers of VFs hold no ids.
    access.get()->buscentric = 1;
    ::pci_init(access.get());
    ::pci_scan_bus(access.get());
    std::vector<PciDevice> out;
    for (const pci_dev* device = access.get()->devices; device; device = device->next) {
      PciDevice found;
      found.address =
          fmt::format("{:04x}:{:02x}:{:02x}.{:x}", static_cast<unsigned>(device->domain), device->bus, device->dev, device->func);
      // One file has all three: pci:v000010DEd00002235sv000010DEsd0000145Abc03sc02i00
      const auto modalias = read_attr(fmt::format("{}/devices/{}/modalias", sysfs, found.address));
      unsigned vendor = 0, id = 0, base_class = 0, sub_class = 0;
      if (!modalias || std::sscanf(modalias->c_str(), "pci:v%8xd%8xsv%*8xsd%*8xbc%2xsc%2x", &vendor, &id, &base_class, &sub_class) != 4)
        continue;
      found.vendor = static_cast<std::uint16_t>(vendor);
      found.device = static_cast<std::uint16_t>(id);
      found.device_class = static_cast<std::uint16_t>(base_class << 8 | sub_class);
      out.push_back(std::move(found));
    }
    std::sort(out.begin(), out.end(), [](const PciDevice& a, const PciDevice& b) { return a.address < b.address; });
    return out;
  } catch (const PciFailure& e) {
    return Error{fmt::format("list PCI devices: {}", e.message)};
  }
}

std::string RealHost::pci_name(std::uint16_t vendor, std::uint16_t device) const {
  try {
    const Access access(at("/sys/bus/pci"));
    ::pci_init(access.get());
    char buffer[256];
    const char* name = ::pci_lookup_name(access.get(), buffer, sizeof buffer, PCI_LOOKUP_DEVICE | PCI_LOOKUP_NO_NUMBERS, vendor, device);
    return name ? name : std::string();
  } catch (const PciFailure&) {
    return {};
  }
}

}  // namespace pvegpu
