// SPDX-License-Identifier: MIT
// What the kernel does when somebody writes to sysfs. The order of the checks and the errnos are those of Linux 6.1 to 6.14;
// each function names the source that it follows.
#include "sysfs.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <utility>

#include <nlohmann/json.hpp>

namespace simfs {

namespace {

using nlohmann::json;

// --- Text --------------------------------------------------------------------------------------------------------------------

// kstrtoull(text, 0, &value), lib/kstrtox.c: one sign, radix by prefix, at most one newline after it.
std::optional<std::uint64_t> parse_number(std::string_view text) {
  if (!text.empty() && text.front() == '+') {
    text.remove_prefix(1);
  }
  if (!text.empty() && text.back() == '\n') {
    text.remove_suffix(1);
  }
  unsigned base = 10;
  if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
    base = 16;
    text.remove_prefix(2);
  } else if (!text.empty() && text.front() == '0') {
    base = 8;
  }
  if (text.empty()) {
    return std::nullopt;
  }
  std::uint64_t value = 0;
  for (const char letter : text) {
    const unsigned digit = letter >= '0' && letter <= '9'   ? static_cast<unsigned>(letter - '0')
                           : letter >= 'a' && letter <= 'f' ? static_cast<unsigned>(letter - 'a') + 10
                           : letter >= 'A' && letter <= 'F' ? static_cast<unsigned>(letter - 'A') + 10
                                                            : base;
    if (digit >= base || value > (std::numeric_limits<std::uint64_t>::max() - digit) / base) {
      return std::nullopt;
    }
    value = value * base + digit;
  }
  return value;
}

// kstrtobool, lib/kstrtox.c: only the first one or two letters count.
std::optional<bool> parse_bool(std::string_view text) {
  const char first = text.empty() ? '\0' : text[0];
  const char second = text.size() < 2 ? '\0' : text[1];
  if (std::strchr("yYtT1", first) != nullptr && first != '\0') {
    return true;
  }
  if (std::strchr("nNfF0", first) != nullptr && first != '\0') {
    return false;
  }
  if (first == 'o' || first == 'O') {
    if (second == 'n' || second == 'N') {
      return true;
    }
    if (second == 'f' || second == 'F') {
      return false;
    }
  }
  return std::nullopt;
}

// sysfs_streq: how a device's name is compared with what was written.
std::string without_newline(std::string text) {
  if (!text.empty() && text.back() == '\n') {
    text.pop_back();
  }
  return text;
}

// guid_parse and %pUl: the canonical form in lower case, or nothing.
std::optional<std::string> parse_uuid(std::string_view text) {
  constexpr std::size_t length = 36;
  if (text.size() < length || text.size() > length + 1) {
    return std::nullopt;
  }
  std::string uuid;
  for (std::size_t index = 0; index < length; ++index) {
    const char letter = text[index];
    const bool dash = index == 8 || index == 13 || index == 18 || index == 23;
    if (dash ? letter != '-' : std::isxdigit(static_cast<unsigned char>(letter)) == 0) {
      return std::nullopt;
    }
    uuid += static_cast<char>(std::tolower(static_cast<unsigned char>(letter)));
  }
  return uuid;
}

template <class... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 256> buffer{};
  const int length = std::snprintf(buffer.data(), buffer.size(), pattern, values...);
  return {buffer.data(), static_cast<std::size_t>(length)};
}

std::uint32_t hex_file(Node& directory, const char* name) {
  const Node* node = Tree::child(directory, name);
  return node == nullptr ? 0 : static_cast<std::uint32_t>(std::strtoul(node->data.c_str(), nullptr, 16));
}

unsigned number_file(Node& directory, const char* name) {
  const Node* node = Tree::child(directory, name);
  return node == nullptr ? 0 : static_cast<unsigned>(std::strtoul(node->data.c_str(), nullptr, 10));
}

// resource_show: 13 lines for all but bridges. What the PF has for its VFs (lines 7 to 12) is divided among all that there can be
// (pci_iov_add_virtfn); a VF has no expansion ROM.
std::string resources_of_vf(const std::string& physfn, unsigned long totalvfs, unsigned index) {
  std::vector<std::string> lines(13, "0x0000000000000000 0x0000000000000000 0x0000000000000000");
  std::istringstream text(physfn);
  std::string line;
  for (std::size_t number = 0; std::getline(text, line); ++number) {
    unsigned long start = 0, end = 0, flags = 0;
    if (number >= 7 && number < 13 && totalvfs != 0 && std::sscanf(line.c_str(), "%lx %lx %lx", &start, &end, &flags) == 3 && end > start) {
      const unsigned long size = (end - start + 1) / totalvfs;
      lines[number - 7] = format("0x%016lx 0x%016lx 0x%016lx", start + size * index, start + size * (index + 1) - 1, flags);
    }
  }
  std::string out;
  for (const std::string& each : lines) {
    out += each + '\n';
  }
  return out;
}

void set_text(Node& directory, const char* name, std::string text) {
  if (Node* node = Tree::child(directory, name)) {
    node->data = std::move(text);
  }
}

// --- Identity of PCI functions -----------------------------------------------------------------------------------------------

// pci_match_one_id, drivers/pci/pci.h
bool matches_id(const DeviceId& id, const DeviceId& device) {
  const auto fits = [](std::uint32_t wanted, std::uint32_t value) { return wanted == DeviceId::any || wanted == value; };
  return fits(id.vendor, device.vendor) && fits(id.device, device.device) && fits(id.subvendor, device.subvendor) &&
         fits(id.subdevice, device.subdevice) && ((id.pci_class ^ device.pci_class) & id.class_mask) == 0;
}

// How many of the six fields were there. `separator` is ' ' for new_id, ':' for the parameter ids of vfio-pci.
int parse_id(const std::string& text, char separator, DeviceId& id) {
  const std::string pattern = separator == ' ' ? "%x %x %x %x %x %x" : "%x:%x:%x:%x:%x:%x";
  return std::sscanf(text.c_str(), pattern.c_str(), &id.vendor, &id.device, &id.subvendor, &id.subdevice, &id.pci_class, &id.class_mask);
}

