#!/usr/bin/python
# SPDX-License-Identifier: MIT
# Documentation of pve.gpu.host_info: the module itself is compiled. Written by `./dev docs` from modules/host_info.cpp; do not edit.
from __future__ import (absolute_import, division, print_function)
__metaclass__ = type

DOCUMENTATION = r'''
---
module: host_info
short_description: GPUs of a Proxmox VE host and what they can be used for
version_added: 0.1.0
description:
  - 'Returns one document about the host and each of its GPUs: ids, board, driver, IOMMU group, virtual functions, vGPU
    types, guests that use it, which of seven ways of giving it to guests are possible and ready, and what each of them
    still lacks.'
  - It also says what a desktop broker can assign, and which of six hardware forms the host looks like.
  - What can't be read, for example without root, is C(null) and is listed with the reason in C(unreadable). The task
    does not fail for that, nor for a host without a GPU.
author:
  - the pve.gpu authors (@pve-gpu)
options:
  record:
    description:
      - 'Also writes a recording of this host there, a file on the host: what it answers to the questions of every module,
        for bug reports. Names of hosts, guests and users, addresses, UUIDs and serial numbers are masked, secrets are
        left out; C(zcat) shows it. The file is new each time, which counts as a change.'
    type: str
attributes:
  check_mode:
    support: full
    description: 'Can run in check mode: it plans and changes nothing.'
  diff_mode:
    support: none
    description: It changes nothing, so there is no difference to show.
  platform:
    support: full
    description: Proxmox VE 7, 8 and 9.
    platforms: debian
notes:
  - Without root the guests' configurations can't be read, so C(gpus[].used_by) is C(null).
  - 'It is a native executable: the host needs no Python, only libpci and libkmod, which every Proxmox VE host has.'
'''

EXAMPLES = r'''
---
- name: What GPUs are there, and what are they ready for
  pve.gpu.host_info:
  register: info

- name: Record the host for a bug report
  pve.gpu.host_info:
    record: /root/recording.json.gz

- name: Show what each vGPU board lacks
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.technologies.nvidia_vendor_vfio.missing }}"
  loop: "{{ info.gpus }}"
  when: item.technologies.nvidia_vendor_vfio.possible
'''

