// SPDX-License-Identifier: MIT
// Files whose words are carried out as root.
#pragma once

#include "common/host/host.hpp"

namespace pvegpu {

/// Error unless `path` is a file or a directory of root (or of who runs this) that nobody else may write, and no link.
Result<> trusted(const HostView& host, const std::string& path);

/// The same of a record and of each directory from `top` down to it. What is absent, or out of reach for who runs this, is
/// fine: it is not read either.
Result<> trusted_below(const HostView& host, const std::string& top, const std::string& path);

}  // namespace pvegpu
