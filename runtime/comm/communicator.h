// A group of ranks and what they say to each other. Ranks can be threads of one process, MPI processes, or GPUs: the
// executor and the tests see only this interface.
//
// Every operation is asynchronous: it returns a Ticket at once and proceeds while somebody calls progress, test or wait
// on any communicator of the rank. Buffers belong to the operation until its ticket is done. All ranks of a group post
// its collectives in the same order; sends and receives match by order per (peer, channel). A rank's communicators are
// used by one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/tensor.h"

namespace dml {

/// An operation in flight on one communicator; 0 is one that is done.
using Ticket = std::uint64_t;

/// What a communicator has carried, by kind. Bytes are those of the caller's buffers (for an all-gather: of the
/// result).
struct CommCounter {
  std::int64_t count = 0;
  std::int64_t bytes_sent = 0;
  std::int64_t bytes_received = 0;
};

/// What a message takes longer between islands of ranks than it really does.
struct LinkShape {
  double latency_s = 0;
  double bytes_per_s = 0;   ///< above 0
  std::vector<int> island;  ///< of each world rank; empty: its host
};

struct CommOptions {
  std::chrono::milliseconds deadline{300'000};  ///< of every wait
  bool library_collectives = false;             ///< MPI's own algorithms instead of ours (mpi only)
  int gather_parts = 0;                         ///< of what Communicator::gather_parts says (nccl only); 0: by size
  std::optional<LinkShape> shape = {};          ///< slow links
};

/// After a throw from progress, test or wait nothing of this rank is in flight any more and the world is of no use but
/// to call fail. Destroying a communicator withdraws what it has in flight.
class Communicator {
 public:
  static constexpr int kMaxChannel = (1 << 20) - 1;

  virtual ~Communicator() = default;
  Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  /// Place of this process or thread in the group.
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// "thread", "mpi" or "nccl".
  virtual const char* backend() const = 0;

  /// In place; f32, f64 or i64. Every element is summed in rank order, so all ranks get the same bits, and threads and
  /// processes do too. 2 steps and 2(n-1)/n · bytes sent per rank; small ones 1 step and (n-1) · bytes.
  virtual Ticket all_reduce(TensorView data) = 0;
  /// out = the `in` of all ranks one after the other; counts[r] elements of rank r (shards may be uneven, also empty).
  /// `in` may be its own place in `out`.
  virtual Ticket all_gather(TensorView out, TensorView in, std::span<const std::int64_t> counts) = 0;
  /// all_gather in parts of an `in` that is made in parts: `make(part)` puts on the device's queue what writes at least
  /// the elements of `in` before part_begin(counts[rank], parts, part + 1), and is called for each part in turn. A part
  /// is on its way while the next is made, where work of the device and communication overlap.
  virtual Ticket all_gather_parts(TensorView out, TensorView in, std::span<const std::int64_t> counts, int parts,
                                  const std::function<void(int)>& make) {
    for (int part = 0; part < parts; ++part) make(part);
    return all_gather(out, in, counts);
  }
  /// In how many parts `bytes` are best gathered so, on all ranks alike: 1 where nothing overlaps.
  virtual int gather_parts(std::int64_t /*bytes*/) const { return 1; }
  /// out = this rank's counts[rank] elements of the sum of `in` over all ranks, in rank order; f32, f64 or i64. `out`
  /// may be its own place in `in`.
  virtual Ticket reduce_scatter(TensorView out, TensorView in, std::span<const std::int64_t> counts) = 0;
  virtual Ticket broadcast(TensorView data, int root) = 0;
  virtual Ticket barrier() = 0;
  /// Channels are 0 to kMaxChannel. A send may be done before the peer has received it, or only then.
  virtual Ticket send(TensorView data, int peer, int channel) = 0;
  virtual Ticket receive(TensorView data, int peer, int channel) = 0;

  /// Makes ready for `in_flight` operations of each kind at once, reductions up to `largest_bytes`, so that none of
  /// them allocates later. Optional: what is missing is allocated when first needed, and kept.
  virtual void reserve(int in_flight, std::int64_t largest_bytes) = 0;
  /// The same for `count` all-reduces of up to `bytes` each, beside those that are ready already: calls for several
  /// sizes add up.
  virtual void reserve_all_reduces(int count, std::int64_t bytes) = 0;

  /// The ranks that give the same color (0 or more), ordered by key, then by rank. Collective; waits.
  virtual std::unique_ptr<Communicator> split(int color, int key) = 0;

  /// Moves everything in flight a little, without waiting. Throws CommError if a peer has failed.
  virtual void progress() = 0;
  /// Whether the operation has finished, as far as progress has been made on any communicator of this rank. Cheap. A
  /// ticket stays valid (and done) for ever.
  virtual bool done(Ticket ticket) const = 0;
  /// Progresses, and says whether the operation has finished.
  bool test(Ticket ticket) {
    progress();
    return done(ticket);
  }
  /// Returns when the operation has finished; yields or sleeps meanwhile. Throws TimeoutError past the deadline, with
  /// the operation, its shape, and the peers that it waits for.
  virtual void wait(Ticket ticket) = 0;
  /// Work that is put on this rank's device from now on finds the operation done. Waits for it unless the device itself
  /// can.
  virtual void join(Ticket ticket) { wait(ticket); }
  /// The next operation notes when it begins and ends as these marks of the rank's device; only where its work is the
  /// device's.
  virtual void mark_next(std::size_t /*begin*/, std::size_t /*end*/) {}
  /// What was posted since Device::record began is recorded, not on its way: its tickets are done.
  virtual void recorded() {}
  /// Ends what this rank's device has in flight with others, whatever they do, on all of its communicators; they are of
  /// no use then. Before memory is given back of a step that came to no end.
  virtual void withdraw() noexcept {}
  /// Tells all ranks of the world that this one cannot go on, so that none waits for it. Does not throw. Withdraws
  /// what this rank has in flight, on all of its communicators: call it while those buffers still exist. With MPI
  /// processes the caller then ends the world by exit_all.
  virtual void fail(const std::string& reason) noexcept = 0;

  /// By kind of operation: "all_reduce", "send", ... Groups of one rank carry nothing but sends to themselves.
  virtual std::span<const std::pair<std::string, CommCounter>> counters() const = 0;
};

/// `size` communicators of one world of threads; each is handed to its own thread.
std::vector<std::unique_ptr<Communicator>> make_thread_world(int size, const CommOptions& options);

/// True if this build can talk MPI.
bool mpi_available();
/// Initialises MPI (single-threaded use) and returns its world. Throws CommError in a build without MPI.
std::unique_ptr<Communicator> make_mpi_world(const CommOptions& options);
/// Ends all processes of the MPI world with this exit code after flushing standard output and error; does not return.
/// For one rank that fails alone; where all ranks agree on an error, finalize_mpi and return from main is the quiet
/// way. Where MPI is not initialised only this process ends, without running destructors.
[[noreturn]] void exit_all(int code);
/// Finalises MPI if it was initialised, when all communicators are gone. For ends on which all ranks agree.
void finalize_mpi();
/// Rank and size by the launcher's environment; size 0 where there is none.
struct LauncherEnvironment {
  int rank = 0;
  int size = 0;
  int local_size = 0;  ///< ranks on this node; 0 where unknown
};
/// Reads the variables of Open MPI, PMI (MPICH, Intel), PMIx, Slurm's steps and torchrun.
LauncherEnvironment launcher_environment();

}  // namespace dml
