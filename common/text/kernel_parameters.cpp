// SPDX-License-Identifier: MIT
// Which rule a key goes by, and the rules.
#include "common/text/kernel_parameters.hpp"

#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::text {
namespace {

using Words = std::vector<KernelParameter>;

enum class Rule {
  last,     ///< the last one counts
  every,    ///< each counts by itself
  options,  ///< a list of options; those of all words add up, and some cancel others
  set,      ///< a list of things; the last word counts
  sets,     ///< a list of things; those of all words add up
};

struct Row {
  std::string_view key;
  Rule rule;
};
constexpr Row table[] = {
    {"intel_iommu", Rule::options},      // drivers/iommu/intel/iommu.c: intel_iommu_setup
    {"amd_iommu", Rule::options},        // drivers/iommu/amd/init.c: parse_amd_iommu_options
    {"iommu", Rule::options},            // arch/x86/kernel/pci-dma.c: iommu_setup
    {"intremap", Rule::options},         // drivers/iommu/irq_remapping.c: setup_irqremap
    {"pci", Rule::options},              // drivers/pci/pci.c: pci_setup
    {"module_blacklist", Rule::set},     // kernel/module/main.c: a core_param, the last one counts
    {"vfio-pci.ids", Rule::set},         // drivers/vfio/pci/vfio_pci.c: module_param_string
    {"initcall_blacklist", Rule::sets},  // init/main.c
    {"modprobe.blacklist", Rule::sets},  // kmod: libkmod-config.c
    {"console", Rule::every},
    {"earlycon", Rule::every},
    {"video", Rule::every},       // drivers/video/cmdline.c: by connector
    {"memmap", Rule::every},      // arch/x86/kernel/e820.c
    {"hugepagesz", Rule::every},  // mm/hugetlb.c; see against()
    {"dyndbg", Rule::every},
    {"netconsole", Rule::every},
    {"acpi_osi", Rule::every},
    {"systemd.mask", Rule::every},
    {"systemd.wants", Rule::every},
    {"systemd.setenv", Rule::every},
};

Rule rule_of(std::string_view key) {
  for (const Row& row : table)
    if (same_key(row.key, key)) return row.rule;
  return key.starts_with("rd.") ? Rule::every : Rule::last;  // dracut's
}

/// Lists whose items can be taken out one by one: of the others somebody relies on the whole.
bool adds_up(Rule rule) { return rule == Rule::options || rule == Rule::sets; }

std::vector<std::string> items(const KernelParameter& p) { return split(p.value.value_or(""), ','); }

bool has(const std::vector<std::string>& all, const std::string& one) { return std::find(all.begin(), all.end(), one) != all.end(); }

bool all_in(const std::vector<std::string>& some, const std::vector<std::string>& all) {
  return std::all_of(some.begin(), some.end(), [&](const std::string& one) { return has(all, one); });
}

KernelParameter with_items(const KernelParameter& p, const std::vector<std::string>& list) {
  KernelParameter out = p;
  out.value.reset();
  for (const std::string& item : list) out.value = out.value ? *out.value + "," + item : item;
  return out;
}

/// hugepages without hugepagesz= counts pages of the default size: default_hugepagesz=, else 2M on x86.
std::string size_of(const KernelParameter& p, const Words& all) {
  if (p.key != "hugepages" || !p.size.empty()) return p.size;
  for (const KernelParameter& each : all)
    if (each.key == "default_hugepagesz") return each.value.value_or("");
  return "2M";
}

bool same_subject(const KernelParameter& a, const KernelParameter& b, const Words& all) {
  return same_key(a.key, b.key) && same_size(size_of(a, all), size_of(b, all));
}

bool same_value(const KernelParameter& a, const KernelParameter& b) {
  return a.value == b.value || (a.value && b.value && same_key(a.key, "hugepagesz") && same_size(*a.value, *b.value));
}

/// "x" and "nox", "x_on" and "x_off", "a=1" and "a=2".
bool opposite(const std::string& a, const std::string& b) {
  if (a == "no" + b || b == "no" + a) return true;
  const auto stem = [](const std::string& option) {
    for (const std::string_view end : {"_on", "_off"})
      if (option.ends_with(end)) return option.substr(0, option.size() - end.size());
    return option.find('=') != option.npos ? option.substr(0, option.find('=') + 1) : std::string();
  };
  return a != b && !stem(a).empty() && stem(a) == stem(b);
}

/// Whether the option `later` takes back `earlier`. Only Intel's "off" can be taken back by "on".
bool cancels(std::string_view key, const std::string& later, const std::string& earlier) {
  if (opposite(later, earlier)) return true;
  return (later == "on" && earlier == "off" && same_key(key, "intel_iommu")) || (later == "off" && earlier == "on") ||
         (same_key(key, "intremap") && later == "on" && earlier == "off");
}

/// Whether who wishes `wished` can't have `other`: what is off has no other properties.
bool contradicts(const std::string& other, const std::string& wished) {
  return other != wished && (opposite(other, wished) || other == "off" || wished == "off");
}

/// Whether nothing in `all` takes back the option `item` of word number `at`.
bool stands(const Words& all, std::size_t at, const std::string& item) {
  bool after = false;  // behind the item in its own word
  for (std::size_t i = at; i < all.size(); ++i)
    if (same_key(all[i].key, all[at].key))
      for (const std::string& each : items(all[i])) {
        if ((after || i > at) && cancels(all[at].key, each, item)) return false;
        after = after || each == item;
      }
  return true;
}

/// The number of the last word about the same thing; all.size(): none.
std::size_t last_about(const Words& all, const KernelParameter& wish) {
  for (std::size_t i = all.size(); i-- > 0;)
    if (same_subject(all[i], wish, all)) return i;
  return all.size();
}

void add(Words& out, const KernelParameter& word) {
  if (std::find(out.begin(), out.end(), word) == out.end()) out.push_back(word);
}

}  // namespace

