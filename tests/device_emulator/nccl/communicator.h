// One rank of a communicator: how it meets its peers, what it has issued, and how far that has come.
#pragma once

#include <nccl.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/device_emulator/nccl/segment.h"

namespace dml::emulator::nccl {

class Communicator;

/// A rank with all communicators that were split off its first one: what reports of hangs look at, and what orders its
/// operations under EMULATOR_NCCL_IN_ORDER=1.
struct Family {
  std::mutex mutex;
  std::vector<Communicator*> members;
  std::set<std::uint64_t> outstanding;  ///< operations of all members, numbered in the order of issue
  std::uint64_t issued = 0;
};

/// All members may be used by the thread of the rank and by whichever thread runs the device, unless said otherwise.
class Communicator : public std::enable_shared_from_this<Communicator> {
 public:
  struct Options {
    bool blocking = true;
    std::string name;  ///< empty: made of the unique id
  };

  Communicator(int ranks, int rank, int device, Options options, std::shared_ptr<Family> family);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int ranks() const { return ranks_; }
  int rank() const { return rank_; }
  int device() const { return device_; }
  const Options& options() const { return options_; }
  const std::shared_ptr<Family>& family() const { return family_; }
  Segment& segment() { return segment_; }
  Seat& seat(int rank) { return segment_.seat(rank); }

  /// Takes part in the meeting at `origin`, one step at a time: see progress. Not thread safe, like all below up to
  /// `progress`.
  void join(const Origin& origin);
  /// Takes part in a split of this communicator; the child is null for NCCL_SPLIT_NOCOLOR.
  std::shared_ptr<Communicator> split(int color, int key, Options options);
  /// Work that is put on streams by a later poll: how calls behave that return ncclInProgress.
  void postpone(std::function<ncclResult_t()> submit);

  /// Brings meetings, splits and postponed work forward without waiting, and says how the communicator is.
  ncclResult_t progress();

  void abort();
  bool is_aborted() const { return aborted_; }
  /// The first error stays; what is on its way then waits until the communicator is aborted.
  void set_async_error(ncclResult_t error);
  bool has_async_error() const { return async_error_ != ncclSuccess; }
  const std::string& error_text() const { return error_text_; }

  /// Held by the graphs that captured an operation of it: the library gives a communicator up when they are gone.
  std::shared_ptr<const void> hold() { return captured_; }
  bool is_held() const { return captured_.use_count() > 1; }

  // Operations are numbered in the order of issue, and take turns.
  std::uint64_t take_turn() { return issued_++; }
  std::uint64_t turn() const { return turn_; }
  void finish_turn() { ++turn_; }
  std::uint64_t issued() const { return issued_; }
  std::uint64_t outstanding() const { return issued_ - turn_; }
  /// Rounds of collectives that this rank has begun; of the thread that runs the operation whose turn it is.
  std::uint64_t rounds = 0;
  std::mutex running;  ///< held by the thread that brings an operation forward

  /// Tells all peers, in every communicator of the family, what this rank waits in.
  void say(const std::string& doing);
  /// Whether a peer has died or has aborted.
  bool has_lost_peer() const;

 private:
  /// A split on its way: first all entries are awaited, then the origin of the group.
  struct Splitting {
    int turn, color;
    std::shared_ptr<Communicator> child;
  };

  ncclResult_t progress_meeting(const Origin& origin);
  ncclResult_t progress_split();
  ncclResult_t take_seat(const Origin& origin);
  ncclResult_t fail(ncclResult_t error, const std::string& why);

  int ranks_, rank_, device_;
  Options options_;
  std::shared_ptr<Family> family_;
  Segment segment_;
  std::optional<Origin> origin_;  ///< while the meeting goes on
  bool is_seated_ = false;
  int splits_ = 0;
  std::optional<Splitting> splitting_;
  std::vector<std::function<ncclResult_t()>> postponed_;
  int postponed_polls_ = 0;
  std::weak_ptr<Communicator> parent_;  ///< while the split that makes this one goes on
  std::atomic<ncclResult_t> async_error_{ncclSuccess};
  std::atomic<bool> aborted_{false};
  std::atomic<std::uint64_t> issued_{0}, turn_{0};
  std::string error_text_;
  std::shared_ptr<const int> captured_ = std::make_shared<int>();
};

}  // namespace dml::emulator::nccl
