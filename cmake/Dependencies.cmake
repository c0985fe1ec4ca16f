# SPDX-License-Identifier: MIT
# nlohmann/json: the wire is JSON.  fmt: messages (std::format needs g++ 13).  libpci: PCI functions and their names.
# libkmod: what a kernel release's modules are.  zlib: recordings are gzip files, which every machine can look into; libpci needs it
# anyway (and libpci-dev its headers), so that it costs neither a package nor a start.  The first two are header-only here, the others
# are on every Proxmox host.
find_package(nlohmann_json 3.9 REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(libpci REQUIRED IMPORTED_TARGET libpci)
pkg_check_modules(libkmod REQUIRED IMPORTED_TARGET libkmod)
find_package(ZLIB REQUIRED)
find_path(FMT_INCLUDE_DIR fmt/format.h REQUIRED)
