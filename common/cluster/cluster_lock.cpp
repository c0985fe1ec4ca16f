// SPDX-License-Identifier: MIT
// Writing to /etc/pve.
#include "common/cluster/cluster_lock.hpp"

#include "common/host/json_file.hpp"
#include "common/base/strings.hpp"

namespace pvegpu::cluster {
namespace {

using namespace std::chrono_literals;

constexpr const char* local_link = "/etc/pve/local";

/// Spreads what differs between nodes and moments over all bits (FNV-1a): no secret depends on it.
std::uint32_t scatter(const std::string& text) {
  std::uint32_t out = 2166136261U;
  for (const char c : text) out = (out ^ static_cast<unsigned char>(c)) * 16777619U;
  return out ^ out >> 15;
}

}  // namespace

Result<std::string> writable_pmxcfs(const HostView& host) {
  // Without pmxcfs /etc/pve is an ordinary directory: what is written there is hidden when it comes back.
  const auto link = host.read_link(local_link);
  if (!link)
    return Error{
        "the cluster file system is not mounted on /etc/pve; start it: systemctl start pve-cluster, and see its journal for why it "
        "is down"};
  Reader reader(host);
  const json members = read_json_object(reader, "/etc/pve/.members", "members of the cluster");
  const auto quorate = number_member(member(members, "cluster"), "quorate");
  const auto info = host.stat(local_link, Links::keep);
  // Without quorum pmxcfs takes the write bits away, from this link too: that is what Proxmox VE looks at (PVE::Cluster::check_cfs_quorum).
  if (quorate.value_or(1) != 1 || (info && (info->mode & 0200U) == 0))
    return Error{"the cluster has no quorum, so /etc/pve is read-only; bring the missing nodes back (pvecm status), then run again"};
  return last_part(*link);
}

void pause_about(Host& host, std::chrono::milliseconds least, int attempt) {
  const auto moment = host.now().time_since_epoch().count();
  const std::uint32_t spread = scatter(fmt::format("{} {} {}", host.read_link(local_link).value_or(""), moment, attempt));
  host.pause(least + std::chrono::milliseconds(spread % static_cast<std::uint32_t>(least.count() + 1)));
}

Result<> with_cluster_lock(Host& host, const std::string& name, std::chrono::seconds patience, const std::function<Result<>()>& work) {
  const std::string path = "/etc/pve/priv/lock/" + name;
  const auto began = host.now();
  auto asked = began;
  for (int attempt = 0;; ++attempt) {
    const Result<> made = host.make_dir(path, 0755);
    if (made) break;
    if (made.error().code == EACCES || made.error().code == EROFS)
      return Error{fmt::format("{}; the cluster lost its quorum meanwhile, see: pvecm status", made.error().message)};
    if (made.error().code != EEXIST) return made.error();
    const auto now = host.now();
    if (now - began >= patience)
      return Error{fmt::format("others have held the lock {} for {} s; run again, and if nothing on any node works on mappings: rmdir {}",
                               path, patience.count(), path)};
    if (now - asked >= 1s) {
      asked = now;
      (void)host.touch(path, {});  // refused while the lock is young
    }
    pause_about(host, 100ms, attempt);
  }
  const Result<> done = work();
  const Result<> released = host.remove_dir(path);
  if (!done) return done;
  if (!released && !released.error().not_found()) return Error{fmt::format("give back a lock: {}", released.error().message)};
  return {};
}

}  // namespace pvegpu::cluster
