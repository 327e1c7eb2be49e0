#include "launch/doctor/link_probe.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <span>

#include "runtime/calibrate/comm_sweep.h"
#include "runtime/comm/clock.h"

namespace dml {
namespace {

constexpr std::size_t kMostLinkedRanks = 16;
constexpr int kChannel = 0;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// A message of so many elements to `peer` and back, or from it and back.
void round_trip(Communicator& world, std::vector<float>& memory, std::int64_t elems, int peer, bool begins) {
  const TensorView data{memory.data(), DataType::f32, Shape{elems}};
  world.wait(begins ? world.send(data, peer, kChannel) : world.receive(data, peer, kChannel));
  world.wait(begins ? world.receive(data, peer, kChannel) : world.send(data, peer, kChannel));
}

/// Seconds of one way, the least of `tries` means over `trips`.
double one_way(Communicator& world, std::int64_t elems, int peer, int tries, int trips) {
  const bool begins = world.rank() < peer;
  std::vector<float> memory(static_cast<std::size_t>(elems));
  round_trip(world, memory, elems, peer, begins);
  double least = std::numeric_limits<double>::infinity();
  for (int i = 0; i < tries; ++i) {
    const Clock::time_point begin = Clock::now();
    for (int trip = 0; trip < trips; ++trip) round_trip(world, memory, elems, peer, begins);
    least = std::min(least, seconds_since(begin) / (2 * trips));
  }
  return least;
}

LinkFacts measure_link(Communicator& world, int peer) {
  constexpr std::int64_t kSmallElems = 2;
  constexpr std::int64_t kLargeElems = 1 << 17;
  LinkFacts link{world.rank(), peer};
  link.latency_s = one_way(world, kSmallElems, peer, 8, 4);
  link.bytes_per_s = static_cast<double>(kLargeElems * sizeof(float)) / one_way(world, kLargeElems, peer, 6, 1);
  return link;
}

/// Seconds that the time of day is ahead of the clock that only runs.
double day_ahead_of_clock() {
  const auto day = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(day).count() -
         std::chrono::duration<double>(Clock::now().time_since_epoch()).count();
}

}  // namespace

std::vector<int> ranks_to_link(const std::vector<std::string>& hosts) {
  std::vector<int> ranks(hosts.size());
  std::iota(ranks.begin(), ranks.end(), 0);
  if (ranks.size() > kMostLinkedRanks) {
    std::set<std::string> seen;
    const auto is_first = [&](int rank) { return seen.insert(hosts[static_cast<std::size_t>(rank)]).second; };
    std::vector<int> firsts;
    std::copy_if(ranks.begin(), ranks.end(), std::back_inserter(firsts), is_first);
    if (firsts.size() > 1) ranks = std::move(firsts);
  }
  ranks.resize(std::min(ranks.size(), kMostLinkedRanks));
  return ranks;
}

std::vector<LinkFacts> measure_links(Communicator& world, const std::vector<int>& ranks) {
  std::vector<LinkFacts> links;
  for (std::size_t a = 0; a < ranks.size(); ++a) {
    for (std::size_t b = a + 1; b < ranks.size(); ++b) {
      if (world.rank() == ranks[a]) links.push_back(measure_link(world, ranks[b]));
      if (world.rank() == ranks[b]) measure_link(world, ranks[a]);
      world.wait(world.barrier());
    }
  }
  return links;
}

double clock_ahead(Communicator& world) {
  double ahead = day_ahead_of_clock();
  double first = ahead;
  world.wait(world.broadcast({&first, DataType::f64, Shape{1}}, 0));
  ahead -= seconds_to_first_rank(world);
  return ahead - first;
}

std::vector<CollectiveFacts> measure_collectives(Communicator& world, const Hardware* hardware) {
  std::vector<CollectiveFacts> facts;
  if (world.size() == 1) return facts;
  const std::span<const double> bytes = comm_sweep_bytes();
  for (const auto& [kind, curve] : measure_comm(world)) {
    if (kind == CommKind::send) continue;  // the links say more
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      CollectiveFacts of{kind, world.size(), bytes[i], curve.seconds[i], curve.spread[i]};
      const bool is_known = hardware != nullptr && (hardware->comm.contains(kind) || !hardware->levels.empty());
      if (is_known) of.expected_s = seconds_of(*hardware, kind, bytes[i], {.ranks = world.size(), .stride = 1});
      facts.push_back(of);
    }
  }
  return facts;
}

}  // namespace dml
