// SPDX-License-Identifier: MIT
// The words for what the running kernel has: modules, drivers of PCI functions.
#include "common/core/plan.hpp"

#include "common/base/strings.hpp"
#include "common/host/reader.hpp"

namespace pvegpu {
namespace {

using Observed = Result<std::optional<std::string>>;
using std::chrono::seconds;

constexpr const char* no_override = "(null)";  // the kernel's word for it

std::string device_dir(const std::string& address) { return "/sys/bus/pci/devices/" + address; }
std::string driver_dir(const std::string& driver) { return "/sys/bus/pci/drivers/" + driver; }

Observed driver_now(const HostView& host, const std::string& address) {
  const auto link = host.read_link(device_dir(address) + "/driver");
  if (link) return std::optional(last_part(*link));
  if (link.error().not_found()) return std::optional<std::string>();
  return link.error();
}

bool is_loaded(const HostView& host, const std::string& name) { return host.exists(fmt::format("/sys/module/{}/initstate", name)); }

}  // namespace

Plan& Plan::ensure_loaded(const std::vector<std::string>& names, const std::string& version, const std::string& help) {
  Step step;
  step.target = "kernel module " + names[0];
  step.desired = version;
  step.apply = [names, help](Host& host) -> Result<> {
    for (const std::string& name : names) {
      if (is_loaded(host, name)) continue;
      const auto done = host.load_module(name);
      if (done) continue;
      const bool untrusted = done.error().code == EKEYREJECTED;
      return Error{fmt::format("{}; {}", done.error().message,
                               untrusted ? "the kernel does not trust its signature (Secure Boot): see mokutil --list-enrolled"
                               : done.error().code == ENODEV ? "it finds no device that it drives, or another driver has it: " + help
                                                             : help)};
    }
    return {};
  };
  step.verify = [names, version](const HostView& host) -> Result<> {
    for (const std::string& name : names)
      if (!is_loaded(host, name)) return Error{fmt::format("{} is not loaded", name)};
    const std::string now = host.read_attr(fmt::format("/sys/module/{}/version", names[0])).value_or("unknown");
    if (now == version) return {};
    return Error{fmt::format("loaded is {}", now)};
  };
  step.within = seconds(5);
  return effect(std::move(step));
}

Plan& Plan::ensure_unloaded(const std::string& name, const std::string& devices) {
  if (!is_loaded(host_, name)) return *this;
  Step step;
  step.target = "running kernel module " + name;
  step.current = "loaded";
  step.observe = [name](const HostView& host) -> Observed {
    return is_loaded(host, name) ? std::optional<std::string>("loaded") : std::nullopt;
  };
  step.apply = [name, devices](Host& host) -> Result<> {
    const auto done = host.unload_module(name);
    if (done) return {};
    const auto holders = host.list_dir(fmt::format("/sys/module/{}/holders", name)).value_or({});
    return Error{
        fmt::format("{}; {}", done.error().message,
                    holders.empty() ? "find who uses it with: fuser -v " + devices : fmt::format("used by {}", fmt::join(holders, ", ")))};
  };
  step.within = seconds(5);
  return effect(std::move(step));
}

Plan& Plan::ensure_bound(const std::string& address, const std::optional<std::string>& driver, BindBy how) {
  Step step;
  step.target = "driver of " + address;
  step.desired = driver;
  step.observe = [address](const HostView& host) { return driver_now(host, address); };
  step.current = expected(step);
  if (step.current == driver) return *this;
  step.apply = [address, driver, how](Host& host) -> Result<> {
    if (const auto has = PVEGPU_TRY(driver_now(host, address))) (void)PVEGPU_TRY(host.write_attr(driver_dir(*has) + "/unbind", address));
    if (!driver) return {};
    return host.write_attr(how == BindBy::kernel ? "/sys/bus/pci/drivers_probe" : driver_dir(*driver) + "/bind", address);
  };
  step.within = seconds(5);
  return effect(std::move(step));
}

Plan& Plan::ensure_override(const std::string& address, const std::optional<std::string>& driver) {
  const std::string path = device_dir(address) + "/driver_override";
  std::string now = host_.read_attr(path).or_fail("read attribute");
  if (driver ? now == *driver : now.empty() || now == no_override) return *this;
  Step step;
  step.target = "attribute " + path;
  step.current = std::move(now);
  step.desired = driver.value_or(no_override);
  step.observe = [path](const HostView& host) -> Observed { return std::optional<std::string>(PVEGPU_TRY(host.read_attr(path))); };
  // A newline takes it away (driver_set_override, drivers/base/driver.c).
  step.apply = [path, written = driver.value_or("\n")](Host& host) { return host.write_attr(path, written); };
  return effect(std::move(step));
}

}  // namespace pvegpu