std::string modalias(const Device& device) {
  return format("pci:v%08Xd%08Xsv%08Xsd%08Xbc%02Xsc%02Xi%02X", device.vendor, device.device, device.subvendor, device.subdevice,
                device.pci_class >> 16U, device.pci_class >> 8U & 255U, device.pci_class & 255U);
}

std::string uevent(const Device& device) {
  return (device.driver != nullptr ? "DRIVER=" + device.driver->name + '\n' : std::string()) +
         format("PCI_CLASS=%X\nPCI_ID=%04X:%04X\nPCI_SUBSYS_ID=%04X:%04X\nPCI_SLOT_NAME=%s\n", device.pci_class, device.vendor,
                device.device, device.subvendor, device.subdevice, device.slot.c_str()) +
         "MODALIAS=" + modalias(device) + '\n';
}

std::string type_directory(const VgpuType& type, const std::string& driver) {
  const bool number = type.id.find_first_not_of("0123456789") == std::string::npos;
  return number ? driver + '-' + type.id : type.id;  // mdev_type_add: driver's name and the type's
}

bool is_directory_of(std::string_view name, const VgpuType& type) {
  return name == type.id || (name.size() > type.id.size() && name.substr(name.size() - type.id.size() - 1) == '-' + type.id);
}

// How many more instances of a type a GPU takes: equal sizes only, up to the type's maximum.
unsigned room(const VgpuType& type, const std::vector<const VgpuType*>& used) {
  if (type.available && !type.size) {
    double free = 1.0;
    for (const VgpuType* other : used) {
      free -= 1.0 / std::max(1U, other->available.value_or(1));
    }
    return free <= 0 ? 0 : static_cast<unsigned>(free * *type.available + 1e-6);
  }
  if (type.available) {
    return *type.available;
  }
  unsigned count = 0;
  for (const VgpuType* other : used) {
    if (type.size != other->size) {
      return 0;
    }
    ++count;
  }
  const unsigned most = type.max_instances.value_or(1);
  return most > count ? most - count : 0;
}

// kobject_action_type, lib/kobject_uevent.c; nobody listens here
int store_uevent(const std::string& text) {
  const std::string action = without_newline(text).substr(0, text.find(' '));
  for (const char* known : {"add", "remove", "change", "move", "online", "offline", "bind", "unbind"}) {
    if (action == known) {
      return 0;
    }
  }
  return EINVAL;
}

int error_number(const json& value) {
  static const std::map<std::string, int> names = {{"EPERM", EPERM},   {"ENOENT", ENOENT}, {"EIO", EIO},       {"EAGAIN", EAGAIN},
                                                   {"ENOMEM", ENOMEM}, {"EBUSY", EBUSY},   {"ENODEV", ENODEV}, {"EINVAL", EINVAL},
                                                   {"ENOSPC", ENOSPC}, {"EUSERS", EUSERS}};
  const auto found = names.find(value.get<std::string>());
  if (found == names.end()) {
    throw std::runtime_error("the model names the unknown error " + value.dump());
  }
  return found->second;
}

template <class Value>
std::optional<Value> maybe(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? std::nullopt : std::optional<Value>(found->get<Value>());
}

std::uint32_t hex_of(const json& text) { return static_cast<std::uint32_t>(std::stoul(text.get<std::string>(), nullptr, 16)); }

}  // namespace

// --- The start ---------------------------------------------------------------------------------------------------------------

Sysfs::Sysfs(Tree& tree, const json& model) : tree_(tree) {
  read_model(model);
  adopt();
  (void)tree_.take_changes();
}

void Sysfs::read_model(const json& model) {
  const json drivers = model.value("drivers", json::array());
  for (const auto& entry : drivers) {
    Driver driver;
    driver.name = entry.at("name").get<std::string>();
    driver.module = entry.value("module", "");
    driver.sriov = entry.value("sriov", false);
    driver.keeps_vfs = entry.value("keeps_vfs", false);
    driver.takes_vfs = entry.value("takes_vfs", true);
    driver.vfio = entry.value("vfio", false);
    const auto ids = entry.value("ids", std::vector<std::string>());
    for (const auto& text : ids) {
      DeviceId id;
      if (parse_id(text, ' ', id) < 2) {
        throw std::runtime_error("driver " + driver.name + " of the model: \"" + text + "\" is no id like \"10de ffffffff\"");
      }
      driver.ids.push_back(id);
    }
    const auto [place, fresh] = drivers_.emplace(driver.name, driver);
    if (fresh) {
      driver_order_.push_back(&place->second);
    }
  }
  const json modules = model.value("modules", json::object());
  for (const auto& [name, entry] : modules.items()) {
    Module& module = modules_[name];
    module.version = entry.value("version", "");
    module.needs = entry.value("needs", std::vector<std::string>());
    module.parameters = entry.value("parameters", std::map<std::string, std::string>());
  }
  const json cards = model.value("cards", json::object());
  for (const auto& [slot, entry] : cards.items()) {
    Card& card = cards_[slot];
    card.vf_device = hex_of(entry.at("vf_device"));
    card.vf_class = hex_of(entry.at("vf_class"));
    card.vf_subvendor = hex_of(entry.at("vf_subvendor"));
    card.vf_subdevice = hex_of(entry.at("vf_subdevice"));
    card.totalvfs_parameter = entry.value("totalvfs_parameter", "");
    card.enable_error = entry.contains("enable_error") ? error_number(entry["enable_error"]) : 0;
    const auto framework = entry.value("framework", "none");
    card.framework = framework == "mdev"          ? Framework::mdev
                     : framework == "mdev_on_vfs" ? Framework::mdev_on_vfs
                     : framework == "vendor_vfio" ? Framework::vendor_vfio
                                                  : Framework::none;
    card.vgpu_driver = entry.value("vgpu_driver", "");
    card.full_error = entry.contains("full_error") ? error_number(entry["full_error"]) : EUSERS;
    const json types = entry.value("types", json::array());
    for (const auto& item : types) {
      VgpuType type;
      type.id = item.at("id").get<std::string>();
      type.name = maybe<std::string>(item, "name");
      type.description = maybe<std::string>(item, "description");
      type.size = maybe<unsigned>(item, "size");
      type.max_instances = maybe<unsigned>(item, "max_instances");
      type.available = maybe<unsigned>(item, "available");
      card.types.push_back(std::move(type));
    }
  }
}

