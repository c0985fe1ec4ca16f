# SPDX-License-Identifier: MIT
# cmake -C cmake/portable.cmake: the executable that travels. Built in a Debian 11 root (CMake 3.18 has no presets), so that it
# starts on Proxmox VE 7, 8 and 9; libstdc++ and libgcc inside, libc, libpci and libkmod from the host.
set(CMAKE_BUILD_TYPE MinSizeRel CACHE STRING "")
set(BUILD_TESTING OFF CACHE BOOL "")
set(PVE_GPU_STATIC_RUNTIME ON CACHE BOOL "")
set(PVE_GPU_DOCUMENTATION OFF CACHE BOOL "")  # ansible-doc is told what pve-gpu-documented holds
set(PVE_GPU_WERROR ON CACHE BOOL "")
# Its size is what a warm task waits for, since its SHA-256 is checked each time. Optimised as a whole it is 10 % smaller; gold puts
# functions whose code is the same together: 3 %.
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON CACHE BOOL "")
# One thread needs no locks around what is made at its first use.
set(CMAKE_CXX_FLAGS "-fno-threadsafe-statics" CACHE STRING "")
set(CMAKE_EXE_LINKER_FLAGS "-s -fuse-ld=gold -Wl,--icf=safe" CACHE STRING "")
