#include "parallel/build_tasks.h"

#include <algorithm>
#include <map>

#include "kernels/error.h"
#include "models/index.h"
#include "models/op.h"
#include "parallel/collective_node.h"

namespace dml {
namespace {

constexpr std::int64_t kF32Bytes = 4;

class Builder {
 public:
  Builder(const TaskInputs& in, const StageMap& map)
      : in_(in),
        map_(map),
        at_(in.mesh.coordinate(in.rank)),
        numbers_{in.graphs[0]->graph.num_nodes(), in.graphs[0]->graph.num_values()},
        place_of_(index(numbers_.num_values), -1),
        gradient_maker_(in.layout.segments.size(), -1),
        num_rounds_(in.techniques.shares_gradients() ? in.graphs.size() : 1),
        open_(in.layout.buckets.size() * num_rounds_, 0) {
    result_.rank = in.rank;
    std::size_t num_nodes = 0;
    for (const Action& action : in.orders[index(at_.p)]) {
      if (action.phase == Phase::forward) num_nodes += map.nodes(action.stage).size();
    }
    result_.tasks.reserve(num_nodes);
    count_addends();
  }

  RankTasks build() {
    const Order& order = in_.orders[index(at_.p)];
    std::int32_t gather = -1;
    if (!order.empty()) {
      receive(order[0]);
      gather = gather_weights(order[0]);
    }
    for (std::size_t i = 0; i < order.size(); ++i) {
      gathered_ = gather;
      if (i + 1 < order.size()) {  // posted one pass ahead
        receive(order[i + 1]);
        gather = gather_weights(order[i + 1]);
      }
      run(order[i]);
      send(order[i]);
    }
    if (!in_.forward_only) {
      for (std::size_t bucket = 0; bucket < in_.layout.buckets.size(); ++bucket) sum_shared(static_cast<int>(bucket));
    }
    end_step();
    result_.tasks.shrink_to_fit();
    result_.deps.shrink_to_fit();
    return std::move(result_);
  }

 private:
  const Graph& graph(int microbatch) const { return in_.graphs[index(microbatch)]->graph; }
  /// The task that makes a value on this rank, or -1; a place for it where there is none.
  std::int32_t& maker(ValueId value, int microbatch) {
    std::int32_t& place = place_of_[index(value)];
    if (place < 0) {
      place = static_cast<std::int32_t>(makers_.size());
      makers_.resize(makers_.size() + in_.graphs.size(), -1);
    }
    return makers_[index(place) + index(microbatch)];
  }

  /// For every bucket and round, how many addends of its gradients this rank will compute.
  void count_addends() {
    for (std::size_t b = 0; b < in_.layout.buckets.size(); ++b) {
      const Bucket& bucket = in_.layout.buckets[b];
      for (int s = bucket.first_segment; s < bucket.first_segment + bucket.num_segments; ++s) {
        for (const ValueId addend : map_.addends(in_.layout.segments[index(s)].value)) {
          if (!is_mine(graph(0).value(addend).producer)) continue;
          for (std::size_t microbatch = 0; microbatch < in_.graphs.size(); ++microbatch)
            ++open_[round(b, static_cast<int>(microbatch))];
        }
      }
    }
  }

  /// What of a bucket is summed at once: gradients of all microbatches, or of one.
  std::size_t round(std::size_t bucket, int microbatch) const {
    return bucket * num_rounds_ + (num_rounds_ > 1 ? index(microbatch) : 0);
  }

  bool is_mine(NodeId node) const { return in_.placement.position(in_.stages[index(node)]) == at_.p; }

  TaskId id_of(Phase phase, std::int32_t operation, int microbatch, int stage) const {
    return {phase, operation, microbatch, static_cast<std::int16_t>(stage), static_cast<std::int16_t>(at_.t), at_.d};
  }

  std::int32_t add_work(const Work& work) {
    result_.works.push_back(work);
    return static_cast<std::int32_t>(result_.works.size()) - 1;
  }

  /// Of a task that has its work to itself.
  std::int32_t append(Task task, const Work& work, std::vector<std::int32_t> deps) {
    task.work = add_work(work);
    return append(task, std::move(deps));
  }

