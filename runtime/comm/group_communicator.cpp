#include "runtime/comm/group_communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "kernels/error.h"
#include "runtime/comm/collectives/all_gather.h"
#include "runtime/comm/collectives/all_reduce.h"
#include "runtime/comm/collectives/barrier.h"
#include "runtime/comm/collectives/broadcast.h"
#include "runtime/comm/collectives/message.h"
#include "runtime/comm/collectives/reduce_scatter.h"
#include "runtime/comm/collectives/sum.h"

namespace dml {

namespace {

constexpr const char* kKindNames[] = {"all_reduce", "all_gather", "reduce_scatter", "broadcast",
                                      "barrier",    "send",       "receive"};

/// An all-reduce whose one-step form makes a rank send at most so much is faster that way than in two (measured by
/// benchmarks/comm with 2 to 8 ranks of one node: up to about 64 KB between two, 8 KB among eight).
constexpr std::int64_t kExchangeBytes = 64 << 10;

/// A ticket is the operation's place in the table below its generation, which is at least 1.
constexpr int kSlotBits = 24;
constexpr std::uint64_t kSlotMask = (std::uint64_t{1} << kSlotBits) - 1;

std::int64_t largest_exchange(int ranks) { return kExchangeBytes / (ranks - 1); }

}  // namespace

GroupCommunicator::GroupCommunicator(std::shared_ptr<Engine> engine, Group group, const CommOptions& options)
    : engine_(std::move(engine)), group_(std::move(group)), options_(options) {
  for (std::size_t kind = 0; kind < counters_.size(); ++kind) counters_[kind].first = kKindNames[kind];
}

GroupCommunicator::~GroupCommunicator() {
  for (const auto& operation : operations_) engine_->withdraw(*operation);
  transport().close_group(group_.id);
}

void GroupCommunicator::add(std::unique_ptr<Operation> operation, Pool& pool) {
  DML_ASSERT(operations_.size() < kSlotMask, "too many operations in flight");
  operation->slot = static_cast<std::uint32_t>(operations_.size());
  operation->pool = &pool;
  operations_.push_back(std::move(operation));
  pool.reserve(operations_.size());
  pool.push_back(operations_.back().get());
}

template <typename T>
void GroupCommunicator::reserve_pool(Pool& pool, int in_flight, std::int64_t bytes) {
  while (pool.size() < static_cast<std::size_t>(in_flight)) add(std::make_unique<T>(transport(), group_), pool);
  if constexpr (requires(T& operation) { operation.reserve(bytes); }) {
    for (Operation* operation : pool) static_cast<T*>(operation)->reserve(bytes);
  }
}

void GroupCommunicator::reserve(int in_flight, std::int64_t largest_bytes) {
  const int n = size();
  if (n > 1) {
    const std::int64_t exchange = largest_exchange(n);
    const std::int64_t rounding = std::int64_t{n} * 8;
    reserve_pool<ExchangeAllReduce>(exchange_all_reduces_, in_flight, std::min(largest_bytes, exchange));
    if (largest_bytes > exchange) {
      reserve_pool<BlockAllReduce>(block_all_reduces_, in_flight, largest_bytes + rounding);
    }
    reserve_pool<ReduceScatter>(reduce_scatters_, in_flight, largest_bytes + rounding);
    reserve_pool<AllGather>(all_gathers_, in_flight, 0);
    reserve_pool<Broadcast>(broadcasts_, in_flight, 0);
    reserve_pool<Barrier>(barriers_, in_flight, 0);
  }
  reserve_pool<Message>(messages_, 2 * in_flight, 0);
  engine_->reserve(2 * in_flight, in_flight * 4 * n);
}

void GroupCommunicator::reserve_all_reduces(int count, std::int64_t bytes) {
  const int n = size();
  if (n == 1) return;
  if (bytes <= largest_exchange(n)) {
    exchange_bytes_ = std::max(exchange_bytes_, bytes);
    const int ready = static_cast<int>(exchange_all_reduces_.size());
    reserve_pool<ExchangeAllReduce>(exchange_all_reduces_, ready + count, exchange_bytes_);
  } else {
    for (int i = 0; i < count; ++i) {
      auto operation = std::make_unique<BlockAllReduce>(transport(), group_);
      operation->reserve(bytes + std::int64_t{n} * 8);
      add(std::move(operation), block_all_reduces_);
    }
  }
  engine_->reserve(count, count * 4 * n);
}

BlockAllReduce& GroupCommunicator::take_block_all_reduce(std::int64_t bytes) {
  const auto capacity = [](const Operation* operation) {
    return static_cast<const BlockAllReduce*>(operation)->capacity();
  };
  auto best = block_all_reduces_.end();
  for (auto other = block_all_reduces_.begin(); other != block_all_reduces_.end(); ++other) {
    if (capacity(*other) < bytes || (best != block_all_reduces_.end() && capacity(*best) <= capacity(*other))) continue;
    best = other;
  }
  if (best != block_all_reduces_.end()) std::iter_swap(best, block_all_reduces_.end() - 1);
  return take<BlockAllReduce>(block_all_reduces_);
}

Ticket GroupCommunicator::start(Operation& operation, Kind kind) {
  operation.kind = kKindNames[static_cast<std::size_t>(kind)];
  const Ticket ticket = operation.generation << kSlotBits | operation.slot;
  engine_->start(operation);
  return ticket;
}

void GroupCommunicator::count(Kind kind, std::size_t sent, std::size_t received) {
  CommCounter& counter = counters_[static_cast<std::size_t>(kind)].second;
  ++counter.count;
  counter.bytes_sent += static_cast<std::int64_t>(sent);
  counter.bytes_received += static_cast<std::int64_t>(received);
}

void GroupCommunicator::check_counts(const char* operation, TensorView whole, TensorView part,
                                     std::span<const std::int64_t> counts) const {
  if (std::ssize(counts) != size()) {
    throw std::invalid_argument(fmt::format("[{}] {} counts for {} ranks", operation, counts.size(), size()));
  }
  if (whole.dtype != part.dtype) {
    throw std::invalid_argument(
        fmt::format("[{}] data types differ: {} and {}", operation, name_of(whole.dtype), name_of(part.dtype)));
  }
  if (*std::ranges::min_element(counts) < 0) throw std::invalid_argument(fmt::format("[{}] negative count", operation));
  const std::int64_t total = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  const std::int64_t mine = counts[static_cast<std::size_t>(rank())];
  if (total == whole.num_elements() && mine == part.num_elements()) return;
  throw std::invalid_argument(fmt::format("[{}] counts say {} of {} elements for rank {}, buffers hold {} of {}",
                                          operation, mine, total, rank(), part.num_elements(), whole.num_elements()));
}

void GroupCommunicator::check_peer(const char* operation, int peer, int channel) const {
  if (peer < 0 || peer >= size()) {
    throw std::invalid_argument(fmt::format("[{}] rank {} in a group of {}", operation, peer, size()));
  }
  if (channel < 0 || channel > kMaxChannel) {
    throw std::invalid_argument(fmt::format("[{}] channel {} is not in 0 to {}", operation, channel, kMaxChannel));
  }
}

Ticket GroupCommunicator::all_reduce(TensorView data) {
  check_summable(data.dtype, "all_reduce");
  if (size() == 1 || data.num_elements() == 0) return 0;
  count(Kind::all_reduce, data.num_bytes(), data.num_bytes());
  return post_all_reduce(data);
}

Ticket GroupCommunicator::all_gather(TensorView out, TensorView in, std::span<const std::int64_t> counts) {
  check_counts("all_gather", out, in, counts);
  if (out.num_elements() == 0) return 0;
  if (size() == 1) {
    if (out.data != in.data) std::memcpy(out.data, in.data, in.num_bytes());
    return 0;
  }
  count(Kind::all_gather, out.num_bytes(), out.num_bytes());
  return post_all_gather(out, in, counts);
}

Ticket GroupCommunicator::reduce_scatter(TensorView out, TensorView in, std::span<const std::int64_t> counts) {
  check_summable(in.dtype, "reduce_scatter");
  check_counts("reduce_scatter", in, out, counts);
  if (in.num_elements() == 0) return 0;
  if (size() == 1) {
    if (out.data != in.data) std::memcpy(out.data, in.data, in.num_bytes());
    return 0;
  }
  count(Kind::reduce_scatter, in.num_bytes(), out.num_bytes());
  return post_reduce_scatter(out, in, counts);
}

Ticket GroupCommunicator::broadcast(TensorView data, int root) {
  check_peer("broadcast", root, 0);
  if (size() == 1 || data.num_elements() == 0) return 0;
  const bool sends = rank() == root;
  count(Kind::broadcast, sends ? data.num_bytes() : 0, sends ? 0 : data.num_bytes());
  return post_broadcast(data, root);
}

Ticket GroupCommunicator::barrier() {
  if (size() == 1) return 0;
  count(Kind::barrier, 0, 0);
  return post_barrier();
}

Ticket GroupCommunicator::send(TensorView data, int peer, int channel) {
  check_peer("send", peer, channel);
  count(Kind::send, data.num_bytes(), 0);
  auto& operation = take<Message>(messages_);
  operation.start_send(data, peer, channel);
  return start(operation, Kind::send);
}

Ticket GroupCommunicator::receive(TensorView data, int peer, int channel) {
  check_peer("receive", peer, channel);
  count(Kind::receive, 0, data.num_bytes());
  auto& operation = take<Message>(messages_);
  operation.start_receive(data, peer, channel);
  return start(operation, Kind::receive);
}

Ticket GroupCommunicator::post_all_reduce(TensorView data) {
  if (static_cast<std::int64_t>(data.num_bytes()) <= largest_exchange(size())) {
    auto& operation = take<ExchangeAllReduce>(exchange_all_reduces_);
    operation.start(data, sequence_++);
    return start(operation, Kind::all_reduce);
  }
  auto& operation = take_block_all_reduce(static_cast<std::int64_t>(data.num_bytes()));
  operation.start(data, sequence_++);
  return start(operation, Kind::all_reduce);
}

Ticket GroupCommunicator::post_all_gather(TensorView out, TensorView in, std::span<const std::int64_t> counts) {
  auto& operation = take<AllGather>(all_gathers_);
  operation.start(out, in, counts, sequence_++);
  return start(operation, Kind::all_gather);
}

Ticket GroupCommunicator::post_reduce_scatter(TensorView out, TensorView in, std::span<const std::int64_t> counts) {
  auto& operation = take<ReduceScatter>(reduce_scatters_);
  operation.start(out, in, counts, sequence_++);
  return start(operation, Kind::reduce_scatter);
}

Ticket GroupCommunicator::post_broadcast(TensorView data, int root) {
  auto& operation = take<Broadcast>(broadcasts_);
  operation.start(data, root, sequence_++);
  return start(operation, Kind::broadcast);
}

Ticket GroupCommunicator::post_barrier() {
  auto& operation = take<Barrier>(barriers_);
  operation.start(sequence_++);
  return start(operation, Kind::barrier);
}

bool GroupCommunicator::done(Ticket ticket) const {
  return ticket == 0 || operations_[ticket & kSlotMask]->generation != ticket >> kSlotBits;
}

void GroupCommunicator::wait(Ticket ticket) {
  if (ticket == 0) return;
  const Operation& operation = *operations_[ticket & kSlotMask];
  const std::uint64_t generation = ticket >> kSlotBits;
  if (operation.generation != generation) return;
  engine_->wait(operation, generation, options_.deadline);
}

void GroupCommunicator::fail(const std::string& reason) noexcept {
  transport().fail(reason);
  engine_->withdraw_all();
}

std::unique_ptr<Communicator> GroupCommunicator::split(int color, int key) {
  if (color < 0) throw std::invalid_argument(fmt::format("[split] color {} is negative", color));
  struct Choice {
    std::int64_t color, key, proposed;
  };
  const auto n = static_cast<std::size_t>(size());
  const auto me = static_cast<std::size_t>(rank());
  std::vector<Choice> choices(n);
  choices[me] = {color, key, transport().propose_group()};
  const std::vector<std::int64_t> counts(n, 3);
  wait(all_gather({choices.data(), DataType::i64, {std::int64_t{size()}, 3}}, {&choices[me], DataType::i64, {3}},
                  counts));

  std::vector<std::size_t> places;
  for (std::size_t r = 0; r < n; ++r) {
    if (choices[r].color == color) places.push_back(r);
  }
  std::ranges::stable_sort(places, {}, [&](std::size_t r) { return choices[r].key; });
  Group part;
  for (std::size_t r : places) part.members.push_back(group_.members[r]);
  part.rank = static_cast<int>(std::ranges::find(places, me) - places.begin());
  const auto proposed = static_cast<int>(choices[places.front()].proposed);
  part.id = transport().open_group(group_, color, part.rank, proposed);
  return make_part(std::move(part));
}

std::unique_ptr<Communicator> GroupCommunicator::make_part(Group group) {
  return std::make_unique<GroupCommunicator>(engine_, std::move(group), options_);
}

}  // namespace dml
