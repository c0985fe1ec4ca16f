// SPDX-License-Identifier: MIT
// What the catalogue advises on NVIDIA's drivers: which one instead, on which kernel, with which drivers and licences in guests.
#include "common/driver/nvidia.hpp"
#include "common/facts/kernels.hpp"
#include "common/base/strings.hpp"

#include <algorithm>

namespace pvegpu::driver {

using catalogue::Verdict;

void GuestDriver::fields(Reply<GuestDriver>& out) {
  out.field("branch", &GuestDriver::branch, {.doc = "vGPU branch."});
  out.field("release", &GuestDriver::release, {.doc = "vGPU release."});
  out.field("version", &GuestDriver::version, {.doc = "Version of the Linux guest driver."});
}

std::vector<GuestDriver> guest_versions(std::string_view version) {
  std::vector<GuestDriver> out;
  const auto own = catalogue::branch_of(version);
  if (!own) return out;
  std::vector<unsigned> branches = {own->branch};
  if (own->branch > 1) branches.push_back(own->branch - 1);
  if (own->kind == catalogue::BranchKind::lts)
    for (unsigned branch = own->branch - 1; branch > 7; --branch)
      if (const auto other = catalogue::find_branch(branch); other && other->kind == catalogue::BranchKind::lts) {
        branches.push_back(branch);
        break;
      }
  std::vector<unsigned> seen;
  for (const unsigned branch : branches) {
    if (std::find(seen.begin(), seen.end(), branch) != seen.end()) continue;
    seen.push_back(branch);
    auto releases = catalogue::releases_of(branch);
    std::reverse(releases.begin(), releases.end());
    for (const auto& release : releases)
      for (const std::string& guest : text::split(release.guest_versions, ';'))
        if (!guest.empty()) out.push_back({branch, catalogue::to_string(release), guest});
  }
  return out;
}

std::string branch_advice(const std::vector<catalogue::Board>& boards, const std::string& kernel) {
  for (unsigned branch = 30; branch > 7; --branch) {
    if (!catalogue::find_branch(branch)) continue;
    const bool all = std::all_of(boards.begin(), boards.end(), [&](const catalogue::Board& board) {
      return catalogue::branch_serves(board, branch).verdict == Verdict::yes;
    });
    if (!all) continue;
    const auto releases = catalogue::releases_of(branch);
    for (auto it = releases.rbegin(); it != releases.rend(); ++it)
      if (catalogue::builds_on(it->version, kernel).builds == Verdict::yes)
        return fmt::format("; take one of branch {} that builds on kernel {}, {} ({}) for example", branch, kernel, it->version,
                           catalogue::to_string(*it));
    return fmt::format("; branch {} does", branch);
  }
  return "; no one branch serves all selected boards, so name those that shall do vGPU in 'boards'";
}

KernelVerdict judge_nvidia_on(const HostView& host, const std::string& version, const std::string& kernel, bool tries) {
  const auto answer = catalogue::builds_on(version, kernel);
  if (answer.builds == Verdict::yes) return {};
  if (answer.builds == Verdict::unknown || tries)
    return {Verdict::unknown, fmt::format("driver {} on kernel {}: {}", version, kernel, answer.evidence)};
  std::string advice = "Take another release of the driver, or install and pin an older kernel.";
  for (const std::string& other : installed_kernels(host))
    if (catalogue::builds_on(version, other).builds == Verdict::yes) {
      advice = fmt::format("It builds on {}, which is installed: pin that one, or take a newer driver.", other);
      break;
    }
  return {Verdict::no,
          fmt::format("driver {} does not build on kernel {}, which {}: {} {}", version, kernel,
                      kernel == host.kernel_release() ? "runs" : "the next boot starts", answer.evidence, advice),
          fmt::format("kernel {} runs, on which driver {} does not build", kernel, version)};
}

std::map<std::string, std::vector<std::string>> types_by_licence(const std::vector<catalogue::Board>& boards) {
  std::map<std::string, std::vector<std::string>> out;
  for (const catalogue::Board& board : boards)
    for (const auto& type : catalogue::types_of(board)) {
      auto& names = out[std::string(catalogue::to_text(type.licence))];
      if (std::find(names.begin(), names.end(), type.name) == names.end()) names.emplace_back(type.name);
    }
  return out;
}

}  // namespace pvegpu::driver
