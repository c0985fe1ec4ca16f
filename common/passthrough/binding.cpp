// SPDX-License-Identifier: MIT
// Which driver has a PCI function. drivers/base/bus.c: unbind and drivers_probe take an address; drivers_probe reports nothing, so the
// outcome is read back.
#include "common/passthrough/binding.hpp"

#include "common/host/reader.hpp"
#include "common/base/strings.hpp"

#include <cstdlib>

namespace pvegpu::gpu {
namespace {

constexpr const char* no_override = "(null)";  // the kernel's word for it

std::string device_dir(const std::string& address) { return "/sys/bus/pci/devices/" + address; }
std::string driver_dir(const std::string& driver) { return "/sys/bus/pci/drivers/" + driver; }

Result<std::optional<std::string>> driver_now(const HostView& host, const std::string& address) {
  const auto link = host.read_link(device_dir(address) + "/driver");
  if (link) return std::optional(last_part(*link));
  if (link.error().not_found()) return std::optional<std::string>();
  return link.error();
}

}  // namespace

bool is_registered(const HostView& host, const std::string& driver) { return host.exists(driver_dir(driver)); }

std::optional<std::string> busy(const HostView& host, const std::string& driver) {
  const std::string module = driver_dir(driver) + "/module";
  const auto count = host.read_attr(module + "/refcnt");
  if (!count) return std::nullopt;  // built in
  const long holders = static_cast<long>(host.list_dir(module + "/holders").value_or({}).size());
  const long users = std::strtol(count->c_str(), nullptr, 10) - holders;
  if (users <= 0) return std::nullopt;
  return fmt::format("the driver {} is in use ({} user{})", driver, users, users == 1 ? "" : "s");
}

void ensure_override(const HostView& host, Plan& plan, const std::string& address, const std::optional<std::string>& driver) {
  const std::string path = device_dir(address) + "/driver_override";
  if (driver) return (void)plan.ensure_attr(path, *driver);
  std::string now = host.read_attr(path).or_fail("read attribute");
  if (now.empty() || now == no_override) return;
  Step step;
  step.target = "attribute " + path;
  step.current = std::move(now);
  step.desired = no_override;
  step.observe = [path](const HostView& view) -> Result<std::optional<std::string>> {
    std::string value = PVEGPU_TRY(view.read_attr(path));
    return std::optional<std::string>(value.empty() ? no_override : std::move(value));
  };
  step.apply = [path](Host& effects) { return effects.write_attr(path, "\n"); };
  plan.effect(std::move(step));
}

void ensure_driver(const HostView& host, Plan& plan, const std::string& address, const std::optional<std::string>& wished) {
  auto now = driver_now(host, address).or_fail("look for the driver of " + address);
  if (now == wished) return;
  Step step;
  step.target = "driver of " + address;
  step.current = std::move(now);
  step.desired = wished;
  step.observe = [address](const HostView& view) { return driver_now(view, address); };
  step.apply = [address, wished](Host& effects) -> Result<> {
    if (const auto has = PVEGPU_TRY(driver_now(effects, address)))
      (void)PVEGPU_TRY(effects.write_attr(driver_dir(*has) + "/unbind", address));
    if (wished) return effects.write_attr("/sys/bus/pci/drivers_probe", address);
    return {};
  };
  step.within = std::chrono::seconds(5);
  plan.effect(std::move(step));
}

}  // namespace pvegpu::gpu
