// What every communicator must do, as bodies that each rank of a world runs. world_test.cpp runs them on threads,
// mpi_world_test.cpp on processes. A body throws where something is wrong.
#pragma once

#include <fmt/format.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "runtime/comm/clock.h"
#include "runtime/comm/communicator.h"

namespace dml::test {

/// What a body is run on. `exact`: sums must have the bits of a sum in rank order.
struct World {
  Communicator& comm;
  bool exact = true;
};

struct WorldBody {
  const char* name;
  void (*run)(const World&);
};

inline const std::vector<std::int64_t> kCounts = {0, 1, 3, 1000, 65537};

template <typename T>
constexpr DataType type_of();
template <>
constexpr DataType type_of<float>() {
  return DataType::f32;
}
template <>
constexpr DataType type_of<double>() {
  return DataType::f64;
}
template <>
constexpr DataType type_of<std::int64_t>() {
  return DataType::i64;
}

template <typename T>
TensorView view_of(std::vector<T>& values) {
  return {values.data(), type_of<T>(), {std::ssize(values)}};
}

inline void require(bool condition, const std::string& text) {
  if (!condition) throw std::runtime_error(text);
}

/// Element `index` of rank `rank`: magnitudes differ so much that another order of summation gives other bits.
template <typename T>
T value_of(int rank, std::int64_t index, int salt = 0) {
  auto hash =
      static_cast<std::uint64_t>(index) * 0x9E3779B97F4A7C15ULL + static_cast<std::uint64_t>(rank * 7919 + salt);
  hash ^= hash >> 29;
  hash *= 0xBF58476D1CE4E5B9ULL;
  hash ^= hash >> 32;
  const double unit = static_cast<double>(hash >> 11) * 0x1p-53 - 0.5;
  if constexpr (std::is_integral_v<T>) return static_cast<T>(unit * 1e12);
  constexpr double kScales[] = {1, 10, 100, 1000};
  return static_cast<T>(unit * kScales[rank % 4]);
}

template <typename T>
std::vector<T> values_of(int rank, std::int64_t count, int salt = 0) {
  std::vector<T> values(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) values[static_cast<std::size_t>(i)] = value_of<T>(rank, i, salt);
  return values;
}

template <typename T>
T sum_of(int size, std::int64_t index, int salt = 0) {
  T sum = value_of<T>(0, index, salt);
  for (int rank = 1; rank < size; ++rank) sum = static_cast<T>(sum + value_of<T>(rank, index, salt));
  return sum;
}

template <typename T>
void require_equal(const World& world, T got, T expected, const char* what, std::int64_t index) {
  bool equal = got == expected;
  if constexpr (std::is_floating_point_v<T>) {
    if (!world.exact) equal = std::abs(got - expected) <= 1e-3 + 1e-4 * std::abs(static_cast<double>(expected));
  }
  if (equal) return;
  throw std::runtime_error(fmt::format("{}: element {} of {} on rank {} of {} is {}, expected {}", what, index,
                                       name_of(type_of<T>()), world.comm.rank(), world.comm.size(), got, expected));
}

/// Uneven shards, some empty: rank r holds (r * 37) mod 5 fifths of `base`.
inline std::vector<std::int64_t> uneven_counts(int size, std::int64_t base) {
  std::vector<std::int64_t> counts;
  counts.reserve(static_cast<std::size_t>(size));
  for (int r = 0; r < size; ++r) counts.push_back(base * ((r * 37 + 3) % 5) / 5);
  return counts;
}
inline std::int64_t total(const std::vector<std::int64_t>& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}
inline std::int64_t begin_of(const std::vector<std::int64_t>& counts, int rank) {
  return std::accumulate(counts.begin(), counts.begin() + rank, std::int64_t{0});
}

template <typename T>
void all_reduce_of(const World& world) {
  for (const std::int64_t count : kCounts) {
    auto data = values_of<T>(world.comm.rank(), count);
    world.comm.wait(world.comm.all_reduce(view_of(data)));
    for (std::int64_t i = 0; i < count; ++i) {
      require_equal(world, data[static_cast<std::size_t>(i)], sum_of<T>(world.comm.size(), i), "all_reduce", i);
    }
  }
}

inline void all_reduce_sums_in_rank_order(const World& world) {
  all_reduce_of<float>(world);
  all_reduce_of<double>(world);
  all_reduce_of<std::int64_t>(world);
}

inline void all_gather_of(const World& world, const std::vector<std::int64_t>& counts, bool in_place) {
  Communicator& comm = world.comm;
  auto mine = values_of<float>(comm.rank(), counts[static_cast<std::size_t>(comm.rank())]);
  std::vector<float> out(static_cast<std::size_t>(total(counts)), -1.0f);
  TensorView in = view_of(mine);
  if (in_place) {
    in.data = out.data() + begin_of(counts, comm.rank());
    std::copy(mine.begin(), mine.end(), in.as<float>());
  }
  comm.wait(comm.all_gather(view_of(out), in, counts));
  std::int64_t place = 0;
  for (int r = 0; r < comm.size(); ++r) {
    for (std::int64_t i = 0; i < counts[static_cast<std::size_t>(r)]; ++i, ++place) {
      require_equal(world, out[static_cast<std::size_t>(place)], value_of<float>(r, i), "all_gather", place);
    }
  }
}

inline void all_gather_joins_uneven_shards(const World& world) {
  for (const std::int64_t count : kCounts) {
    for (const bool in_place : {false, true}) {
      all_gather_of(world, uneven_counts(world.comm.size(), count), in_place);
      all_gather_of(world, std::vector<std::int64_t>(static_cast<std::size_t>(world.comm.size()), count), in_place);
    }
  }
}

inline void all_gather_parts_joins_what_is_made(const World& world) {
  Communicator& comm = world.comm;
  const std::vector<std::int64_t> counts = uneven_counts(comm.size(), 7);
  const std::int64_t own = counts[static_cast<std::size_t>(comm.rank())];
  constexpr int kParts = 3;
  const auto whole = values_of<float>(comm.rank(), own);
  std::vector<float> mine(whole.size(), -1.0f);
  std::vector<float> out(static_cast<std::size_t>(total(counts)), -1.0f);
  const auto make = [&](int part) {
    const std::int64_t begin = part_begin(own, kParts, part);
    std::copy_n(whole.begin() + begin, part_begin(own, kParts, part + 1) - begin, mine.begin() + begin);
  };
  comm.wait(comm.all_gather_parts(view_of(out), view_of(mine), counts, kParts, make));
  std::int64_t place = 0;
  for (int r = 0; r < comm.size(); ++r) {
    for (std::int64_t i = 0; i < counts[static_cast<std::size_t>(r)]; ++i, ++place) {
      require_equal(world, out[static_cast<std::size_t>(place)], value_of<float>(r, i), "all_gather_parts", place);
    }
  }
}

template <typename T>
void reduce_scatter_of(const World& world, std::int64_t base, bool in_place) {
  Communicator& comm = world.comm;
  const auto counts = uneven_counts(comm.size(), base);
  const std::int64_t begin = begin_of(counts, comm.rank());
  auto in = values_of<T>(comm.rank(), total(counts));
  std::vector<T> out(static_cast<std::size_t>(counts[static_cast<std::size_t>(comm.rank())]));
  TensorView to = view_of(out);
  if (in_place) to.data = in.data() + begin;
  comm.wait(comm.reduce_scatter(to, view_of(in), counts));
  for (std::int64_t i = 0; i < to.num_elements(); ++i) {
    require_equal(world, to.as<T>()[i], sum_of<T>(comm.size(), begin + i), "reduce_scatter", i);
  }
}

inline void reduce_scatter_keeps_own_part(const World& world) {
  for (const std::int64_t base : {1, 7, 1000, 65537}) {
    for (const bool in_place : {false, true}) {
      reduce_scatter_of<float>(world, base, in_place);
      reduce_scatter_of<double>(world, base, in_place);
      reduce_scatter_of<std::int64_t>(world, base, in_place);
    }
  }
}

inline void broadcast_from_every_root(const World& world) {
  for (const std::int64_t count : kCounts) {
    for (int root = 0; root < world.comm.size(); ++root) {
      auto data = values_of<double>(world.comm.rank(), count, root);
      world.comm.wait(world.comm.broadcast(view_of(data), root));
      for (std::int64_t i = 0; i < count; ++i) {
        require_equal(world, data[static_cast<std::size_t>(i)], value_of<double>(root, i, root), "broadcast", i);
      }
    }
  }
}

inline void barrier_waits_for_all(const World& world) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kLate{30};
  for (int late = 0; late < world.comm.size(); ++late) {
    world.comm.wait(world.comm.barrier());
    if (world.comm.rank() == late) std::this_thread::sleep_for(kLate);
    // The shared clock of one machine: nobody leaves before the last has come.
    std::int64_t came = Clock::now().time_since_epoch().count();
    world.comm.wait(world.comm.barrier());
    const std::int64_t left = Clock::now().time_since_epoch().count();
    world.comm.wait(world.comm.broadcast({&came, DataType::i64, {}}, late));
    require(left >= came, fmt::format("rank {} left the barrier before rank {} had come", world.comm.rank(), late));
  }
}