void Sysfs::adopt() {
  Node* listed = tree_.find("bus/pci/devices");
  if (listed == nullptr) {
    throw std::runtime_error("the tree has no bus/pci/devices");
  }
  for (const auto& [slot, link] : listed->children) {
    auto device = std::make_unique<Device>();
    device->slot = slot;
    device->directory = tree_.resolve("bus/pci/devices/" + slot);
    if (device->directory == nullptr) {
      throw std::runtime_error("bus/pci/devices/" + slot + " leads nowhere");
    }
    Node& directory = *device->directory;
    device->vendor = hex_file(directory, "vendor");
    device->device = hex_file(directory, "device");
    device->subvendor = hex_file(directory, "subsystem_vendor");
    device->subdevice = hex_file(directory, "subsystem_device");
    device->pci_class = hex_file(directory, "class");
    device->hardware_vfs = number_file(directory, "sriov_totalvfs");
    const Node* override = Tree::child(directory, "driver_override");
    if (override != nullptr && override->data != "(null)\n") {
      device->override = without_newline(override->data);
    }
    const auto card = cards_.find(slot);
    device->card = card == cards_.end() ? nullptr : &card->second;
    devices_[slot] = std::move(device);
  }
  for (const auto& [slot, device] : devices_) {
    const std::string base = Tree::path(*device->directory);
    for (unsigned index = 0; Node* vf = tree_.resolve(base + "/virtfn" + std::to_string(index)); ++index) {
      Device& function = *devices_.at(vf->name);
      function.physfn = device.get();
      function.card = device->card;
      for (const char* name : {"remove", "rescan"}) {
        tree_.remove_child(*function.directory, name);
      }
      device->vfs.push_back(&function);
    }
    if (const Node* driver = tree_.resolve(base + "/driver")) {
      // a driver that the model doesn't know takes what it has, and nothing else
      const auto [place, fresh] = drivers_.try_emplace(driver->name);
      Driver& known = place->second;
      if (fresh) {
        known.name = driver->name;
        driver_order_.push_back(&known);
      }
      if (known.ids.empty() && !known.vfio) {
        known.ids.push_back({device->vendor, device->device});
      }
      device->driver = &known;
    }
  }
  for (auto& [name, driver] : drivers_) {
    driver.registered = tree_.find("bus/pci/drivers/" + name) != nullptr;
  }
  for (const auto& [slot, device] : devices_) {
    adopt_instances(*device);
  }
}

void Sysfs::adopt_instances(Device& device) {
  Node& directory = *device.directory;
  device.is_mdev_parent = Tree::child(directory, "mdev_supported_types") != nullptr;
  device.vendor_vfio = Tree::child(directory, "nvidia");
  if (device.card == nullptr) {
    return;
  }
  for (const auto& [name, child] : directory.children) {
    const Node* kind = child->kind == Kind::directory ? tree_.resolve(Tree::path(*child) + "/mdev_type") : nullptr;
    for (const VgpuType& type : device.card->types) {
      if (kind != nullptr && is_directory_of(kind->name, type)) {
        device.mdevs.push_back({name, &type, child.get()});
      }
    }
  }
  if (device.vendor_vfio != nullptr) {
    const auto current = std::to_string(number_file(*device.vendor_vfio, "current_vgpu_type"));
    for (const VgpuType& type : device.card->types) {
      if (type.id == current) {
        device.assigned = &type;
      }
    }
  }
}

Device* Sysfs::device(std::string_view slot) {
  const auto found = devices_.find(slot);
  return found == devices_.end() ? nullptr : found->second.get();
}

Device* Sysfs::device_of(const Node* directory) {
  Device* found = directory == nullptr ? nullptr : device(directory->name);
  return found != nullptr && found->directory == directory ? found : nullptr;
}

Driver* Sysfs::driver_of(const Node* directory) {
  if (directory == nullptr || directory->parent != tree_.find("bus/pci/drivers")) {
    return nullptr;
  }
  const auto found = drivers_.find(directory->name);
  return found == drivers_.end() ? nullptr : &found->second;
}

// --- write(2) ----------------------------------------------------------------------------------------------------------------

int Sysfs::store(Node& node, std::string_view data) {
  // kernfs_fop_write_iter ends the buffer with a NUL: a stored NUL ends the text
  const std::string text(data.substr(0, data.find('\0')));
  Node* parent = node.parent;
  if (Device* found = device_of(parent)) {
    return store_device(*found, node, text, data.size());
  }
  if (Driver* driver = driver_of(parent)) {
    return store_driver(*driver, node.name, text);
  }
  if (Tree::path(*parent) == "bus/pci") {
    return store_bus(node, text);
  }
  if (Device* owner = device_of(parent->parent)) {
    for (auto mdev = owner->mdevs.begin(); mdev != owner->mdevs.end(); ++mdev) {
      if (mdev->directory == parent && node.name == "remove") {  // remove_store, drivers/vfio/mdev/mdev_sysfs.c
        const auto value = parse_number(text);
        if (!value) {
          return EINVAL;
        }
        if (*value != 0) {
          remove_mdev(*owner, mdev);
        }
        return 0;
      }
    }
    if (owner->vendor_vfio == parent && node.name == "current_vgpu_type") {
      return store_vgpu_type(*owner, text);
    }
  }
  if (node.name == "create" && parent->parent != nullptr && parent->parent->name == "mdev_supported_types") {
    Device* owner = device_of(parent->parent->parent);
    if (owner != nullptr && owner->card != nullptr) {
      for (const VgpuType& type : owner->card->types) {
        if (is_directory_of(parent->name, type)) {
          return create_mdev(*owner, type, *parent, std::string(data));
        }
      }
    }
  }
  if (node.name == "uevent") {
    return store_uevent(text);
  }
  if ((node.mode & 0444U) != 0) {
    node.data = text.empty() || text.back() != '\n' ? text + '\n' : text;
  }
  return 0;
}

