#include "launch/report/graph/drawing.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <tuple>

#include "models/index.h"
#include "models/op.h"
#include "models/scope.h"

namespace dml {
namespace {

/// The layers of a split graph, and which one each node is in. What belongs to no module is a layer of its own stage.
class Layers {
 public:
  Layers() = default;
  explicit Layers(const Partition& partition) {
    const Graph& graph = partition.split().graph;
    const std::size_t common = common_components(graph);
    for (NodeId id = 0; id < graph.num_nodes(); ++id) {
      const std::string& scope = graph.node(id).scope;
      const int stage = partition.stages[index(id)];
      of_node_.push_back(find(layer_of(scope, common), scope.empty() ? stage : kNone));
      std::vector<int>& stages = layers_[index(of_node_.back())].stages;
      if (std::find(stages.begin(), stages.end(), stage) == stages.end()) stages.push_back(stage);
    }
    for (DrawnLayer& layer : layers_) std::sort(layer.stages.begin(), layer.stages.end());
  }

  int of_node(NodeId node) const { return of_node_[index(node)]; }
  const std::vector<DrawnLayer>& all() const { return layers_; }

 private:
  int find(const std::string& name, int stage) {
    const auto [at, is_first] = index_.emplace(std::make_pair(name, stage), static_cast<int>(layers_.size()));
    if (is_first) layers_.push_back({name, {}});
    return at->second;
  }

  std::vector<DrawnLayer> layers_;
  std::vector<int> of_node_;
  std::map<std::pair<std::string, int>, int> index_;
};

/// What a task or transfer does in each microbatch alike.
using TaskKey = std::tuple<int, Phase, std::int32_t, int>;  // position, phase, operation, stage
TaskKey key_of(int position, const Task& task) { return {position, task.id.phase, task.id.operation, task.id.stage}; }

DrawnOutput output_of(const SplitGraph& split, ValueId id) {
  const Value& value = split.graph.value(id);
  const ShardSpec& shard = split.shards[index(id)];
  return {value.name, value.dtype, shard.global_shape, shard.sharding.to_string(), {}};
}

/// One shape where all ranks hold the same.
void merge_shapes(DrawnOutput& output) {
  std::vector<Shape>& shapes = output.shapes;
  if (std::adjacent_find(shapes.begin(), shapes.end(), std::not_equal_to<>()) == shapes.end()) shapes.resize(1);
}

class ProgramBuilder {
 public:
  ProgramBuilder(const Mesh& mesh, int replica, const PartitionOfRank& partition_of)
      : mesh_(mesh), replica_(replica), partition_of_(partition_of) {}

  DrawnProgram build() {
    for (int t = 0; t < mesh_.t(); ++t) {
      std::vector<Partition> ranks;
      for (int p = 0; p < mesh_.p(); ++p) ranks.push_back(partition_of_(mesh_.rank({replica_, p, t})));
      draw(ranks);
      for (const Partition& rank : ranks) add_costs(rank);
    }
    for (DrawnTask& task : program_.tasks) {
      for (DrawnOutput& output : task.outputs) merge_shapes(output);
    }
    for (DrawnTransfer& transfer : program_.transfers) merge_shapes(transfer.value);
    return std::move(program_);
  }

 private:
  /// The first tensor index draws all but gradient sums, of which others may have more.
  void draw(const std::vector<Partition>& ranks) {
    const std::size_t num_drawn = program_.tasks.size();
    if (num_drawn == 0) {
      layers_ = Layers(ranks.front());
      program_.sizes = ranks.front().sizes;
      program_.layers = layers_.all();
    }
    const auto for_all = [&](auto&& visit) {
      for (const Partition& rank : ranks) {
        for (const Task& task : rank.tasks.tasks) {
          if (task.id.microbatch == 0 && task.kind != TaskKind::receive) visit(rank, task);
        }
      }
    };
    for_all([&](const Partition& rank, const Task& task) { draw_task(rank, task); });
    for_all([&](const Partition& rank, const Task& task) {
      const bool sends = task.kind == TaskKind::send;
      if (sends ? num_drawn == 0 : index(task_index(rank, task)) >= num_drawn) connect(rank, task);
    });
  }