/// Messages of one channel arrive in order, those of others whenever they are asked for.
inline void messages_match_by_order_per_channel(const World& world) {
  Communicator& comm = world.comm;
  const int n = comm.size();
  const int next = (comm.rank() + 1) % n;
  const int previous = (comm.rank() + n - 1) % n;
  const std::vector<int> channels = {0, 1, 77, Communicator::kMaxChannel};
  for (const std::int64_t count : kCounts) {
    std::vector<std::vector<float>> sent, received;
    std::vector<Ticket> tickets;
    sent.reserve(64);
    received.reserve(64);
    constexpr int kMessages = 3;
    for (int m = 0; m < kMessages; ++m) {
      for (std::size_t c = 0; c < channels.size(); ++c) {
        sent.push_back(values_of<float>(comm.rank(), count, m * 10 + static_cast<int>(c)));
        tickets.push_back(comm.send(view_of(sent.back()), next, channels[c]));
      }
    }
    for (std::size_t c = channels.size(); c-- > 0;) {
      for (int m = 0; m < kMessages; ++m) {
        received.emplace_back(static_cast<std::size_t>(count));
        tickets.push_back(comm.receive(view_of(received.back()), previous, channels[c]));
      }
    }
    for (const Ticket ticket : tickets) comm.wait(ticket);
    std::size_t place = 0;
    for (std::size_t c = channels.size(); c-- > 0;) {
      for (int m = 0; m < kMessages; ++m, ++place) {
        const auto expected = values_of<float>(previous, count, m * 10 + static_cast<int>(c));
        require(received[place] == expected, fmt::format("message {} of channel {} differs", m, channels[c]));
      }
    }
  }
}

