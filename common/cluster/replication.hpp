// SPDX-License-Identifier: MIT
// Storage replication of this node's guests: which jobs there are and which run now.
#pragma once

#include "common/base/reply.hpp"
#include "common/host/reader.hpp"

namespace pvegpu::cluster {

struct ReplicationJob {
  std::string id;  ///< "100-0"
  std::int64_t guest = 0;
  std::string target;
  bool disabled = false;
  bool running = false;
  std::int64_t last_sync = 0;  ///< seconds since 1970, 0: never
  std::int64_t failures = 0;   ///< in a row
  std::string error;           ///< of the last one

  static void fields(Reply<ReplicationJob>& out);
};

/// By id. `guests`: the VMIDs of this node.
std::vector<ReplicationJob> read_replication(Reader& reader, const std::vector<std::int64_t>& guests);

}  // namespace pvegpu::cluster
