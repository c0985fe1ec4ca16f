// SPDX-License-Identifier: MIT
// SHA-1, because Proxmox VE's digests of configuration files are it. For nothing that has to be secure.
#pragma once

#include <string>
#include <string_view>

namespace pvegpu::text {

/// Lower-case hex SHA-1 (FIPS 180-4) of the bytes.
std::string sha1_hex(std::string_view bytes);

}  // namespace pvegpu::text
