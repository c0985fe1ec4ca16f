// SPDX-License-Identifier: MIT
// What a command line comes to: how parameters of one key compare, add up and override each other. Sources: the kernel's
// admin-guide/kernel-parameters.txt and the __setup functions that are named in the table.
#pragma once

#include "common/text/kernel_cmdline.hpp"

namespace pvegpu::text {

/// The kernel that gets `all` does what `wish` says: a word that a later one overrides does not count, a list that has more does.
bool in_force(const std::vector<KernelParameter>& all, const KernelParameter& wish);

/// The words of `all` that are in force and say otherwise than `wish`.
std::vector<KernelParameter> against(const std::vector<KernelParameter>& all, const KernelParameter& wish);

/// The words of `all` that are in force and say `unwanted`, in a list with others too.
std::vector<KernelParameter> saying(const std::vector<KernelParameter>& all, const KernelParameter& unwanted);

/// `word` without what contradicts `wish`: intel_iommu=off,relax_rmrr for intel_iommu=on is intel_iommu=relax_rmrr. nullopt: nothing is
/// left.
std::optional<KernelParameter> reconciled(const KernelParameter& word, const KernelParameter& wish);
/// `word` without what it has of `unwanted`. nullopt: nothing is left.
std::optional<KernelParameter> without(const KernelParameter& word, const KernelParameter& unwanted);

/// Whether it says what the root file system is and how it is reached (kernel, initramfs-tools, cryptsetup, dracut).
bool mounts_root(const KernelParameter& parameter);

}  // namespace pvegpu::text