inline void split_orders_by_key(const World& world) {
  const int rank = world.comm.rank();
  const int n = world.comm.size();
  const auto reversed = world.comm.split(rank % 2, -rank);
  const int expected_size = rank % 2 == 0 ? (n + 1) / 2 : n / 2;
  require(reversed->size() == expected_size, fmt::format("part has {} ranks", reversed->size()));
  require(reversed->rank() == expected_size - 1 - rank / 2,
          fmt::format("rank {} is {} of its part", rank, reversed->rank()));
  std::int64_t first = rank;
  reversed->wait(reversed->broadcast({&first, DataType::i64, {}}, 0));
  require(first == rank % 2 + 2 * (expected_size - 1), fmt::format("first of the part is {}", first));

  const auto alone = reversed->split(reversed->rank(), 0);
  require(alone->size() == 1 && alone->rank() == 0, "a part of one");
  std::int64_t value = 5;
  alone->wait(alone->all_reduce({&value, DataType::i64, {}}));
  alone->wait(alone->barrier());
  require(value == 5, "the sum over one rank is its own");

  const auto same = alone->split(3, 0)->split(0, 9);
  require(same->size() == 1, "a part of a part of one");
}

/// Everything at once on three communicators, waited for in reverse.
inline void many_operations_in_flight(const World& world) {
  Communicator& comm = world.comm;
  const auto halves = comm.split(comm.rank() % 2, comm.rank());
  const auto reversed = comm.split(0, -comm.rank());
  const std::vector<Communicator*> comms = {&comm, halves.get(), reversed.get()};
  struct Flight {
    Communicator* comm;
    std::vector<float> data, gathered, message;
    std::vector<Ticket> tickets;
  };
  std::vector<Flight> flights;
  for (int round = 0; round < 12; ++round) {
    for (Communicator* c : comms) {
      const std::int64_t count = kCounts[static_cast<std::size_t>(round) % kCounts.size()] + round;
      flights.push_back({c, values_of<float>(c->rank(), count, round), {}, {}, {}});
      flights.back().gathered.resize(static_cast<std::size_t>(c->size()));
      flights.back().message.resize(static_cast<std::size_t>(count));
    }
  }
  std::vector<std::vector<float>> outgoing;
  outgoing.reserve(flights.size());
  for (const Flight& flight : flights) outgoing.push_back(flight.data);
  for (std::size_t f = 0; f < flights.size(); ++f) {
    Flight& flight = flights[f];
    Communicator& c = *flight.comm;
    const int n = c.size();
    flight.gathered[static_cast<std::size_t>(c.rank())] = static_cast<float>(c.rank());
    const TensorView own{&flight.gathered[static_cast<std::size_t>(c.rank())], DataType::f32, {1}};
    flight.tickets.push_back(c.receive(view_of(flight.message), (c.rank() + n - 1) % n, 4));
    flight.tickets.push_back(c.all_reduce(view_of(flight.data)));
    flight.tickets.push_back(
        c.all_gather(view_of(flight.gathered), own, std::vector<std::int64_t>(static_cast<std::size_t>(n), 1)));
    flight.tickets.push_back(c.send(view_of(outgoing[f]), (c.rank() + 1) % n, 4));
    flight.tickets.push_back(c.barrier());
  }
  for (std::size_t f = flights.size(); f-- > 0;) {
    Flight& flight = flights[f];
    for (std::size_t t = flight.tickets.size(); t-- > 0;) flight.comm->wait(flight.tickets[t]);
    const int n = flight.comm->size();
    const int previous = (flight.comm->rank() + n - 1) % n;
    const int round = static_cast<int>(f / comms.size());
    for (std::int64_t i = 0; i < std::ssize(flight.data); ++i) {
      const auto place = static_cast<std::size_t>(i);
      require_equal(world, flight.data[place], sum_of<float>(n, i, round), "all_reduce among many", i);
      require_equal(world, flight.message[place], value_of<float>(previous, i, round), "message among many", i);
    }
    for (int r = 0; r < n; ++r) {
      require_equal(world, flight.gathered[static_cast<std::size_t>(r)], static_cast<float>(r), "gather among many", r);
    }
  }
}