bool in_force(const Words& all, const KernelParameter& wish) {
  const std::size_t last = last_about(all, wish);
  if (last == all.size()) return false;
  const auto wanted = items(wish);
  switch (wish.value ? rule_of(wish.key) : Rule::last) {
    case Rule::last:
      return same_value(all[last], wish);
    case Rule::every:
      return std::any_of(all.begin(), all.end(),
                         [&](const KernelParameter& p) { return same_subject(p, wish, all) && same_value(p, wish); });
    case Rule::set:
      return all_in(wanted, items(all[last]));
    case Rule::options:
    case Rule::sets:
      return std::all_of(wanted.begin(), wanted.end(), [&](const std::string& item) {
        for (std::size_t i = 0; i < all.size(); ++i)
          if (same_key(all[i].key, wish.key) && has(items(all[i]), item) && stands(all, i, item)) return true;
        return false;
      });
  }
  return false;
}

Words against(const Words& all, const KernelParameter& wish) {
  Words out;
  const Rule rule = rule_of(wish.key);
  const std::size_t last = last_about(all, wish);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const KernelParameter& p = all[i];
    if (!same_subject(p, wish, all) || same_value(p, wish)) continue;
    const auto theirs = items(p), wanted = items(wish);
    bool other = false;
    if (rule == Rule::last) other = i == last;
    if (rule == Rule::set) other = i == last && !all_in(wanted, theirs) && !all_in(theirs, wanted);
    if (rule == Rule::options)
      for (const std::string& item : theirs)
        other = other || (stands(all, i, item) &&
                          std::any_of(wanted.begin(), wanted.end(), [&](const std::string& w) { return contradicts(item, w); }));
    if (other) add(out, p);
  }
  // The kernel takes a hugepagesz= once: a pair with another count, or with none, goes as a whole.
  if (wish.key == "hugepages" && !wish.size.empty() && !in_force(all, wish))
    for (const KernelParameter& p : all)
      if (p.key == "hugepagesz" && same_size(p.value.value_or(""), wish.size)) add(out, p);
  return out;
}

Words saying(const Words& all, const KernelParameter& unwanted) {
  Words out;
  const Rule rule = rule_of(unwanted.key);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!same_subject(all[i], unwanted, all)) continue;
    bool says = same_value(all[i], unwanted) && (rule != Rule::last || i == last_about(all, unwanted));
    if (adds_up(rule) && unwanted.value) {
      const auto theirs = items(all[i]), unloved = items(unwanted);
      says =
          std::any_of(unloved.begin(), unloved.end(), [&](const std::string& item) { return has(theirs, item) && stands(all, i, item); });
    }
    if (says) add(out, all[i]);
  }
  return out;
}

std::optional<KernelParameter> reconciled(const KernelParameter& word, const KernelParameter& wish) {
  if (rule_of(wish.key) != Rule::options || !word.value) return std::nullopt;
  auto left = items(word);
  const auto wanted = items(wish);
  std::erase_if(left, [&](const std::string& item) {
    return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& w) { return contradicts(item, w); });
  });
  return left.empty() ? std::nullopt : std::optional<KernelParameter>(with_items(word, left));
}

std::optional<KernelParameter> without(const KernelParameter& word, const KernelParameter& unwanted) {
  if (word == unwanted) return std::nullopt;
  if (!same_key(word.key, unwanted.key) || !adds_up(rule_of(word.key)) || !word.value || !unwanted.value) return word;
  const auto drop = items(unwanted);
  auto left = items(word);
  std::erase_if(left, [&](const std::string& item) { return has(drop, item); });
  return left.empty() ? std::nullopt : std::optional<KernelParameter>(with_items(word, left));
}

bool mounts_root(const KernelParameter& parameter) {
  // admin-guide/kernel-parameters.txt, nfsroot.rst; initramfs-tools(7); cryptsetup's README.initramfs; zfs-initramfs; dracut.cmdline(7)
  for (const std::string_view key : {"root", "rootflags", "rootfstype", "rootdelay", "rootwait", "boot", "bootfs", "ip", "nfsroot",
                                     "nfsaddrs", "nbdroot", "cryptdevice", "cryptopts", "cryptkey", "zfs"})
    if (same_key(parameter.key, key)) return true;
  return parameter.key.starts_with("rd.") && !parameter.key.starts_with("rd.driver.");
}

}  // namespace pvegpu::text
