// A group of GPUs, over NCCL. Operations are work on a stream of the group, ordered against the device's compute work
// by events: behind what was put there before the post, and before what is put there after the join. The host only
// looks for failures and deadlines. What the host itself agrees on stays with the host's communicator.
#pragma once

#include <array>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "runtime/comm/communicator.h"
#include "runtime/comm/nccl/nccl_library.h"
#include "runtime/device/cuda/owned.h"

namespace dml::cuda {

class CudaDevice;
class NcclCommunicator;

/// The groups of a rank: a failure of one ends all, as NCCL's kernels of the others would wait for ever.
struct NcclGroups {
  std::vector<NcclCommunicator*> all;
  int world_rank = 0;  ///< for messages
  std::chrono::milliseconds deadline;
  int gather_parts = 0;  ///< 0: by size
};

class NcclCommunicator final : public Communicator {
 public:
  /// `host` is the same group on hosts, and outlives this. `comm` is null for a group of one rank.
  NcclCommunicator(CudaDevice& device, Communicator& host, std::shared_ptr<NcclGroups> groups, OwnedComm comm);
  ~NcclCommunicator() override;

  int rank() const override { return host_.rank(); }
  int size() const override { return host_.size(); }
  const char* backend() const override { return "nccl"; }

  /// The order of summation is NCCL's: the same on all ranks, but another than that of threads and MPI.
  Ticket all_reduce(TensorView data) override;
  Ticket all_gather(TensorView out, TensorView in, std::span<const std::int64_t> counts) override;
  /// By broadcasts, as a rank's part of a part does not lie beside that of the next rank.
  Ticket all_gather_parts(TensorView out, TensorView in, std::span<const std::int64_t> counts, int parts,
                          const std::function<void(int)>& make) override;
  int gather_parts(std::int64_t bytes) const override;
  Ticket reduce_scatter(TensorView out, TensorView in, std::span<const std::int64_t> counts) override;
  Ticket broadcast(TensorView data, int root) override;
  /// Of hosts; done when it returns.
  Ticket barrier() override;
  /// Messages of one group are moved in the order in which they were posted, whatever their channel.
  Ticket send(TensorView data, int peer, int channel) override;
  Ticket receive(TensorView data, int peer, int channel) override;
  void reserve(int /*in_flight*/, std::int64_t /*largest_bytes*/) override {}
  void reserve_all_reduces(int /*count*/, std::int64_t /*bytes*/) override {}
  std::unique_ptr<Communicator> split(int color, int key) override;

  void progress() override;
  bool done(Ticket ticket) const override { return ticket <= done_; }
  void wait(Ticket ticket) override;
  void join(Ticket ticket) override;
  void mark_next(std::size_t begin, std::size_t end) override { marks_ = {{begin}, {end}}; }
  void recorded() override;
  void withdraw() noexcept override;
  void fail(const std::string& reason) noexcept override;
  std::span<const std::pair<std::string, CommCounter>> counters() const override { return counters_; }

 private:
  enum Kind : std::uint8_t { kAllReduce, kAllGather, kReduceScatter, kBroadcast, kSend, kReceive, kNumKinds };
  struct Pending {
    Ticket ticket = 0;
    Kind kind = kAllReduce;
    TensorView view;
    int peer = -1;
    OwnedEvent end;
  };

  /// Of the device, which the next operation sets.
  struct Marks {
    std::optional<std::size_t> begin, end;
  };

  /// Puts `operation` on the stream, behind all compute work so far.
  template <typename Operation>
  Ticket post(Kind kind, TensorView view, int peer, const Operation& operation);
  /// Elements [begins[r], ends[r]) of each rank r's part of `out`, from its `in`.
  ncclResult_t gather(TensorView out, TensorView in, std::span<const std::int64_t> counts,
                      std::span<const std::int64_t> begins, std::span<const std::int64_t> ends);
  /// Of this group alone: takes note of finished operations.
  void retire();
  void check(ncclResult_t code, const char* call);
  /// Waits until the group is ready again after a call that only began something.
  void settle(ncclResult_t code, const char* call);
  void throw_async_errors();
  [[noreturn]] void throw_late(const Pending& pending, std::chrono::milliseconds waited);

  CudaDevice& device_;
  Communicator& host_;
  std::unique_ptr<Communicator> own_host_;  ///< of a group that was split off
  std::shared_ptr<NcclGroups> groups_;
  OwnedStream stream_;
  OwnedEvent posted_;
  OwnedComm comm_;
  std::vector<OwnedEvent> resting_;  ///< events of operations that are done
  std::deque<Pending> pending_;      ///< in the order of their tickets, in which they finish
  Ticket last_ = 0, done_ = 0;
  Marks marks_;
  std::array<std::pair<std::string, CommCounter>, kNumKinds> counters_;
};

/// The world of the devices of `host`'s ranks. Collective over `host`, which outlives it. Throws DeviceError, CommError
/// and TimeoutError.
std::unique_ptr<Communicator> make_nccl_world(CudaDevice& device, Communicator& host, const CommOptions& options);

}  // namespace dml::cuda
