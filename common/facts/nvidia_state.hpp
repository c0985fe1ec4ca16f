// SPDX-License-Identifier: MIT
// The state of a card as NVIDIA's driver shows it, and of the kernel modules that are installed. Facts only; what is unset is unknown, and
// the reader, or `unknown`, has the reason.
#pragma once

#include "common/facts/card_state.hpp"

namespace pvegpu::gpu {

/// What /proc/driver/nvidia tells of a card that the driver has.
struct NvidiaState {
  std::optional<bool> initialised;  ///< the GPU has answered the driver; false also of a GPU that no program has opened yet
  Evidence information;             ///< the line that says so
  std::optional<unsigned> minor;    ///< "Device Minor"
  /// MIG: GPU instances, by their numbers. That there are none does not say whether MIG mode is on.
  std::optional<std::vector<unsigned>> gpu_instances;
  Evidence capabilities;  ///< the directory of the GPU instances, and what is in it
};
NvidiaState read_nvidia_state(Reader& reader, const Gpu& gpu);

/// A mode of a GPU that no file shows. `unknown`: why nobody knows, when it is unset.
struct NvidiaMode {
  std::optional<bool> on;
  std::string pending;  ///< "Enabled" or "Disabled" when a reset or reboot changes it
  Evidence evidence = {};
  std::string unknown = {};
};
struct NvidiaModes {
  NvidiaMode mig;
  NvidiaMode mixed_size;  ///< "heterogeneous": vGPUs of several sizes beside each other
};
/// Asks nvidia-smi, which takes a second on large hosts: for `diagnose` only. It is asked of cards that the driver has.
NvidiaModes ask_nvidia_modes(const HostView& host, const Gpu& gpu);
/// The answer of `nvidia-smi -q -i ADDRESS`.
NvidiaModes parse_nvidia_modes(std::string_view answer, const std::string& address);
/// What the types that can be made now prove about mixed-size mode: another size beside a running vGPU is on. No proof: unset.
NvidiaMode mixed_size_by_types(const Gpu& gpu);

/// One VF as it is now, whatever the others are.
struct VfState {
  std::string address;
  std::optional<std::string> driver;
  bool nvidia_directory = false;         ///< the driver offers vGPUs on it (vendor VFIO)
  bool mdev_directory = false;           ///< the same as mediated devices
  std::optional<std::size_t> creatable;  ///< vendor VFIO: how many types can be made on it now
  Evidence evidence = {};                ///< the directory, its driver and what is missing or listed there
};
/// Three questions and a file for each VF.
std::vector<VfState> read_vf_states(Reader& reader, const Gpu& gpu);

/// A kernel module of NVIDIA's driver as it is installed for one kernel.
struct NvidiaModule {
  bool available = false, loaded = false;
  std::string version, license;
  std::optional<bool> open;  ///< the open flavour; unset: its licence does not say
  Evidence evidence = {};    ///< its file and its licence
};
struct NvidiaModules {
  NvidiaModule nvidia, vgpu_vfio;
};
/// What is installed for `kernel`, which may be another flavour than what runs (NvidiaDriver::open_modules).
NvidiaModules read_nvidia_modules(Reader& reader, const std::string& kernel);
/// nullopt for a licence that is neither flavour's.
std::optional<bool> is_open_license(std::string_view license);

}  // namespace pvegpu::gpu