RETURN = r'''
---
host:
  description: The host.
  returned: always
  type: dict
  contains:
    node:
      description: Name of the node, C(null) when nothing says it.
      type: str
      sample: pve1
    cluster:
      description: Name of the Proxmox VE cluster, C(null) for a node alone.
      type: str
    pve:
      description: Proxmox VE, both C(null) where it is not installed.
      type: dict
      contains:
        version:
          description: Version of pve-manager.
          type: str
          sample: 8.4.1
        release:
          description: Its first number.
          type: int
          sample: 8
    kernel:
      description: The running kernel.
      type: dict
      contains:
        release:
          description: As C(uname -r) says.
          type: str
          sample: 6.8.12-4-pve
        cmdline:
          description: Its command line.
          type: str
        secure_boot:
          description: Whether Secure Boot is on.
          type: bool
        lockdown:
          description: C(none), C(integrity) or C(confidentiality).
          type: str
    loader:
      description: The boot loader.
      type: dict
      contains:
        kind:
          description: C(grub), C(grub-pbt) (GRUB on the partitions of proxmox-boot-tool), C(systemd-boot) or C(unknown).
          type: str
          sample: grub
        firmware:
          description: C(efi) or C(bios).
          type: str
        proxmox_boot_tool:
          description: Whether proxmox-boot-tool manages the EFI system partitions.
          type: bool
        evidence:
          description: What says so.
          type: list
          elements: str
    cpu:
      description: The processor.
      type: dict
      contains:
        vendor:
          description: C(GenuineIntel) or C(AuthenticAMD).
          type: str
        model:
          description: Its name.
          type: str
    machine:
      description: The machine as its firmware names it (DMI).
      type: dict
      contains:
        vendor:
          description: The vendor.
          type: str
        product:
          description: The model.
          type: str
        chassis_type:
          description: Type of the chassis by SMBIOS, for example 23 for a rack mount chassis.
          type: int
    iommu:
      description: The IOMMU.
      type: dict
      contains:
        active:
          description: Whether it is on, as Proxmox VE judges it before it passes a device through.
          type: bool
        groups:
          description: How many IOMMU groups there are.
          type: int
        evidence:
          description: What was found.
          type: list
          elements: str
        cause:
          description: When it is off, why and what to do.
          type: str
    drivers:
      description: Kernel drivers of GPUs.
      type: dict
      contains:
        nvidia:
          description: NVIDIA's driver. C(host.drivers.nvidia.branch) is the vGPU software branch, C(host.drivers.nvidia.release)
            the release as far as the catalogue knows the version, C(host.drivers.nvidia.host_vgpu) whether it is a vGPU
            host driver, C(host.drivers.nvidia.installed_version) what is installed for the running kernel when nothing
            is loaded.
          type: dict
          sample:
            loaded: true
            version: 550.144.02
            branch: 17
            release: '17.5'
            host_vgpu: true
            open_modules: false
            installed_version: null
        i915:
          description: Intel's driver i915. C(host.drivers.i915.max_vfs) is C(null) for a driver that can't make virtual
            functions.
          type: dict
          sample:
            loaded: true
            version: null
            max_vfs: 7
            enable_gvt: null
        xe:
          description: Intel's driver xe, likewise.
          type: dict
        others:
          description: Which of amdgpu, gim, kvmgt, nouveau and vfio_pci are loaded.
          type: list
          elements: str
    vgpu_unlock:
      description: Whether there are traces of vgpu_unlock, which is not supported.
      type: dict
      contains:
        present:
          description: Whether there are any.
          type: bool
        traces:
          description: Their paths.
          type: list
          elements: str
        supported:
          description: Always C(false).
          type: bool
gpus:
  description: The GPUs by address. Virtual functions and the audio and USB functions of a card are not GPUs of their
    own.
  returned: always
  type: list
  elements: dict
  contains:
    address:
      description: PCI address, with its domain.
      type: str
      sample: '0000:41:00.0'
    kind:
      description: C(gpu), C(accelerator), C(management_display) (the console of a server's management controller) or
        C(virtual_display).
      type: str
    vendor_id:
      description: Four hexadecimal digits, as the other ids.
      type: str
      sample: 10de
    device_id:
      description: The device.
      type: str
      sample: '2235'
    subsystem_vendor_id:
      description: The vendor of the board, which may be a maker of servers.
      type: str
      sample: 10de
    subsystem_device_id:
      description: The board.
      type: str
      sample: 145a
    name:
      description: Its name in the catalogue, else in pci.ids.
      type: str
      sample: A40
    board:
      description: The board in the catalogue, C(null) when it is not there or not certain.
      type: str
      sample: A40
    possible_boards:
      description: The boards that its ids fit, when these are several.
      type: list
      elements: str
    vgpu_class:
      description: 1 for a classic NVIDIA vGPU board without SR-IOV, 2 for a data-centre board with SR-IOV, 3 for a workstation
        board with SR-IOV whose display outputs must be switched off, else C(null).
      type: int
      sample: 2
    pci_class:
      description: C(0300) VGA, C(0302) 3D, C(0380) display, C(1200) processing accelerator.
      type: str
      sample: '0302'
    driver:
      description: The driver that has it.
      type: str
      sample: nvidia
    driver_override:
      description: The only driver that may have it.
      type: str
    boot_vga:
      description: Whether it is the boot display.
      type: bool
    displays:
      description: Its display connectors, C(null) when its driver shows none.
      type: list
      elements: dict
      contains:
        connector:
          description: Name of the connector.
          type: str
          sample: DP-1
        status:
          description: C(connected), C(disconnected) or C(unknown).
          type: str
    numa_node:
      description: The NUMA node.
      type: int
    iommu_group:
      description: The IOMMU group.
      type: int
    iommu_siblings:
      description: The other members of its IOMMU group.
      type: list
      elements: dict
      contains:
        address:
          description: PCI address.
          type: str
        vendor_id:
          description: Vendor.
          type: str
        device_id:
          description: Device.
          type: str
        pci_class:
          description: Class and subclass.
          type: str
        driver:
          description: The driver that has it.
          type: str
        same_card:
          description: Whether it is a function of the same card.
          type: bool
        bridge:
          description: Whether it is a bridge, which stays with the host.
          type: bool
        needed:
          description: What the host needs it for, so that it can't go to a guest along with the GPU.
          returned: when the host uses it
          type: str
    functions:
      description: The other functions of the card, such as audio.
      type: list
      elements: dict
      contains:
        address:
          description: PCI address.
          type: str
        vendor_id:
          description: Vendor.
          type: str
        device_id:
          description: Device.
          type: str
        pci_class:
          description: Class and subclass.
          type: str
        driver:
          description: The driver that has it.
          type: str
        same_card:
          description: Whether it is a function of the same card.
          type: bool
        bridge:
          description: Whether it is a bridge, which stays with the host.
          type: bool
        needed:
          description: What the host needs it for, so that it can't go to a guest along with the GPU.
          returned: when the host uses it
          type: str
    sriov:
      description: Virtual functions.
      type: dict
      contains:
        capable:
          description: Whether it shows an SR-IOV capability. A Tesla T4 may, and has its vGPUs on the card itself all
            the same.
          type: bool
        total:
          description: How many are possible.
          type: int
        enabled:
          description: How many are enabled.
          type: int
        vf_ids:
          description: The ids of its virtual functions, null without any. A resource mapping has to name them.
          type: dict
          contains:
            vendor_id:
              description: PCI vendor, four hexadecimal digits.
              type: str
            device_id:
              description: PCI device.
              type: str
            subsystem_vendor_id:
              description: PCI vendor of the subsystem.
              type: str
            subsystem_device_id:
              description: PCI device of the subsystem.
              type: str
        vfs:
          description: Those that are there.
          type: list
          elements: dict
          contains:
            address:
              description: PCI address.
              type: str
            driver:
              description: The driver that has it.
              type: str
            iommu_group:
              description: The IOMMU group.
              type: int
            mdevs:
              description: UUIDs of mediated devices on it.
              type: list
              elements: str
            vgpu_type:
              description: Name of the vGPU type that is set on it.
              type: str
            held:
              description: Whether a running guest has it.
              type: bool
    framework:
      description: How the driver offers vGPUs, C(none), C(mdev) (on the card), C(mdev_on_vfs) or C(vendor_vfio).
      type: str
      sample: vendor_vfio
    vgpu_types:
      description: The vGPU types that it offers.
      type: list
      elements: dict
      contains:
        id:
          description: As a guest's C(mdev=) takes it. It may change with the driver, the name does not.
          type: str
          sample: nvidia-562
        name:
          description: The name.
          type: str
          sample: NVIDIA A40-8Q
        framebuffer_mb:
          description: Memory that an instance takes; of GVT-g its high graphics memory.
          type: int
        max_instances:
          description: How many fit on the GPU when all are of this type.
          type: int
        available:
          description: How many more can be made now.
          type: int
        listed:
          description: Whether the driver lists it now. With vendor VFIO it hides what does not fit beside what runs.
          type: bool
    mdevs:
      description: Mediated devices on it and on its virtual functions.
      type: list
      elements: dict
      contains:
        uuid:
          description: The UUID.
          type: str
        parent:
          description: Address of the function it is on.
          type: str
        vgpu_type:
          description: Name of its type.
          type: str
        vmid:
          description: The guest that Proxmox VE named it after.
          type: int
    vgpu_unlocked:
      description: Whether it offers another board's types, which vgpu_unlock does and which is not supported.
      type: bool
    technologies:
      description: For C(passthrough), C(nvidia_mdev), C(nvidia_sriov_mdev), C(nvidia_vendor_vfio), C(intel_sriov), C(intel_gvtg)
        and C(amd_mxgpu) whether it is C(possible) with this board, kernel and release, whether it is C(ready), and as
        sentences what is C(missing), or why it is not possible.
      type: dict
      sample:
        passthrough:
          possible: true
          ready: false
          missing:
            - it is the boot display
    used_by:
      description: Guests of this node that use it or may, C(null) when their configurations can't be read.
      type: list
      elements: dict
      contains:
        vmid:
          description: The guest.
          type: int
        name:
          description: Its name.
          type: str
        via:
          description: The property of its configuration, C(null) when only its running state shows the use.
          type: str
          sample: hostpci0
        mapping:
          description: The resource mapping that it names.
          type: str
        address:
          description: The function that it has or will have, C(null) while a mapping leaves that open.
          type: str
        vgpu_type:
          description: Name of the vGPU type.
          type: str
        running:
          description: Whether it runs and has it.
          type: bool
    problems:
      description: What is wrong with the card or its driver, as sentences.
      type: list
      elements: str
    slot_neighbours:
      description: Functions of the same slot that are no part of the card, as in the slot of a processor's graphics.
      returned: when there are any
      type: list
      elements: dict
      contains:
        address:
          description: PCI address.
          type: str
        vendor_id:
          description: Vendor.
          type: str
        device_id:
          description: Device.
          type: str
        pci_class:
          description: Class and subclass.
          type: str
        driver:
          description: The driver that has it.
          type: str
        same_card:
          description: Whether it is a function of the same card.
          type: bool
        bridge:
          description: Whether it is a bridge, which stays with the host.
          type: bool
        needed:
          description: What the host needs it for, so that it can't go to a guest along with the GPU.
          returned: when the host uses it
          type: str
resources:
  description: What a desktop broker can assign, a line for each model and type and for each resource mapping of this
    node.
  returned: always
  type: list
  elements: dict
  contains:
    source:
      description: The GPU model, or C(mapping NAME).
      type: str
      sample: mapping TeslaP4
    mapping:
      description: The resource mapping, C(null) for a line by type.
      type: str
    gpu_model:
      description: The GPU model.
      type: str
      sample: Tesla P4
    vgpu_type:
      description: The vGPU type, C(Intel-vGPU) or C(GPU Passthrough).
      type: str
      sample: GRID P4-1Q
    count:
      description: How many desktops it serves when nothing else runs on its GPUs.
      type: int
    free:
      description: How many of these it serves now.
      type: int
    broker_visible_by_type:
      description: Whether the broker finds it by its type, which it does where C(mdevctl types) lists it.
      type: bool
    assignable:
      description: Whether it can be assigned as it stands.
      type: bool
    reason:
      description: Why it can't.
      type: str
    text:
      description: The line as the broker writes it.
      type: str
      sample: mapping TeslaP4 → pool TeslaP4 → GRID P4-1Q
form:
  description: The hardware form that the host looks like.
  returned: always
  type: dict
  contains:
    letter:
      description: C(A) to C(F), C(null) when none fits.
      type: str
      sample: A
    name:
      description: C(server_vgpu), C(server_passthrough), C(pc_farm), C(pc_igpu), C(workstation_passthrough) or C(workstation_vgpu).
      type: str
    reasons:
      description: Why.
      type: list
      elements: str
unreadable:
  description: What could not be read. The facts that depend on it are C(null) or incomplete.
  returned: always
  type: list
  elements: dict
  contains:
    path:
      description: The file or directory.
      type: str
    what:
      description: What it would have told.
      type: str
    why:
      description: The error.
      type: str
notes:
  description: What else is worth knowing, for example a device that vanished while it was looked at.
  returned: always
  type: list
  elements: str
msg:
  description: What went wrong, where, and what to do next.
  returned: on failure
  type: str
invocation:
  description: The parameters that the task ran with, defaults included, secrets masked.
  returned: always
  type: dict
'''
