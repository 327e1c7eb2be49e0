// The Communicator over any transport: checks the caller, picks the algorithm, hands out tickets, counts.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/comm/engine.h"

namespace dml {

class BlockAllReduce;

class GroupCommunicator : public Communicator {
 public:
  GroupCommunicator(std::shared_ptr<Engine> engine, Group group, const CommOptions& options);
  ~GroupCommunicator() override;

  int rank() const override { return group_.rank; }
  int size() const override { return group_.size(); }
  const char* backend() const override { return engine_->transport().name(); }

  Ticket all_reduce(TensorView data) override;
  Ticket all_gather(TensorView out, TensorView in, std::span<const std::int64_t> counts) override;
  Ticket reduce_scatter(TensorView out, TensorView in, std::span<const std::int64_t> counts) override;
  Ticket broadcast(TensorView data, int root) override;
  Ticket barrier() override;
  Ticket send(TensorView data, int peer, int channel) override;
  Ticket receive(TensorView data, int peer, int channel) override;
  void reserve(int in_flight, std::int64_t largest_bytes) override;
  void reserve_all_reduces(int count, std::int64_t bytes) override;
  std::unique_ptr<Communicator> split(int color, int key) override;

  void progress() override { engine_->progress(); }
  bool done(Ticket ticket) const override;
  void wait(Ticket ticket) override;
  void fail(const std::string& reason) noexcept override;
  std::span<const std::pair<std::string, CommCounter>> counters() const override { return counters_; }

 protected:
  enum class Kind : std::uint8_t { all_reduce, all_gather, reduce_scatter, broadcast, barrier, send, receive };
  /// Operations of one type that rest.
  using Pool = std::vector<Operation*>;

  /// What runs where there is somebody to talk to and something to say; arguments are checked.
  virtual Ticket post_all_reduce(TensorView data);
  virtual Ticket post_all_gather(TensorView out, TensorView in, std::span<const std::int64_t> counts);
  virtual Ticket post_reduce_scatter(TensorView out, TensorView in, std::span<const std::int64_t> counts);
  virtual Ticket post_broadcast(TensorView data, int root);
  virtual Ticket post_barrier();
  /// A communicator of the same type over a part of this group.
  virtual std::unique_ptr<Communicator> make_part(Group group);

  /// A resting operation of type T, or one more.
  template <typename T>
  T& take(Pool& pool) {
    if (pool.empty()) add(std::make_unique<T>(transport(), group_), pool);
    T& operation = static_cast<T&>(*pool.back());
    pool.pop_back();
    return operation;
  }
  /// Puts an operation whose messages are posted in flight.
  Ticket start(Operation& operation, Kind kind);

  Transport& transport() { return engine_->transport(); }
  const Group& group() const { return group_; }
  const std::shared_ptr<Engine>& engine() { return engine_; }
  const CommOptions& options() const { return options_; }

 private:
  void add(std::unique_ptr<Operation> operation, Pool& pool);
  /// The resting one with the least memory that is enough.
  BlockAllReduce& take_block_all_reduce(std::int64_t bytes);
  template <typename T>
  void reserve_pool(Pool& pool, int in_flight, std::int64_t bytes);
  void count(Kind kind, std::size_t sent, std::size_t received);
  void check_peer(const char* operation, int peer, int channel) const;
  void check_counts(const char* operation, TensorView whole, TensorView part,
                    std::span<const std::int64_t> counts) const;

  std::shared_ptr<Engine> engine_;
  const Group group_;
  const CommOptions options_;
  std::int64_t sequence_ = 0;        ///< of collectives
  std::int64_t exchange_bytes_ = 0;  ///< what every resting one-step all-reduce has room for
  std::vector<std::unique_ptr<Operation>> operations_;
  Pool exchange_all_reduces_, block_all_reduces_, all_gathers_, reduce_scatters_, broadcasts_, barriers_, messages_;
  std::array<std::pair<std::string, CommCounter>, 7> counters_;
};

}  // namespace dml