  std::int32_t append(Task task, std::vector<std::int32_t> deps) {
    std::sort(deps.begin(), deps.end());
    deps.erase(std::unique(deps.begin(), deps.end()), deps.end());
    std::erase(deps, -1);
    task.first_dep = static_cast<std::int32_t>(result_.deps.size());
    task.num_deps = static_cast<std::int32_t>(deps.size());
    result_.deps.insert(result_.deps.end(), deps.begin(), deps.end());
    result_.tasks.push_back(task);
    return static_cast<std::int32_t>(result_.tasks.size()) - 1;
  }

  Task transfer(TaskKind kind, const Action& action, ValueId value, int other_stage) {
    Task task;
    task.id = id_of(action.phase, numbers_.transfer(value), action.microbatch, action.stage);
    task.kind = kind;
    task.queue = kind == TaskKind::send ? QueueId::pipeline_send : QueueId::pipeline_receive;
    task.axis = Axis::pipeline;
    task.value = value;
    task.peer = in_.mesh.rank({at_.d, in_.placement.position(other_stage), at_.t});
    // One channel per boundary and direction: transfers on it keep the order of the passes.
    const int from = kind == TaskKind::send ? action.stage : other_stage;
    task.channel = 2 * from + (action.phase == Phase::forward ? 0 : 1);
    const Graph& g = graph(action.microbatch);
    std::int32_t& work = works_of(g).values[index(value)];
    if (work == kNone) work = add_work({.bytes = g.value(value).num_bytes()});
    task.work = work;
    return task;
  }

  bool crosses(int from, int to) const {
    return to >= 0 && to < in_.placement.num_stages() && in_.placement.position(from) != in_.placement.position(to);
  }

  void receive(const Action& action) {
    if (action.phase == Phase::weight_grad) return;
    const bool forward = action.phase == Phase::forward;
    const int from = action.stage + (forward ? -1 : 1);
    if (from < 0 || from >= in_.placement.num_stages() || !crosses(from, action.stage)) return;
    for (const ValueId value : forward ? map_.down(from) : map_.up(from)) {
      maker(value, action.microbatch) = append(transfer(TaskKind::receive, action, value, from), {});
    }
  }

  void send(const Action& action) {
    if (action.phase == Phase::weight_grad) return;
    const bool forward = action.phase == Phase::forward;
    const int to = action.stage + (forward ? 1 : -1);
    if (!crosses(action.stage, to)) return;
    for (const ValueId value : forward ? map_.down(action.stage) : map_.up(action.stage)) {
      append(transfer(TaskKind::send, action, value, to), {maker(value, action.microbatch)});
    }
  }

  void run(const Action& action) {
    for (const NodeId id : map_.nodes(action.stage)) {
      if (runs_in(action, id)) run_node(id, action);
    }
  }

  bool runs_in(const Action& action, NodeId id) const {
    const bool forward = graph(action.microbatch).node(id).phase == Phase::forward;
    if (forward || action.phase == Phase::forward) return forward && action.phase == Phase::forward;
    if (action.phase == Phase::input_grad && action.fused) return true;
    return map_.goes_with_inputs(id) == (action.phase == Phase::input_grad);
  }

  void run_node(NodeId id, const Action& action) {
    const Graph& g = graph(action.microbatch);
    const Node& node = g.node(id);
    std::vector<std::int32_t> deps;
    for (const ValueId input : node.inputs) {
      if (input == kNone) continue;
      deps.push_back(g.value(input).role == Role::parameter ? gathered_ : maker(input, action.microbatch));
    }
    if (node.op->is_alias) {
      maker(node.outputs[0], action.microbatch) = deps.empty() ? -1 : deps[0];
      if (map_.addend_of(node.outputs[0]) == kNone) return;
    }
    Task task;
    task.id = id_of(node.phase, id, action.microbatch, action.stage);
    task.node = id;
    task.kind = task_kind_of(node);
    if (is_collective(task.kind)) task.queue = QueueId::tensor_comm;
    task.work = work_of_node(g, id);
    const std::int32_t made = append(task, std::move(deps));
    for (const ValueId output : node.outputs) {
      maker(output, action.microbatch) = made;
      if (map_.addend_of(output) != kNone) finish_addend(map_.addend_of(output), made, action.microbatch);
    }
  }

