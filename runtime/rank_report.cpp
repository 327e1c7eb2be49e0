#include "runtime/rank_report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <numeric>

#include "parallel/pipeline/cut.h"
#include "runtime/comm/hosts.h"

namespace dml {
namespace {

/// Steps that are left out of the means: buffers and caches are filled in them.
constexpr std::int64_t kWarmUpSteps = 2;
constexpr std::size_t kLastLosses = 10;

struct KindRow {
  TaskKind kind;
  Axis axis;
  const char* name;
};
constexpr std::array kKinds{
    KindRow{TaskKind::all_reduce, Axis::data, "all_reduce d"},
    KindRow{TaskKind::all_reduce, Axis::pipeline, "all_reduce p"},
    KindRow{TaskKind::all_reduce, Axis::tensor, "all_reduce t"},
    KindRow{TaskKind::all_gather, Axis::tensor, "all_gather t"},
    KindRow{TaskKind::all_reduce, Axis::world, "all_reduce world"},
    KindRow{TaskKind::send, Axis::pipeline, "send"},
    KindRow{TaskKind::receive, Axis::pipeline, "receive"},
};
constexpr std::size_t kFixedFigures = 12;
constexpr std::size_t kFigures = kFixedFigures + 3 * kKinds.size();

double resident_bytes() {
  long pages = 0;
  if (std::FILE* file = std::fopen("/proc/self/statm", "r")) {
    long total = 0;
    if (std::fscanf(file, "%ld %ld", &total, &pages) != 2) pages = 0;
    std::fclose(file);
  }
  return static_cast<double>(pages) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// Fixed-size text and numbers of a rank, as they travel at the start and at the end.
struct RankLine {
  std::array<char, 64> host{};
  std::array<char, 96> layers{};
  std::int64_t parameters = 0, planned = 0, used = 0;
};
static_assert(sizeof(RankLine) % sizeof(std::int64_t) == 0);

template <std::size_t N>
void put(std::array<char, N>& to, const std::string& text) {
  std::memcpy(to.data(), text.data(), std::min(text.size(), N - 1));
}

void gather_all(Communicator& world, void* all, void* mine, std::int64_t words) {
  const std::vector<std::int64_t> counts(static_cast<std::size_t>(world.size()), words);
  world.wait(
      world.all_gather({all, DataType::i64, Shape{words * world.size()}}, {mine, DataType::i64, Shape{words}}, counts));
}

std::vector<RankPlan> gather_plans(RankState& state, Communicator& world) {
  const Partition& p = state.partition();
  RankLine mine;
  put(mine.host, host_name());
  put(mine.layers, p.summary.stage_labels[static_cast<std::size_t>(p.own_stages.front())]);
  mine.parameters = state.num_parameters();
  mine.planned = state.planned_bytes();
  mine.used = state.used_bytes();
  std::vector<RankLine> lines(static_cast<std::size_t>(world.size()));
  gather_all(world, lines.data(), &mine, sizeof(RankLine) / sizeof(std::int64_t));
  std::vector<RankPlan> plans;
  for (int rank = 0; rank < world.size(); ++rank) {
    const RankLine& line = lines[static_cast<std::size_t>(rank)];
    plans.push_back({rank, p.mesh.coordinate(rank), line.host.data(), line.layers.data(), line.parameters, line.planned,
                     line.used});
  }
  return plans;
}

/// Which axes cross hosts, and a word where they need not.
void add_links(RunPlan& plan, const Mesh& mesh) {
  std::vector<std::string> names;
  for (const RankPlan& rank : plan.ranks) names.push_back(rank.host);
  const HostTable hosts = make_hosts(names);
  plan.links = axis_links(mesh, hosts.of_rank);
  if (const auto order = better_order(mesh, hosts.of_rank)) {
    plan.notes.push_back(
        fmt::format("--order {} lets axes talk between hosts that --order {} keeps within them", mesh.order(), *order));
  }
}

/// Moves `items` of `rank` to rank 0, where they replace what is there.
template <typename Item>
void to_first_rank(Communicator& world, int rank, std::vector<Item>& items) {
  static_assert(std::is_trivially_copyable_v<Item> && sizeof(Item) % 4 == 0);
  constexpr int kChannel = 1 << 17;
  if (rank == 0 || (world.rank() != rank && world.rank() != 0)) return;
  auto count = static_cast<std::int64_t>(items.size());
  const TensorView header{&count, DataType::i64, Shape{1}};
  world.wait(world.rank() == 0 ? world.receive(header, rank, kChannel) : world.send(header, 0, kChannel));
  items.resize(static_cast<std::size_t>(count));
  const TensorView body{items.data(), DataType::i32, Shape{count * static_cast<std::int64_t>(sizeof(Item) / 4)}};
  world.wait(world.rank() == 0 ? world.receive(body, rank, kChannel) : world.send(body, 0, kChannel));
}

/// The fields of a breakdown, in the order in which they travel.
template <typename Parts>
auto fields(Parts& p) {
  return std::array{&p.step, &p.compute, &p.core_wait, &p.exposed_comm, &p.bubble, &p.other, &p.comm};
}

int group_size_of(const Mesh& mesh, const KindRow& row) {
  return row.kind == TaskKind::send || row.kind == TaskKind::receive ? 2 : mesh.extent(row.axis);
}

}  // namespace

RankReporter::RankReporter(RankState& state, Communicator& world, RunObserver* observer)
    : state_(state), world_(world), observer_(observer), start_(std::chrono::steady_clock::now()) {
  all_figures_.resize(kFigures * static_cast<std::size_t>(world.size()));
  for (const KindRow& row : kKinds) comm_.push_back({row.name, 0, 0, 0, group_size_of(state.partition().mesh, row)});
}

void RankReporter::started(RunPlan plan) {
  plans_ = gather_plans(state_, world_);
  plan.ranks = plans_;
  add_links(plan, state_.partition().mesh);
  if (observer_ != nullptr) observer_->started(plan);
}

std::vector<double> RankReporter::figures() const {
  Executor& executor = state_.executor();
  std::vector<double> result;
  result.reserve(kFigures);
  for (const double* field : fields(executor.parts())) result.push_back(*field);
  result.insert(result.end(), {executor.forward_seconds(), executor.backward_seconds(), executor.update_seconds(),
                               executor.processor_seconds(), resident_bytes()});
  for (const KindRow& row : kKinds) {
    double seconds = 0, count = 0, bytes = 0;
    for (const Executor::CommTime& time : executor.comm_times()) {
      if (time.kind != row.kind || time.axis != row.axis) continue;
      seconds = time.seconds;
      count = static_cast<double>(time.count);
      bytes = static_cast<double>(time.bytes);
    }
    result.insert(result.end(), {seconds, count, bytes});
  }
  return result;
}

RankStep RankReporter::rank_step(int rank, std::int64_t step, const double* figures) const {
  RankStep row;
  row.rank = rank;
  row.step = step;
  for (double* field : fields(row.parts)) *field = *figures++;
  row.forward = *figures++;
  row.backward = *figures++;
  row.update = *figures++;
  const double processor = *figures++;
  row.cpu_percent = row.parts.step > 0 ? 100 * processor / row.parts.step : 0;
  row.resident_bytes = static_cast<std::int64_t>(*figures++);
  for (const KindRow& kind : kKinds) {
    const double seconds = *figures++;
    const double count = *figures++;
    const auto bytes = static_cast<std::int64_t>(*figures++);
    if (count == 0) continue;
    row.comm_seconds.emplace_back(kind.name, seconds);
    if (kind.kind != TaskKind::receive) row.bytes_sent.emplace_back(kind.name, bytes);
    if (kind.kind != TaskKind::send) row.bytes_received.emplace_back(kind.name, bytes);
  }
  return row;
}

void RankReporter::stepped(StepRecord record) {
  std::vector<double> mine = figures();
  gather_all(world_, all_figures_.data(), mine.data(), kFigures);
  losses_.push_back(record.loss);
  if (observer_ == nullptr) return;
  std::vector<RankStep> ranks;
  for (int rank = 0; rank < world_.size(); ++rank) {
    const double* of_rank = all_figures_.data() + kFigures * static_cast<std::size_t>(rank);
    ranks.push_back(rank_step(rank, record.step, of_rank));
    if (record.step < kWarmUpSteps) continue;
    for (std::size_t kind = 0; kind < kKinds.size(); ++kind) {
      const double* triple = of_rank + kFixedFigures + 3 * kind;
      comm_[kind].seconds += triple[0];
      comm_[kind].count += static_cast<std::int64_t>(triple[1]);
      comm_[kind].bytes += static_cast<std::int64_t>(triple[2]);
    }
  }
  for (const RankStep& rank : ranks) {
    const auto to = fields(record.mean);
    const auto from = fields(rank.parts);
    for (std::size_t i = 0; i < to.size(); ++i) *to[i] += *from[i] / static_cast<double>(ranks.size());
  }
  record.samples_per_s /= record.mean.step;
  record.tokens_per_s /= record.mean.step;
  record.flops_per_s /= record.mean.step;
  record.peak_fraction /= record.mean.step;
  if (record.step >= kWarmUpSteps || record.num_steps <= kWarmUpSteps) add_to_means(ranks);
  observer_->stepped(record, ranks);
}

void RankReporter::add_to_means(const std::vector<RankStep>& ranks) {
  ++num_summed_;
  if (sums_.empty()) {
    sums_ = ranks;
    return;
  }
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    const auto to = fields(sums_[r].parts);
    const auto from = fields(ranks[r].parts);
    for (std::size_t i = 0; i < to.size(); ++i) *to[i] += *from[i];
    sums_[r].forward += ranks[r].forward;
    sums_[r].backward += ranks[r].backward;
    sums_[r].update += ranks[r].update;
    sums_[r].cpu_percent += ranks[r].cpu_percent;
    sums_[r].resident_bytes = ranks[r].resident_bytes;
    for (std::size_t k = 0; k < sums_[r].comm_seconds.size(); ++k) {
      sums_[r].comm_seconds[k].second += ranks[r].comm_seconds[k].second;
    }
  }
}

double RankReporter::began_after_the_first() const {
  std::vector<double> began(static_cast<std::size_t>(world_.size()));
  double own = std::chrono::duration<double>(state_.executor().spans_began().time_since_epoch()).count();
  own += seconds_to_first_rank(world_);
  const std::vector<std::int64_t> counts(began.size(), 1);
  world_.wait(world_.all_gather({began.data(), DataType::f64, {world_.size()}}, {&own, DataType::f64, {1}}, counts));
  return own - *std::min_element(began.begin(), began.end());
}

void RankReporter::traced() {
  const double later = began_after_the_first();
  std::vector<RankTasks> ranks;
  Timeline timeline;
  timeline.measured = true;
  for (int rank = 0; rank < world_.size(); ++rank) {
    RankTasks tasks;
    if (rank == world_.rank()) tasks = state_.partition().tasks;
    tasks.rank = rank;
    const std::span<const Span> spans = state_.executor().spans();
    std::vector<Span> its_spans(spans.begin(), spans.end());
    for (Span& span : its_spans) {
      span.start += later;
      span.end += later;
    }
    to_first_rank(world_, rank, tasks.tasks);
    to_first_rank(world_, rank, tasks.deps);
    to_first_rank(world_, rank, tasks.works);
    to_first_rank(world_, rank, its_spans);
    if (world_.rank() != 0) continue;
    timeline.spans.insert(timeline.spans.end(), its_spans.begin(), its_spans.end());
    ranks.push_back(std::move(tasks));
  }
  if (observer_ == nullptr) return;
  const Partition& partition = state_.partition();
  observer_->traced(ranks, timeline, partition.mesh, [&](const RankTasks& rank, const Task& task) {
    const Graph& graph = partition.split().graph;
    if (task.node != kNone) return graph.node(task.node).name;
    if (task.value != kNone) return std::string(name_of(task.kind)) + " " + graph.value(task.value).name;
    if (task.kind == TaskKind::compute) return std::string("totals");
    return std::string(name_of(task.kind)) +
           (rank.work_of(task).count > 0 && task.kind != TaskKind::update ? " gradients" : "");
  });
}

void RankReporter::finished(const std::string& sample) {
  plans_ = gather_plans(state_, world_);
  if (observer_ == nullptr) return;
  RunSummary summary;
  summary.ranks = plans_;
  summary.mean_steps = sums_;
  for (RankStep& rank : summary.mean_steps) {
    const auto n = static_cast<double>(num_summed_);
    for (double* field : fields(rank.parts)) *field /= n;
    for (double* field : {&rank.forward, &rank.backward, &rank.update, &rank.cpu_percent}) *field /= n;
    for (auto& [kind, seconds] : rank.comm_seconds) seconds /= n;
  }
  std::copy_if(comm_.begin(), comm_.end(), std::back_inserter(summary.comm),
               [](const CommTotals& k) { return k.count > 0; });
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const std::size_t last = std::min(losses_.size(), kLastLosses);
  summary.first_loss = losses_.empty() ? 0 : losses_.front();
  summary.last_loss = std::accumulate(losses_.end() - static_cast<std::ptrdiff_t>(last), losses_.end(), 0.0) /
                      static_cast<double>(std::max<std::size_t>(1, last));
  summary.sample = sample;
  observer_->finished(summary);
}

}  // namespace dml
