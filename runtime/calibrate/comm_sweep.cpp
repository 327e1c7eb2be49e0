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
constexpr int kMostOperations = 24;
constexpr int kChannel = 0;

class CommSweep {
 public:
  explicit CommSweep(Communicator& group)
      : group_(group), whole_(num_elems(kBytes[std::size(kBytes) - 1])), part_(whole_.size()) {}

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

  static TensorView view(std::vector<float>& memory, std::int64_t elems) {
    return {memory.data(), DataType::f32, Shape{elems}};
  }

  /// Seconds of one operation in each batch, by the clock of rank 0, on all ranks.
  std::vector<double> measure(CommKind kind, double bytes) {
    const int operations = std::clamp(static_cast<int>(kBatchBytes / bytes), 2, kMostOperations);
    std::vector<double> batches;
    run(kind, bytes, 0);
    for (int batch = 0; batch < kBatches; ++batch) {
      group_.wait(group_.barrier());
      const Clock::time_point begin = Clock::now();
      for (int i = 0; i < operations; ++i) run(kind, bytes, i);
      batches.push_back(std::chrono::duration<double>(Clock::now() - begin).count() / operations);
    }
    const TensorView all{batches.data(), DataType::f64, Shape{kBatches}};
    group_.wait(group_.broadcast(all, 0));
    return batches;
  }

  void run(CommKind kind, double bytes, int index) {
    const auto elems = static_cast<std::int64_t>(num_elems(bytes));
    switch (kind) {
      case CommKind::send: return pass(elems, index);
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

  /// One message, from rank 0 to 1 where `index` is even, else back.
  void pass(std::int64_t elems, int index) {
    if (group_.rank() > 1) return;
    const int peer = 1 - group_.rank();
    const TensorView data = view(whole_, elems);
    const bool sends = index % 2 == group_.rank();
    group_.wait(sends ? group_.send(data, peer, kChannel) : group_.receive(data, peer, kChannel));
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