// drivers/pci/pci-sysfs.c
int Sysfs::store_device(Device& device, Node& node, const std::string& text, std::size_t length) {
  const std::string& name = node.name;
  const auto value = parse_number(text);
  if (name == "sriov_numvfs") {
    return store_numvfs(device, text);
  }
  if (name == "sriov_drivers_autoprobe") {
    const auto wanted = parse_bool(text);
    if (!wanted) {
      return EINVAL;
    }
    device.autoprobe = *wanted;
    node.data = *wanted ? "1\n" : "0\n";
    return 0;
  }
  if (name == "driver_override") {  // driver_set_override, drivers/base/driver.c
    if (length >= 4095) {
      return EINVAL;
    }
    const std::string wanted = text.substr(0, text.find('\n'));
    device.override = wanted.empty() ? std::nullopt : std::optional(wanted);
    node.data = (wanted.empty() ? "(null)" : wanted) + '\n';
    return 0;
  }
  if (name == "remove") {
    if (!value) {
      return EINVAL;
    }
    if (*value != 0) {
      remove_device(device);
    }
    return 0;
  }
  if (name == "rescan") {
    if (!value) {
      return EINVAL;
    }
    if (*value != 0) {
      rescan();
    }
    return 0;
  }
  if (name == "reset") {
    return value && *value == 1 ? 0 : EINVAL;
  }
  if (name == "enable") {
    if (!value) {
      return EINVAL;
    }
    if (device.driver != nullptr) {
      return EBUSY;
    }
    if (*value == 0 && node.data == "0\n") {
      return EIO;
    }
    node.data = *value != 0 ? "1\n" : "0\n";
    return 0;
  }
  if (name == "uevent") {
    return store_uevent(text);
  }
  if (!node.binary) {
    node.data = text.empty() || text.back() != '\n' ? text + '\n' : text;
  }
  return 0;
}

// bind_store and unbind_store, drivers/base/bus.c
int Sysfs::store_driver(Driver& driver, std::string_view attribute, const std::string& text) {
  Device* named = device(without_newline(text));
  if (attribute == "bind") {
    if (named == nullptr || !matches(driver, *named)) {
      return ENODEV;
    }
    return named->driver != nullptr ? EBUSY : bind(driver, *named);
  }
  if (attribute == "unbind") {
    if (named == nullptr || named->driver != &driver) {
      return ENODEV;
    }
    unbind(*named);
    return 0;
  }
  if (attribute == "new_id") {
    return new_id(driver, text);
  }
  if (attribute == "remove_id") {
    return remove_id(driver, text);
  }
  return 0;
}

// drivers_probe_store and drivers_autoprobe_store, drivers/base/bus.c; rescan_store, drivers/pci/pci-sysfs.c
int Sysfs::store_bus(Node& node, const std::string& text) {
  if (node.name == "drivers_probe") {
    Device* named = device(without_newline(text));
    if (named == nullptr) {
      return ENODEV;
    }
    probe(*named);
    return 0;
  }
  if (node.name == "drivers_autoprobe") {
    node.data = !text.empty() && text[0] == '0' ? "0\n" : "1\n";
    return 0;
  }
  if (node.name == "rescan") {
    const auto value = parse_number(text);
    if (!value) {
      return EINVAL;
    }
    if (*value != 0) {
      rescan();
    }
  }
  return 0;
}

// --- Drivers -----------------------------------------------------------------------------------------------------------------

// pci_match_device, drivers/pci/pci-driver.c
bool Sysfs::matches(const Driver& driver, const Device& device) const {
  if (!driver.registered) {
    return false;
  }
  if (device.override) {
    return *device.override == driver.name;
  }
  const DeviceId identity{device.vendor, device.device, device.subvendor, device.subdevice, device.pci_class, 0};
  for (const auto* list : {&driver.dynamic, &driver.ids}) {
    for (const DeviceId& id : *list) {
      if (matches_id(id, identity)) {
        return true;
      }
    }
  }
  return false;
}

// pci_device_probe, drivers/pci/pci-driver.c, and the drivers' own reasons to decline
int Sysfs::bind(Driver& driver, Device& device) {
  if (device.physfn != nullptr && ((!device.physfn->autoprobe && !device.override) || !driver.takes_vfs)) {
    return ENODEV;
  }
  if (driver.vfio) {  // vfio_pci_core_register_device: no bridges, no PF with VFs; vfio_group_find_or_alloc: no group, no device
    if (device.pci_class >> 16U == 0x06) {
      return EINVAL;
    }
    if (!device.vfs.empty()) {
      return EBUSY;
    }
    if (Tree::child(*device.directory, "iommu_group") == nullptr) {
      return EINVAL;
    }
  }
  device.driver = &driver;
  Node& home = tree_.make_directory("bus/pci/drivers/" + driver.name);
  tree_.make_link(*device.directory, "driver", home);
  tree_.make_link(home, device.slot, *device.directory);
  set_text(*device.directory, "uevent", uevent(device));
  set_text(*device.directory, "enable", "1\n");
  if (device.card != nullptr && device.physfn == nullptr && !device.card->totalvfs_parameter.empty()) {
    const std::string& parameter = device.card->totalvfs_parameter;  // module.name
    const auto dot = parameter.find('.');
    const Node* limit = tree_.find("module/" + parameter.substr(0, dot) + "/parameters/" + parameter.substr(dot + 1));
    const unsigned most = limit == nullptr ? 0 : static_cast<unsigned>(std::strtoul(limit->data.c_str(), nullptr, 10));
    set_text(*device.directory, "sriov_totalvfs", std::to_string(most < device.hardware_vfs ? most : device.hardware_vfs) + '\n');
  }
  add_frameworks(device);
  return 0;
}