  void draw_task(const Partition& rank, const Task& task) {
    if (task.kind == TaskKind::send) return draw_transfer(rank, task);
    if (!task_of_.emplace(key_of(rank.at.p, task), static_cast<int>(program_.tasks.size())).second) return;
    DrawnTask drawn;
    drawn.id = task.id;
    drawn.kind = task.kind;
    drawn.axis = task.axis;
    drawn.position = rank.at.p;
    drawn.stage = task.id.stage;
    drawn.costs.resize(index(mesh_.t()));
    if (task.node == kNone) {
      describe_step_task(drawn, rank, task);
    } else {
      const Node& node = rank.split().graph.node(task.node);
      drawn.name = node.name;
      drawn.operation = node.op->name;
      drawn.layer = layers_.of_node(task.node);
      for (const ValueId output : node.outputs) drawn.outputs.push_back(output_of(rank.split(), output));
    }
    program_.tasks.push_back(std::move(drawn));
  }

  static std::string operation_of(TaskKind kind) {
    switch (kind) {
      case TaskKind::all_reduce: return "AllReduce";
      case TaskKind::all_gather: return "AllGather";
      case TaskKind::reduce_scatter: return "ReduceScatter";
      case TaskKind::update: return "Update";
      default: return "Totals";
    }
  }

  static bool sums_gradients(const Task& task) {
    return (task.kind == TaskKind::all_reduce && task.axis != Axis::world) || task.kind == TaskKind::reduce_scatter;
  }

  static void describe_step_task(DrawnTask& drawn, const Partition& rank, const Task& task) {
    drawn.operation = operation_of(task.kind);
    drawn.name = task.kind == TaskKind::update ? "update of the weights" : "totals of the step";
    if (task.kind == TaskKind::all_gather) drawn.name = "weights of the replicas";
    if (!sums_gradients(task)) return;
    drawn.name = task.axis == Axis::data ? "gradients over replicas" : "gradients of tied weights";
    const Work& work = rank.tasks.work_of(task);
    for (const Segment& segment : rank.layout.segments) {
      if (segment.begin >= work.begin && segment.begin < work.begin + work.count)
        drawn.parameters.push_back(segment.spec.name);
    }
  }

  void draw_transfer(const Partition& rank, const Task& task) {
    const auto key = std::make_pair(task.channel, task.id.operation);
    if (!transfer_of_.emplace(key, static_cast<int>(program_.transfers.size())).second) return;
    DrawnTransfer transfer;
    transfer.id = task.id;
    transfer.from_stage = task.id.stage;
    transfer.to_stage = task.id.stage + (task.id.phase == Phase::forward ? 1 : -1);
    transfer.channel = task.channel;
    transfer.value = output_of(rank.split(), task.value);
    transfer.costs.resize(index(mesh_.t()));
    program_.transfers.push_back(std::move(transfer));
  }

  void connect(const Partition& rank, const Task& task) {
    const bool sends = task.kind == TaskKind::send;
    for (const std::int32_t dep : rank.tasks.deps_of(task)) {
      const Task& source = rank.tasks.tasks[index(dep)];
      if (source.kind == TaskKind::receive) {
        if (!sends) task_at(rank, task).transfers.push_back(transfer_index(source));
      } else if (sends) {
        program_.transfers[index(transfer_index(task))].source = task_index(rank, source);
      } else {
        task_at(rank, task).inputs.push_back(task_index(rank, source));
      }
    }
  }

  int transfer_index(const Task& task) const { return transfer_of_.at({task.channel, task.id.operation}); }
  int task_index(const Partition& rank, const Task& task) const { return task_of_.at(key_of(rank.at.p, task)); }
  DrawnTask& task_at(const Partition& rank, const Task& task) { return program_.tasks[index(task_index(rank, task))]; }

