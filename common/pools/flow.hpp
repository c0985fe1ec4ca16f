// SPDX-License-Identifier: MIT
// Cheapest flow through a small network, by shortest augmenting paths.
#pragma once

#include <cstdint>
#include <vector>

namespace pvegpu::pools {

/// Compared by `high` first.
struct Cost {
  std::int64_t high = 0, low = 0;

  friend Cost operator+(const Cost& a, const Cost& b) { return {a.high + b.high, a.low + b.low}; }
  friend Cost operator-(const Cost& a) { return {-a.high, -a.low}; }
  friend bool operator<(const Cost& a, const Cost& b) { return a.high != b.high ? a.high < b.high : a.low < b.low; }
};

class Network {
 public:
  explicit Network(std::size_t places) : places_(places) {}
  /// The number of the arc. Costs may be negative where they make no cycle of negative cost.
  std::size_t arc(std::size_t from, std::size_t to, std::int64_t capacity, Cost cost);
  /// Sends as much as makes the whole cost least. Of flows that cost the same it is always the same one.
  void run(std::size_t source, std::size_t sink);
  std::int64_t flow(std::size_t arc) const { return arcs_[2 * arc + 1].left; }

 private:
  struct Arc {
    std::size_t to;
    std::int64_t left;
    Cost cost;
  };
  std::vector<std::vector<std::size_t>> places_;  ///< the arcs that leave each place; the arc with ^1 goes back
  std::vector<Arc> arcs_;
};

}  // namespace pvegpu::pools