void Sysfs::unbind(Device& device) {
  if (device.driver == nullptr) {
    return;
  }
  if (!device.driver->keeps_vfs) {
    disable_vfs(device);
  }
  remove_frameworks(device);
  if (Node* home = tree_.find("bus/pci/drivers/" + device.driver->name)) {
    tree_.remove_child(*home, device.slot);
  }
  tree_.remove_child(*device.directory, "driver");
  device.driver = nullptr;
  set_text(*device.directory, "uevent", uevent(device));
  set_text(*device.directory, "enable", "0\n");
  if (device.hardware_vfs != 0) {  // pci_iov_remove forgets the driver's limit
    set_text(*device.directory, "sriov_totalvfs", std::to_string(device.hardware_vfs) + '\n');
  }
}

// __device_attach, drivers/base/dd.c: the first driver whose probe succeeds; no error when there is none
void Sysfs::probe(Device& device) {
  for (Driver* driver : driver_order_) {
    if (device.driver != nullptr) {
      return;
    }
    if (matches(*driver, device)) {
      (void)bind(*driver, device);
    }
  }
}

void Sysfs::attach_driver(Driver& driver) {
  for (const auto& [slot, device] : devices_) {
    if (device->driver == nullptr && matches(driver, *device)) {
      (void)bind(driver, *device);
    }
  }
}

// new_id_store, drivers/pci/pci-driver.c
int Sysfs::new_id(Driver& driver, const std::string& text) {
  DeviceId id;
  if (parse_id(text, ' ', id) < 2) {
    return EINVAL;
  }
  DeviceId wanted = id;
  wanted.class_mask = 0;
  for (const auto* list : {&driver.ids, &driver.dynamic}) {
    for (const DeviceId& known : *list) {
      if (matches_id(known, wanted)) {
        return EEXIST;
      }
    }
  }
  driver.dynamic.push_back(id);
  attach_driver(driver);
  return 0;
}

int Sysfs::remove_id(Driver& driver, const std::string& text) {
  DeviceId id;
  if (parse_id(text, ' ', id) < 2) {
    return EINVAL;
  }
  for (auto known = driver.dynamic.begin(); known != driver.dynamic.end(); ++known) {
    if (known->vendor == id.vendor && known->device == id.device && (id.subvendor == DeviceId::any || known->subvendor == id.subvendor) &&
        (id.subdevice == DeviceId::any || known->subdevice == id.subdevice) && ((known->pci_class ^ id.pci_class) & id.class_mask) == 0) {
      driver.dynamic.erase(known);
      return 0;
    }
  }
  return ENODEV;
}

void Sysfs::register_driver(Driver& driver) {
  driver.registered = true;
  driver_order_.erase(std::find(driver_order_.begin(), driver_order_.end(), &driver));
  driver_order_.push_back(&driver);
  const std::string base = "bus/pci/drivers/" + driver.name;
  for (const char* name : {"bind", "unbind", "new_id", "remove_id"}) {
    tree_.make_file(base + '/' + name, "", 0200);
  }
  if (!driver.module.empty()) {
    tree_.make_link(base + "/module", tree_.make_directory("module/" + driver.module));
    tree_.make_link("module/" + driver.module + "/drivers/pci:" + driver.name, *tree_.find(base));
  }
  const Node* autoprobe = tree_.find("bus/pci/drivers_autoprobe");
  if (autoprobe == nullptr || autoprobe->data != "0\n") {
    attach_driver(driver);
  }
}

void Sysfs::unregister_driver(Driver& driver) {
  const auto bound = [&] {
    return std::find_if(devices_.begin(), devices_.end(), [&](const auto& entry) { return entry.second->driver == &driver; });
  };
  for (auto entry = bound(); entry != devices_.end(); entry = bound()) {  // anew each time: letting go of a PF may destroy VFs
    unbind(*entry->second);
  }
  driver.registered = false;
  driver.dynamic.clear();
  if (Node* home = tree_.find("bus/pci/drivers/" + driver.name)) {
    tree_.remove(*home);
  }
}

// --- SR-IOV: drivers/pci/iov.c -----------------------------------------------------------------------------------------------

int Sysfs::store_numvfs(Device& device, const std::string& text) {
  const auto wanted = parse_number(text);
  if (!wanted || *wanted > 0xffff) {
    return EINVAL;
  }
  if (*wanted > number_file(*device.directory, "sriov_totalvfs")) {
    return ERANGE;
  }
  if (*wanted == device.vfs.size()) {
    return 0;
  }
  if (device.driver == nullptr || !device.driver->sriov) {
    return ENOENT;
  }
  if (*wanted == 0) {
    disable_vfs(device);
    return 0;
  }
  if (!device.vfs.empty()) {
    return EBUSY;
  }
  if (device.card != nullptr && device.card->enable_error != 0) {
    return device.card->enable_error;
  }
  for (unsigned index = 0; index < *wanted; ++index) {
    add_vf(device, index);
  }
  set_text(*device.directory, "sriov_numvfs", std::to_string(*wanted) + '\n');
  return 0;
}

