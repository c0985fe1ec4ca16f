// SPDX-License-Identifier: MIT
// Whose a file is.
#include "common/host/trust.hpp"

namespace pvegpu {

Result<> trusted(const HostView& host, const std::string& path) {
  const FileInfo info = PVEGPU_TRY(host.stat(path, Links::keep));
  std::string why;
  if (info.type != FileType::regular && info.type != FileType::directory)
    why = "is neither a file nor a directory but a link, a FIFO or the like";
  else if (info.uid != 0 && info.uid != host.effective_uid())
    why = fmt::format("belongs to the user with the id {}, not to root", info.uid);
  else if (info.mode & 022)
    why = fmt::format("can be written by others than its owner (mode {:04o})", info.mode);
  if (why.empty()) return {};
  return Error{fmt::format("{} {}, so it is not trusted; look at what it is, then move it away", path, why)};
}

Result<> trusted_below(const HostView& host, const std::string& top, const std::string& path) {
  if (path.size() > top.size()) PVEGPU_TRY(trusted_below(host, top, path.substr(0, path.rfind('/'))));
  auto checked = trusted(host, path);
  if (checked || checked.error().not_found() || checked.error().code == EACCES) return {};
  return checked;
}

}  // namespace pvegpu
