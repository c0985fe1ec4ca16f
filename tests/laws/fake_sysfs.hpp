// SPDX-License-Identifier: MIT
// How drivers take and leave PCI functions, on the host in memory: driver_override, unbind, drivers_probe. What the kernel does is in
// tests/rack/simfs/sysfs.cpp, which is compared with a real one; this is as much of it as planners see.
#pragma once

#include "tests/laws/fake_host.hpp"

namespace pvegpu {

/// The drivers that are there know the functions that they have now, and vfio-pci those of the IOMMU that are its by driver_override.
void model_driver_binding(FakeHost& host);

}  // namespace pvegpu