// pci_iov_add_virtfn: identity from the PF and the SR-IOV capability, address by routing id
void Sysfs::add_vf(Device& physfn, unsigned index) {
  unsigned domain = 0, bus = 0, slot = 0, number = 0;
  if (std::sscanf(physfn.slot.c_str(), "%x:%x:%x.%x", &domain, &bus, &slot, &number) != 4) {
    return;
  }
  Node& from = *physfn.directory;
  const unsigned routing =
      (bus << 8U | slot << 3U | number) + number_file(from, "sriov_offset") + number_file(from, "sriov_stride") * index;
  auto made = std::make_unique<Device>();
  Device& vf = *made;
  vf.slot = format("%04x:%02x:%02x.%x", domain, routing >> 8U, routing >> 3U & 31U, routing & 7U);
  vf.physfn = &physfn;
  vf.card = physfn.card;
  vf.vendor = physfn.vendor;
  vf.device = hex_file(from, "sriov_vf_device");
  vf.pci_class = vf.card != nullptr ? vf.card->vf_class : physfn.pci_class;
  vf.subvendor = vf.card != nullptr ? vf.card->vf_subvendor : physfn.subvendor;
  vf.subdevice = vf.card != nullptr ? vf.card->vf_subdevice : physfn.subdevice;
  const bool vga = vf.pci_class >> 8U == 0x0300;

  Node& directory = tree_.make_directory(Tree::path(*from.parent) + '/' + vf.slot);
  vf.directory = &directory;
  for (const auto& [name, node] : from.children) {
    // pci_dev_hp_attrs_are_visible: nobody removes a VF by hand
    if (node->kind == Kind::file && name.compare(0, 6, "sriov_") != 0 && name != "boot_vga" && name != "remove" && name != "rescan" &&
        (!node->binary || name == "config")) {
      tree_.make_file(directory, name, node->data, node->mode);
    }
  }
  set_text(directory, "vendor", format("0x%04x\n", vf.vendor));
  set_text(directory, "device", format("0x%04x\n", vf.device));
  set_text(directory, "subsystem_vendor", format("0x%04x\n", vf.subvendor));
  set_text(directory, "subsystem_device", format("0x%04x\n", vf.subdevice));
  set_text(directory, "class", format("0x%06x\n", vf.pci_class));
  set_text(directory, "modalias", modalias(vf) + '\n');
  set_text(directory, "driver_override", "(null)\n");
  set_text(directory, "enable", "0\n");
  if (Node* config = Tree::child(directory, "config"); config != nullptr && config->data.size() >= 64) {
    // the header of a VF has no ids; one function, no bridge
    const auto put = [&](std::size_t at, std::uint32_t value) { config->data[at] = static_cast<char>(value & 255U); };
    for (const std::size_t at : {0U, 1U, 2U, 3U}) {
      put(at, 0xff);
    }
    put(9, vf.pci_class), put(10, vf.pci_class >> 8U), put(11, vf.pci_class >> 16U), put(14, 0);
    put(44, vf.subvendor), put(45, vf.subvendor >> 8U), put(46, vf.subdevice), put(47, vf.subdevice >> 8U);
  }
  if (const Node* resource = Tree::child(from, "resource")) {
    set_text(directory, "resource", resources_of_vf(resource->data, physfn.hardware_vfs, index));
  }
  for (const auto& [name, text] : {std::pair("power_state", "D0\n"), std::pair("reset_method", "flr\n")}) {
    if (Tree::child(directory, name) != nullptr) {
      set_text(directory, name, text);
    }
  }
  if (vga) {
    tree_.make_file(directory, "boot_vga", "0\n", 0444);
  }
  set_text(directory, "uevent", uevent(vf));
  tree_.make_link(directory, "subsystem", tree_.make_directory("bus/pci"));
  tree_.make_link("bus/pci/devices/" + vf.slot, directory);
  tree_.make_link(directory, "physfn", from);
  tree_.make_link(from, "virtfn" + std::to_string(index), directory);
  if (Tree::child(from, "iommu_group") != nullptr) {
    const Node* kind = tree_.resolve(Tree::path(from) + "/iommu_group/type");
    join_group(directory, "", kind == nullptr ? "DMA-FQ\n" : kind->data);
  }
  physfn.vfs.push_back(&vf);
  devices_[vf.slot] = std::move(made);
  probe(vf);  // pci_bus_add_device, whatever drivers_autoprobe says
}

void Sysfs::disable_vfs(Device& physfn) {
  for (unsigned index = 0; index < physfn.vfs.size(); ++index) {
    tree_.remove_child(*physfn.directory, "virtfn" + std::to_string(index));
    destroy(*physfn.vfs[index]);
  }
  physfn.vfs.clear();
  set_text(*physfn.directory, "sriov_numvfs", "0\n");
}

// pci_stop_and_remove_bus_device: driver, links, group, directory
void Sysfs::destroy(Device& device) {
  unbind(device);
  tree_.remove_child(tree_.make_directory("bus/pci/devices"), device.slot);
  leave_group(*device.directory);
  tree_.remove(*device.directory);
  devices_.erase(devices_.find(device.slot));
}

// `remove`: the function goes and comes back at a rescan, as its hardware is still there. Bridges take what is behind them along.
void Sysfs::remove_device(Device& device) {
  std::vector<Device*> behind;
  for (const auto& [name, child] : device.directory->children) {
    if (Device* below = device_of(child.get()); below != nullptr && below->physfn == nullptr) {
      behind.push_back(below);
    }
  }
  for (Device* below : behind) {
    remove_device(*below);
  }
  unbind(device);
  disable_vfs(device);
  tree_.remove_child(tree_.make_directory("bus/pci/devices"), device.slot);
  const std::string group = leave_group(*device.directory);
  Node* parent = device.directory->parent;
  const auto place = devices_.find(device.slot);
  auto kept = std::move(place->second);
  devices_.erase(place);
  auto directory = tree_.detach(*kept->directory);
  removed_.push_back({std::move(directory), parent, std::move(kept), group});
}

void Sysfs::rescan() {
  auto returning = std::exchange(removed_, {});
  for (auto entry = returning.rbegin(); entry != returning.rend(); ++entry) {  // a bridge went after what is behind it
    Device& device = *entry->device;
    tree_.attach(*entry->parent, std::move(entry->directory));
    device.override.reset();
    set_text(*device.directory, "driver_override", "(null)\n");
    tree_.make_link("bus/pci/devices/" + device.slot, *device.directory);
    if (!entry->group.empty()) {
      join_group(*device.directory, entry->group, "DMA-FQ\n");
    }
    devices_[device.slot] = std::move(entry->device);
    probe(device);
  }
}

// --- IOMMU groups: drivers/iommu/iommu.c --------------------------------------------------------------------------------------

