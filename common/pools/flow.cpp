// SPDX-License-Identifier: MIT
// Cheapest flow.
#include "common/pools/flow.hpp"

#include <algorithm>
#include <deque>
#include <limits>

namespace pvegpu::pools {

std::size_t Network::arc(std::size_t from, std::size_t to, std::int64_t capacity, Cost cost) {
  places_[from].push_back(arcs_.size());
  arcs_.push_back({to, capacity, cost});
  places_[to].push_back(arcs_.size());
  arcs_.push_back({from, 0, -cost});
  return arcs_.size() / 2 - 1;
}

void Network::run(std::size_t source, std::size_t sink) {
  constexpr std::size_t none = std::numeric_limits<std::size_t>::max();
  while (true) {
    // Bellman and Ford's, with a queue: costs are negative.
    std::vector<Cost> distance(places_.size());
    std::vector<std::size_t> by(places_.size(), none);
    std::vector<char> reached(places_.size(), 0), waits(places_.size(), 0);
    std::deque<std::size_t> queue{source};
    reached[source] = 1;
    while (!queue.empty()) {
      const std::size_t at = queue.front();
      queue.pop_front();
      waits[at] = 0;
      for (const std::size_t a : places_[at]) {
        const Arc& arc = arcs_[a];
        if (arc.left == 0) continue;
        const Cost cost = distance[at] + arc.cost;
        if (reached[arc.to] && !(cost < distance[arc.to])) continue;
        reached[arc.to] = 1;
        distance[arc.to] = cost;
        by[arc.to] = a;
        if (!waits[arc.to]) queue.push_back(arc.to);
        waits[arc.to] = 1;
      }
    }
    if (!reached[sink] || !(distance[sink] < Cost{})) return;
    std::int64_t amount = std::numeric_limits<std::int64_t>::max();
    for (std::size_t at = sink; at != source; at = arcs_[by[at] ^ 1].to) amount = std::min(amount, arcs_[by[at]].left);
    for (std::size_t at = sink; at != source; at = arcs_[by[at] ^ 1].to) {
      arcs_[by[at]].left -= amount;
      arcs_[by[at] ^ 1].left += amount;
    }
  }
}

}  // namespace pvegpu::pools
