// SPDX-License-Identifier: MIT
// SHA-1: Proxmox VE's digests of configuration files. For nothing else.
#pragma once

#include <string>
#include <string_view>

namespace pvegpu::text {

/// Lower-case hex SHA-1 (FIPS 180-4) of the bytes, as `sha1sum` prints it.
std::string sha1_hex(std::string_view bytes);

}  // namespace pvegpu::text