void Sysfs::join_group(Node& directory, std::string number, std::string_view kind) {
  Node& groups = tree_.make_directory("kernel/iommu_groups");
  if (number.empty() || Tree::child(groups, number) == nullptr) {  // ida_alloc: the lowest free one
    unsigned lowest = 0;
    while (Tree::child(groups, std::to_string(lowest)) != nullptr) {
      ++lowest;
    }
    number = std::to_string(lowest);
    tree_.make_file("kernel/iommu_groups/" + number + "/type", std::string(kind), 0644);
    // a device behind a real IOMMU: the window of interrupt messages
    const char* reserved = kind == "unknown\n" ? "" : "0x00000000fee00000 0x00000000feefffff msi\n";
    tree_.make_file("kernel/iommu_groups/" + number + "/reserved_regions", reserved, 0444);
  }
  const std::string base = "kernel/iommu_groups/" + number;
  tree_.make_link(base + "/devices/" + directory.name, directory);
  tree_.make_link(directory, "iommu_group", *tree_.find(base));
}

std::string Sysfs::leave_group(Node& directory) {
  Node* group = tree_.resolve(Tree::path(directory) + "/iommu_group");
  if (group == nullptr) {
    return {};
  }
  const std::string number = group->name;
  tree_.remove_child(directory, "iommu_group");
  Node* members = Tree::child(*group, "devices");
  if (members != nullptr) {
    tree_.remove_child(*members, directory.name);
  }
  if (members == nullptr || members->children.empty()) {
    tree_.remove(*group);
  }
  return number;
}

// --- vGPUs -------------------------------------------------------------------------------------------------------------------

std::vector<const VgpuType*> Sysfs::used_types(const Card& card) const {
  std::vector<const VgpuType*> used;
  for (const auto& [slot, device] : devices_) {
    if (device->card == &card) {
      for (const Mdev& mdev : device->mdevs) {
        used.push_back(mdev.type);
      }
      if (device->assigned != nullptr) {
        used.push_back(device->assigned);
      }
    }
  }
  return used;
}

// Writes again what every parent of the card offers. A VF takes one instance; a PF as many as fit.
void Sysfs::count_instances(Card& card) {
  const auto used = used_types(card);
  for (const auto& [slot, device] : devices_) {
    if (device->card != &card) {
      continue;
    }
    Node* types = device->is_mdev_parent ? Tree::child(*device->directory, "mdev_supported_types") : nullptr;
    std::string creatable = "ID    : vGPU Name\n";
    for (const VgpuType& type : card.types) {
      unsigned left = room(type, used);
      if (device->physfn != nullptr) {
        left = !device->mdevs.empty() || device->assigned != nullptr ? 0 : (left > 0 ? 1 : 0);
      }
      if (left > 0) {
        creatable += format("%-5s : %s\n", type.id.c_str(), type.name.value_or("").c_str());
      }
      if (types != nullptr && device->driver != nullptr) {
        for (const auto& [name, directory] : types->children) {
          if (is_directory_of(name, type)) {
            set_text(*directory, "available_instances", std::to_string(left) + '\n');
          }
        }
      }
    }
    if (device->vendor_vfio != nullptr) {
      set_text(*device->vendor_vfio, "creatable_vgpu_types", creatable);
      set_text(*device->vendor_vfio, "current_vgpu_type", (device->assigned == nullptr ? "0" : device->assigned->id) + '\n');
    }
  }
}

void Sysfs::add_frameworks(Device& device) {
  if (device.card == nullptr || device.card->vgpu_driver != device.driver->name) {
    return;
  }
  Card& card = *device.card;
  const std::string base = Tree::path(*device.directory);
  if (card.framework == Framework::vendor_vfio && device.physfn != nullptr) {
    tree_.make_file(base + "/nvidia/creatable_vgpu_types", "", 0444);
    tree_.make_file(base + "/nvidia/current_vgpu_type", "0\n", 0644);
    tree_.make_file(base + "/nvidia/vgpu_params", "\n", 0644);
    device.vendor_vfio = Tree::child(*device.directory, "nvidia");
  } else if (card.framework == (device.physfn != nullptr ? Framework::mdev_on_vfs : Framework::mdev)) {
    device.is_mdev_parent = true;  // mdev_register_parent
    for (const VgpuType& type : card.types) {
      const std::string kind = base + "/mdev_supported_types/" + type_directory(type, device.driver->name);
      tree_.make_directory(kind + "/devices");
      tree_.make_file(kind + "/create", "", 0200);
      tree_.make_file(kind + "/available_instances", "0\n", 0444);
      tree_.make_file(kind + "/device_api", "vfio-pci\n", 0444);
      if (type.name) {
        tree_.make_file(kind + "/name", *type.name + '\n', 0444);
      }
      if (type.description) {
        tree_.make_file(kind + "/description", *type.description + '\n', 0444);
      }
    }
    tree_.make_link("class/mdev_bus/" + device.slot, *device.directory);
  } else {
    return;
  }
  count_instances(card);
}

// mdev_unregister_parent takes the instances along
void Sysfs::remove_frameworks(Device& device) {
  while (!device.mdevs.empty()) {
    remove_mdev(device, device.mdevs.begin());
  }
  device.assigned = nullptr;
  device.vendor_vfio = nullptr;
  tree_.remove_child(*device.directory, "nvidia");
  if (device.is_mdev_parent) {
    device.is_mdev_parent = false;
    tree_.remove_child(*device.directory, "mdev_supported_types");
    if (Node* parents = tree_.find("class/mdev_bus")) {
      tree_.remove_child(*parents, device.slot);
    }
  }
  if (device.card != nullptr) {
    count_instances(*device.card);
  }
}