  void add_costs(const Partition& rank) {
    for (const Task& task : rank.tasks.tasks) {
      if (task.kind == TaskKind::receive) continue;
      if (task.kind == TaskKind::send) {
        DrawnTransfer& transfer = program_.transfers[index(transfer_index(task))];
        add_cost(transfer.costs[index(rank.at.t)], rank.tasks, task);
        if (task.id.microbatch == 0) transfer.value.shapes.push_back(rank.split().graph.shape(task.value));
      } else {
        DrawnTask& drawn = task_at(rank, task);
        add_cost(drawn.costs[index(rank.at.t)], rank.tasks, task);
        if (task.id.microbatch == 0) add_shapes(drawn, rank.split().graph, task);
      }
    }
  }

  static void add_cost(DrawnCost& cost, const RankTasks& rank, const Task& task) {
    const Work& work = rank.work_of(task);
    cost.step_flops += work.flops;
    cost.step_bytes += work.bytes;
    if (task.id.microbatch > 0) return;
    cost.flops = work.flops;
    cost.bytes = work.bytes;
  }

  static void add_shapes(DrawnTask& drawn, const Graph& graph, const Task& task) {
    for (std::size_t i = 0; i < drawn.outputs.size(); ++i)
      drawn.outputs[i].shapes.push_back(graph.shape(graph.node(task.node).outputs[i]));
  }

  const Mesh& mesh_;
  int replica_;
  const PartitionOfRank& partition_of_;
  DrawnProgram program_;
  Layers layers_;
  std::map<TaskKey, int> task_of_;
  std::map<std::pair<int, std::int32_t>, int> transfer_of_;  ///< by channel and operation
};

void describe(Drawing& drawing, const Partition& any) {
  drawing.placement = any.placement;
  drawing.tensor_mode = any.mode == SplitMode::gather ? "gather" : "megatron";
  drawing.orders = any.orders;
  drawing.parameters = any.summary.parameters;
  drawing.notes = any.notes;
}

/// "blocks.4 - blocks.8": the first and the last layer that has a name of its own.
std::string stage_label(const DrawnProgram& program, int stage) {
  std::string unnamed = layer_of("", 0);
  const DrawnLayer* first = nullptr;
  const DrawnLayer* last = nullptr;
  for (const DrawnLayer& layer : program.layers) {
    if (std::find(layer.stages.begin(), layer.stages.end(), stage) == layer.stages.end()) continue;
    if (layer.name == unnamed) continue;
    if (first == nullptr) first = &layer;
    last = &layer;
  }
  if (first == nullptr) return unnamed;
  return first == last ? first->name : fmt::format("{} - {}", first->name, last->name);
}

}  // namespace

Drawing make_drawing(const std::string& model, const Mesh& mesh, const std::string& schedule,
                     const PartitionOfRank& partition_of) {
  Drawing drawing;
  drawing.model = model;
  drawing.mesh = mesh;
  drawing.schedule = schedule;
  std::map<std::vector<std::int64_t>, int> program_of_sizes;
  for (int replica = 0; replica < mesh.d(); ++replica) {
    const Partition first = partition_of(mesh.rank({replica, 0, 0}));
    if (replica == 0) describe(drawing, first);
    drawing.first_samples.push_back(first.first_samples.front());
    const auto [at, is_first] = program_of_sizes.emplace(first.sizes, static_cast<int>(drawing.programs.size()));
    if (is_first) drawing.programs.push_back(ProgramBuilder(mesh, replica, partition_of).build());
    drawing.program_of.push_back(at->second);
  }
  for (int stage = 0; stage < drawing.placement.num_stages(); ++stage)
    drawing.stage_labels.push_back(stage_label(drawing.programs.front(), stage));
  return drawing;
}

DrawnCost total_of(const std::vector<DrawnCost>& costs) {
  DrawnCost total;
  for (const DrawnCost& cost : costs) {
    total.flops += cost.flops;
    total.bytes += cost.bytes;
    total.step_flops += cost.step_flops;
    total.step_bytes += cost.step_bytes;
  }
  return total;
}

}  // namespace dml
