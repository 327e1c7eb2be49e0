#include "runtime/calibrate/comm_sweep.h"

#include <algorithm>
#include <cstdint>
#include <functional>

#include "runtime/calibrate/samples.h"
#include "runtime/comm/clock.h"

namespace dml {
namespace {

constexpr double kBytes[] = {256, 4096, 65536, 1 << 20, 1 << 23};
constexpr int kBatches = 5;
/// Operations of a batch: all of them together move about so many bytes.
constexpr double kBatchBytes = 1 << 20;
constexpr int kMostOperations = 12;
constexpr int kChannel = 0;
/// Operations take their data from here in turn, as a step's do: more than the caches of a core.
constexpr double kMemoryBytes = 32 << 20;
/// How long a receiver waits for a message, as a stage waits for another that computes.
constexpr std::chrono::microseconds kPause{500};

class CommSweep {
 public:
  explicit CommSweep(Communicator& group) : group_(group), whole_(num_elems(kMemoryBytes)), part_(whole_.size()) {}

  CommCurve curve(CommKind kind) {
    CommCurve curve;
    for (const double bytes : kBytes) {
      const std::vector<double> batches = measure(kind, bytes);
      curve.seconds.push_back(median(batches));
      curve.spread.push_back(relative_spread(batches));
    }
    return curve;
  }

 private:
  static std::size_t num_elems(double bytes) { return static_cast<std::size_t>(bytes) / sizeof(float); }

  /// The next part of the memory that holds so many elements.
  TensorView view(std::vector<float>& memory, std::int64_t elems) const {
    const auto size = static_cast<std::size_t>(elems);
    return {memory.data() + turn_ % (memory.size() / size) * size, DataType::f32, Shape{elems}};
  }

  /// Seconds of one operation in each batch, in the mean over ranks; the same on all ranks.
  std::vector<double> measure(CommKind kind, double bytes) {
    const int operations = std::clamp(static_cast<int>(kBatchBytes / bytes), 2, kMostOperations);
    std::vector<double> batches;
    seconds_of_run(kind, bytes, 0);
    for (int batch = 0; batch < kBatches; ++batch) {
      double seconds = 0;
      for (int i = 0; i < operations; ++i) seconds += seconds_of_run(kind, bytes, i);
      batches.push_back(seconds / operations / (kind == CommKind::send ? 1 : group_.size()));
    }
    group_.wait(group_.all_reduce({batches.data(), DataType::f64, Shape{kBatches}}));
    return batches;
  }

  /// Of an operation on data that was just computed, and that was not used since its memory's last turn.
  double seconds_of_run(CommKind kind, double bytes, int index) {
    ++turn_;
    const auto elems = static_cast<std::int64_t>(num_elems(bytes));
    compute(view(whole_, elems));
    compute(view(part_, part_size(elems, group_.size(), group_.rank())));
    group_.wait(group_.barrier());
    if (kind == CommKind::send) return seconds_one_way(elems);
    const Clock::time_point begin = Clock::now();
    run(kind, elems, index);
    return seconds_since(begin);
  }

  static void compute(TensorView data) { std::fill_n(data.f32(), data.num_elements(), 1.0F); }

  static double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  }

  void run(CommKind kind, std::int64_t elems, int index) {
    switch (kind) {
      case CommKind::send: return;
      case CommKind::all_reduce: return group_.wait(group_.all_reduce(view(whole_, elems)));
      case CommKind::broadcast: return group_.wait(group_.broadcast(view(whole_, elems), index % group_.size()));
      case CommKind::all_gather: {
        const std::vector<std::int64_t> counts = shares(elems);
        return group_.wait(group_.all_gather(view(whole_, elems), view(part_, own(counts)), counts));
      }
      case CommKind::reduce_scatter: {
        const std::vector<std::int64_t> counts = shares(elems);
        return group_.wait(group_.reduce_scatter(view(part_, own(counts)), view(whole_, elems), counts));
      }
    }
  }

  /// Half of there and back between the first two ranks, each way to a rank that waits already; 0 on the others.
  double seconds_one_way(std::int64_t elems) {
    if (group_.rank() > 1) return 0;
    const int peer = 1 - group_.rank();
    const auto receive = [&] { group_.wait(group_.receive(view(part_, elems), peer, kChannel)); };
    if (group_.rank() == 1) receive();
    pause();
    const Clock::time_point begin = Clock::now();
    group_.wait(group_.send(view(whole_, elems), peer, kChannel));
    if (group_.rank() == 0) receive();
    return group_.rank() == 0 ? (seconds_since(begin) - std::chrono::duration<double>(kPause).count()) / 2 : 0;
  }

  static void pause() {
    const Clock::time_point end = Clock::now() + kPause;
    while (Clock::now() < end) {
    }
  }

  std::vector<std::int64_t> shares(std::int64_t elems) const {
    std::vector<std::int64_t> counts;
    for (int rank = 0; rank < group_.size(); ++rank) counts.push_back(part_size(elems, group_.size(), rank));
    return counts;
  }

  std::int64_t own(const std::vector<std::int64_t>& counts) const {
    return counts[static_cast<std::size_t>(group_.rank())];
  }

  Communicator& group_;
  std::vector<float> whole_, part_;
  std::size_t turn_ = 0;
};

}  // namespace

std::span<const double> comm_sweep_bytes() { return kBytes; }

std::map<CommKind, CommCurve> measure_comm(Communicator& group) {
  CommSweep sweep(group);
  std::map<CommKind, CommCurve> curves;
  for (const CommKind kind : kCommKinds) curves[kind] = sweep.curve(kind);
  return curves;
}

CommTables comm_tables(const std::map<int, std::map<CommKind, CommCurve>>& by_ranks) {
  CommTables tables;
  for (const auto& [ranks, curves] : by_ranks) {
    for (const auto& [kind, curve] : curves) {
      SizeTable& table = tables[kind];
      const bool is_repeated = kind == CommKind::send && !table.axes.empty();
      if (is_repeated) continue;
      if (table.axes.empty()) table.axes = {{}, {std::begin(kBytes), std::end(kBytes)}};
      table.axes.front().push_back(ranks);
      table.seconds.insert(table.seconds.end(), curve.seconds.begin(), curve.seconds.end());
      table.spread.insert(table.spread.end(), curve.spread.begin(), curve.spread.end());
    }
  }
  return tables;
}

}  // namespace dml