// create_store, drivers/vfio/mdev/mdev_sysfs.c, and mdev_device_create, mdev_core.c
int Sysfs::create_mdev(Device& parent, const VgpuType& type, Node& kind, const std::string& text) {
  const auto uuid = parse_uuid(text);
  if (!uuid) {
    return EINVAL;
  }
  if (tree_.find("bus/mdev/devices/" + *uuid) != nullptr) {
    return EEXIST;
  }
  if (number_file(kind, "available_instances") == 0) {
    return parent.card->full_error;
  }
  Node& directory = tree_.make_directory(Tree::path(*parent.directory) + '/' + *uuid);
  tree_.make_file(directory, "remove", "", 0200);
  tree_.make_link(directory, "mdev_type", kind);
  tree_.make_link(directory, "subsystem", tree_.make_directory("bus/mdev"));
  tree_.make_link("bus/mdev/devices/" + *uuid, directory);
  tree_.make_link(tree_.make_directory(Tree::path(kind) + "/devices"), *uuid, directory);
  if (parent.vendor == 0x10de) {
    tree_.make_file(Tree::path(directory) + "/nvidia/vgpu_params", "\n", 0644);
    tree_.make_file(Tree::path(directory) + "/nvidia/vm_name", "", 0444);
  }
  join_group(directory, "", "unknown\n");  // a group without a domain, whether there is an IOMMU or not
  parent.mdevs.push_back({*uuid, &type, &directory});
  count_instances(*parent.card);
  return 0;
}

void Sysfs::remove_mdev(Device& parent, std::list<Mdev>::iterator mdev) {
  if (Node* kind = tree_.resolve(Tree::path(*mdev->directory) + "/mdev_type/devices")) {
    tree_.remove_child(*kind, mdev->uuid);
  }
  tree_.remove_child(tree_.make_directory("bus/mdev/devices"), mdev->uuid);
  leave_group(*mdev->directory);
  tree_.remove(*mdev->directory);
  parent.mdevs.erase(mdev);
  count_instances(*parent.card);
}

// current_vgpu_type of NVIDIA's driver from 17.0 on, kernels from 6.8
int Sysfs::store_vgpu_type(Device& device, const std::string& text) {
  const auto wanted = parse_number(text);
  if (!wanted || *wanted > std::numeric_limits<std::uint32_t>::max()) {
    return EINVAL;
  }
  if ((*wanted == 0) == (device.assigned == nullptr)) {
    return EPERM;  // delete without an instance, or create over one
  }
  const VgpuType* chosen = nullptr;
  if (*wanted != 0) {
    const auto used = used_types(*device.card);
    for (const VgpuType& type : device.card->types) {
      if (type.id == std::to_string(*wanted) && room(type, used) > 0) {
        chosen = &type;
      }
    }
    if (chosen == nullptr) {
      return EIO;  // the resource manager refuses; its errno is not known from any source
    }
  }
  device.assigned = chosen;
  count_instances(*device.card);
  return 0;
}

// --- Modules -----------------------------------------------------------------------------------------------------------------

void Sysfs::change_refcount(const std::string& module, int by) {
  if (Node* count = tree_.find("module/" + module + "/refcnt")) {
    count->data = std::to_string(std::strtol(count->data.c_str(), nullptr, 10) + by) + '\n';
  }
}

int Sysfs::load_module(const std::string& name, const std::string& parameters) {
  if (tree_.find("module/" + name + "/initstate") != nullptr) {
    return EEXIST;
  }
  const Module& module = modules_[name];
  const std::string base = "module/" + name;
  tree_.make_file(base + "/initstate", "live\n", 0444);
  tree_.make_file(base + "/refcnt", "0\n", 0444);
  if (!module.version.empty()) {
    tree_.make_file(base + "/version", module.version + '\n', 0444);
  }
  for (const auto& [key, value] : module.parameters) {
    tree_.make_file(base + "/parameters/" + key, value + '\n', 0444);
  }
  std::string ids;
  for (std::size_t at = 0; at < parameters.size();) {
    const auto end = std::min(parameters.find(' ', at), parameters.size());
    const std::string word = parameters.substr(at, end - at);
    const auto equals = word.find('=');
    const std::string key = word.substr(0, equals);
    const std::string value = equals == std::string::npos ? "Y" : word.substr(equals + 1);
    if (key == "rack.version") {  // of the file that was loaded, told by the supervisor
      tree_.make_file(base + "/version", value + '\n', 0444);
    }
    if (Node* known = tree_.find(base + "/parameters/" + key)) {  // an unknown one is ignored, with a line in the log
      known->data = value + '\n';
      ids = key == "ids" ? value : ids;
    }
    at = end + 1;
  }
  tree_.make_directory(base + "/holders");
  for (const std::string& needed : module.needs) {
    if (tree_.find("module/" + needed) != nullptr) {
      change_refcount(needed, 1);
      tree_.make_link("module/" + needed + "/holders/" + name, *tree_.find(base));
    }
  }
  for (auto& [driver_name, driver] : drivers_) {
    if (driver.module != name) {
      continue;
    }
    register_driver(driver);
    for (std::size_t at = 0; at < ids.size();) {  // vfio_pci_fill_ids
      const auto end = std::min(ids.find(',', at), ids.size());
      DeviceId id;
      if (parse_id(ids.substr(at, end - at), ':', id) >= 2) {
        driver.dynamic.push_back(id);
        attach_driver(driver);
      }
      at = end + 1;
    }
  }
  return 0;
}

// delete_module(2), kernel/module/main.c
int Sysfs::unload_module(const std::string& name) {
  Node* directory = tree_.find("module/" + name);
  if (directory == nullptr || Tree::child(*directory, "initstate") == nullptr) {
    return ENOENT;
  }
  if (number_file(*directory, "refcnt") != 0) {
    return EWOULDBLOCK;
  }
  for (auto& [driver_name, driver] : drivers_) {
    if (driver.module == name && driver.registered) {
      unregister_driver(driver);
    }
  }
  for (const std::string& needed : modules_[name].needs) {
    Node* holders = tree_.find("module/" + needed + "/holders");
    if (holders != nullptr && Tree::child(*holders, name) != nullptr) {
      change_refcount(needed, -1);
      tree_.remove_child(*holders, name);
    }
  }
  tree_.remove(*directory);
  return 0;
}

}  // namespace simfs