  /// Places in the works, or kNone.
  struct Works {
    std::vector<std::int32_t> nodes, values;
  };

  /// Microbatches of the same size have the same graph.
  Works& works_of(const Graph& g) {
    Works& works = works_[&g];
    works.nodes.resize(index(numbers_.num_nodes), kNone);
    works.values.resize(index(numbers_.num_values), kNone);
    return works;
  }

  std::int32_t work_of_node(const Graph& g, NodeId id) {
    std::int32_t& work = works_of(g).nodes[index(id)];
    if (work != kNone) return work;
    const Node& node = g.node(id);
    if (is_collective(task_kind_of(node))) {
      work = add_work({.bytes = collective_bytes(g, node)});
    } else {
      const Cost cost = cost_of(g, node);
      work = add_work({.bytes = static_cast<std::int64_t>(cost.bytes), .flops = cost.flops});
    }
    return work;
  }

  void finish_addend(ValueId parameter, std::int32_t made, int microbatch) {
    const int segment = in_.layout.find(parameter);
    DML_ASSERT(segment >= 0, graph(0).value(parameter).name);
    gradient_maker_[index(segment)] = made;
    for (std::size_t b = 0; b < in_.layout.buckets.size(); ++b) {
      const Bucket& bucket = in_.layout.buckets[b];
      if (segment < bucket.first_segment || segment >= bucket.first_segment + bucket.num_segments) continue;
      if (--open_[round(b, microbatch)] == 0 && !bucket.is_shared())
        sum_over_replicas(static_cast<int>(b), makers_of(bucket), num_rounds_ > 1 ? microbatch : 0);
    }
  }

  std::vector<std::int32_t> makers_of(const Bucket& bucket) const {
    return {gradient_maker_.begin() + bucket.first_segment,
            gradient_maker_.begin() + bucket.first_segment + bucket.num_segments};
  }

  Task gradient_sum(int bucket, Axis axis, std::int32_t operation) const {
    const Bucket& b = in_.layout.buckets[index(bucket)];
    Task task;
    task.id = id_of(Phase::update, operation, 0, b.tied_stages.front());
    const bool scatters = axis == Axis::data && in_.techniques.shares_states();
    task.kind = scatters ? TaskKind::reduce_scatter : TaskKind::all_reduce;
    task.queue = QueueId::data_comm;
    task.axis = axis;
    return task;
  }

  Work work_of_sum(int bucket) const {
    const Bucket& b = in_.layout.buckets[index(bucket)];
    return {.bytes = b.count * kF32Bytes, .begin = b.begin, .count = b.count};
  }

  void sum_over_replicas(int bucket, std::vector<std::int32_t> deps, int microbatch) {
    if (in_.mesh.d() > 1) {
      Task sum = gradient_sum(bucket, Axis::data, numbers_.bucket_sum(bucket));
      sum.id.microbatch = microbatch;
      deps = {append(sum, work_of_sum(bucket), std::move(deps))};
    }
    complete_.insert(complete_.end(), deps.begin(), deps.end());
  }