// The ranks of the tests share one host and so one clock: what is found is the error alone.
inline void clocks_of_a_host_agree(const World& world) {
  const double offset = seconds_to_first_rank(world.comm);
  require(world.comm.rank() > 0 || offset == 0, "rank 0 has the clock");
  require(std::abs(offset) < 0.1, fmt::format("the clock seems to be off by {} s", offset));
}

inline void tickets_stay_done(const World& world) {
  Communicator& comm = world.comm;
  comm.reserve(4, 4000);
  comm.reserve_all_reduces(2, 4000);
  std::vector<float> data(1000, 1.0f);
  const Ticket first = comm.all_reduce(view_of(data));
  comm.wait(first);
  for (int i = 0; i < 100; ++i) comm.wait(comm.all_reduce(view_of(data)));
  require(comm.test(first), "the first ticket is done");
  comm.wait(first);
  comm.progress();
}

inline void counters_count_callers_bytes(const World& world) {
  const auto part = world.comm.split(0, world.comm.rank());
  std::vector<float> data(100);
  part->wait(part->all_reduce(view_of(data)));
  part->wait(part->all_reduce(view_of(data)));
  if (part->size() == 1) return;
  for (const auto& [kind, counter] : part->counters()) {
    const bool reduces = kind == "all_reduce";
    require(counter.count == (reduces ? 2 : 0), fmt::format("{} {}", counter.count, kind));
    require(counter.bytes_sent == (reduces ? 800 : 0), fmt::format("{} bytes of {}", counter.bytes_sent, kind));
    require(counter.bytes_received == counter.bytes_sent, fmt::format("received bytes of {}", kind));
  }
}

template <typename Call>
void require_invalid(const char* what, Call call) {
  try {
    call();
  } catch (const std::invalid_argument&) {
    return;
  }
  throw std::runtime_error(fmt::format("{} is accepted", what));
}

inline void bad_arguments_are_refused(const World& world) {
  Communicator& comm = world.comm;
  std::vector<std::int32_t> ints(4);
  std::vector<float> floats(4);
  const std::vector<std::int64_t> counts(static_cast<std::size_t>(comm.size()), 1);
  const TensorView wide{floats.data(), DataType::f32, {comm.size() + 1}};
  require_invalid("an all_reduce of i32", [&] { comm.all_reduce({ints.data(), DataType::i32, {4}}); });
  require_invalid("a wrong total", [&] { comm.all_gather(wide, {floats.data(), DataType::f32, {1}}, counts); });
  require_invalid("a peer outside", [&] { comm.send(view_of(floats), comm.size(), 0); });
  require_invalid("a negative channel", [&] { comm.receive(view_of(floats), 0, -1); });
  require_invalid("a negative color", [&] { (void)comm.split(-1, 0); });
}

inline const std::vector<WorldBody>& world_bodies() {
  static const std::vector<WorldBody> bodies = {
      {"all_reduce_sums_in_rank_order", all_reduce_sums_in_rank_order},
      {"all_gather_joins_uneven_shards", all_gather_joins_uneven_shards},
      {"all_gather_parts_joins_what_is_made", all_gather_parts_joins_what_is_made},
      {"reduce_scatter_keeps_own_part", reduce_scatter_keeps_own_part},
      {"broadcast_from_every_root", broadcast_from_every_root},
      {"barrier_waits_for_all", barrier_waits_for_all},
      {"messages_match_by_order_per_channel", messages_match_by_order_per_channel},
      {"split_orders_by_key", split_orders_by_key},
      {"many_operations_in_flight", many_operations_in_flight},
      {"tickets_stay_done", tickets_stay_done},
      {"clocks_of_a_host_agree", clocks_of_a_host_agree},
      {"counters_count_callers_bytes", counters_count_callers_bytes},
      {"bad_arguments_are_refused", bad_arguments_are_refused},
  };
  return bodies;
}

}  // namespace dml::test