  /// The totals of the step over all ranks, and the update, which waits for them only if it clips.
  void end_step() {
    const int stage = in_.placement.stages(at_.p).front();
    Task totals;
    totals.id = id_of(Phase::update, numbers_.totals(), 0, stage);
    std::vector<std::int32_t> deps{append(totals, {.bytes = own_count() * kF32Bytes}, complete_)};
    Task sum = totals;
    sum.id.operation = numbers_.totals_sum();
    sum.kind = TaskKind::all_reduce;
    sum.queue = QueueId::data_comm;
    sum.axis = Axis::world;
    // Loss, correct samples, and a square norm for each parameter.
    const auto numbers = 2 + graph(0).gradient_of.size();
    deps.push_back(append(sum, {.bytes = static_cast<std::int64_t>(numbers * sizeof(double))}, deps));
    if (in_.forward_only) return;
    if (!in_.clips) deps.pop_back();
    Task update;
    update.id = id_of(Phase::update, numbers_.update(), 0, stage);
    update.kind = TaskKind::update;
    const std::int64_t begin = in_.techniques.shares_states() ? part_begin(in_.layout.size, in_.mesh.d(), at_.d) : 0;
    const std::int32_t updated =
        append(update, {.bytes = own_count() * kF32Bytes, .begin = begin, .count = own_count()}, deps);
    if (in_.techniques.shares_states() && !in_.techniques.shares_parameters())
      gather(id_of(Phase::update, 0, 0, stage), in_.layout.segments, {updated});
  }

  /// Elements that this rank updates.
  std::int64_t own_count() const {
    return in_.techniques.shares_states() ? part_size(in_.layout.size, in_.mesh.d(), at_.d) : in_.layout.size;
  }

  /// The task, or -1 where there is nothing to gather.
  std::int32_t gather(TaskId id, std::span<const Segment> segments, std::vector<std::int32_t> deps) {
    if (segments.empty() || in_.mesh.d() == 1) return -1;
    id.operation = numbers_.weights(segments.front().value);
    Task task;
    task.id = id;
    task.kind = TaskKind::all_gather;
    task.queue = QueueId::data_comm;
    task.axis = Axis::data;
    std::int64_t count = 0;
    for (const Segment& segment : segments) count += segment.count;
    const auto bytes = count * static_cast<std::int64_t>(size_of(in_.techniques.dtype));
    return append(task, {.bytes = bytes, .count = count}, std::move(deps));
  }

  /// Those of a pass, while the pass before it runs: the task, or -1 where a pass needs none.
  std::int32_t gather_weights(const Action& action) {
    if (!in_.techniques.shares_parameters() || action.phase == Phase::weight_grad) return -1;
    std::vector<Segment> segments;
    for (const Segment& segment : in_.layout.segments) {
      const auto& stages = segment.tied_stages;
      if (std::find(stages.begin(), stages.end(), action.stage) != stages.end()) segments.push_back(segment);
    }
    return gather(id_of(action.phase, 0, action.microbatch, action.stage), segments, {});
  }

  void sum_shared(int bucket) {
    const Bucket& b = in_.layout.buckets[index(bucket)];
    if (!b.is_shared()) return;
    std::vector<std::int32_t> deps = makers_of(b);
    const bool elsewhere = std::any_of(b.tied_stages.begin(), b.tied_stages.end(),
                                       [&](int stage) { return in_.placement.position(stage) != at_.p; });
    const std::int32_t number = numbers_.shared_sum(in_.layout.segments[index(b.first_segment)].value);
    if (elsewhere || b.summed_last) {
      const Axis axis = b.summed_last ? Axis::tensor : Axis::pipeline;
      deps = {append(gradient_sum(bucket, axis, number), work_of_sum(bucket), std::move(deps))};
    }
    sum_over_replicas(bucket, std::move(deps), 0);
  }

  const TaskInputs& in_;
  const StageMap& map_;
  Coordinate at_;
  OperationNumbers numbers_;
  std::vector<std::int32_t> place_of_;  ///< by value: in `makers_`, or -1
  std::vector<std::int32_t> makers_;    ///< by place and microbatch
  std::map<const Graph*, Works> works_;
  std::vector<std::int32_t> gradient_maker_;  ///< by segment: the task that added to its gradient last
  std::size_t num_rounds_;                    ///< sums of a bucket in a step
  std::vector<int> open_;                     ///< by bucket and round: addends still to come
  std::vector<std::int32_t> complete_;        ///< the tasks behind which all gradients are whole
  std::int32_t gathered_ = -1;                ///< the task that gathered the weights of this pass
  RankTasks result_;
};

}  // namespace

RankTasks build_tasks(const TaskInputs& inputs, const StageMap& map) { return Builder(inputs, map).build(); }

}  // namespace dml
