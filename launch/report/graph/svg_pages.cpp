#include "launch/report/graph/svg_pages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "launch/report/graph/dot_text.h"
#include "launch/report/graph/layer_page.h"
#include "launch/report/graph/page_names.h"
#include "launch/terminal/number_text.h"

namespace dml {
namespace {

constexpr const char* kStageFill = "#dbe7f5";
constexpr const char* kTransferFill = "#d5efdc";
constexpr const char* kSumFill = "#f7d6a8";
constexpr const char* kUpdateFill = "#d3ead2";
constexpr const char* kReadFill = "#f3ecd0";

std::string work_text(const DrawnCost& cost) {
  return fmt::format("{}, {}", scaled_text(cost.step_flops, "FLOP"), bytes_text(cost.step_bytes));
}

DrawnCost sum(DrawnCost total, const std::vector<DrawnCost>& costs) { return total_of({total, total_of(costs)}); }

bool is_gradient_sum(const DrawnTask& task) {
  return is_collective(task.kind) && task.id.phase == Phase::update && task.axis != Axis::world;
}

bool sums_gradients(const DrawnProgram& program) {
  return std::any_of(program.tasks.begin(), program.tasks.end(), is_gradient_sum);
}

/// Pairs of stages between which something is sent.
std::set<std::pair<int, int>> ways(const DrawnProgram& program) {
  std::set<std::pair<int, int>> result;
  for (const DrawnTransfer& transfer : program.transfers) result.emplace(transfer.from_stage, transfer.to_stage);
  return result;
}

std::string way_id(int from, int to) { return fmt::format("way {} {}", from, to); }
std::string stage_id(int stage) { return fmt::format("stage {}", stage); }

class PageWriter {
 public:
  explicit PageWriter(const Drawing& drawing) : drawing_(drawing) {}

  std::vector<SvgPage> write() {
    pages_.push_back({kTopPage, top_page(), 0});
    if (sums_gradients(drawing_.program(0))) pages_.push_back({kGradientPage, gradient_page(), 0});
    for (const DrawnProgram& program : drawing_.programs) write_program(program);
    return std::move(pages_);
  }

 private:
  void add_for_replicas(const DrawnProgram& program, const std::string& file, const std::string& dot) {
    for (int d = 0; d < drawing_.mesh.d(); ++d) {
      if (&drawing_.program(d) == &program) pages_.push_back({replace_mark(file, d), dot, d});
    }
  }

  static std::string replace_mark(std::string text, int replica) {
    const std::size_t at = text.find(kReplicaMark);
    if (at != std::string::npos) text.replace(at, kReplicaMark.size(), std::to_string(replica));
    return text;
  }

  void write_program(const DrawnProgram& program) {
    add_for_replicas(program, replica_file(), replica_page(program));
    for (int stage = 0; stage < drawing_.placement.num_stages(); ++stage)
      add_for_replicas(program, stage_file(stage), stage_page(program, stage));
    for (int layer = 0; layer < static_cast<int>(program.layers.size()); ++layer)
      add_for_replicas(program, layer_file(layer), layer_page(drawing_, program, layer));
    for (const auto& [from, to] : ways(program)) {
      for (int d = 0; d < drawing_.mesh.d(); ++d) {
        if (&drawing_.program(d) == &program)
          pages_.push_back({replace_mark(transfer_file(from, to), d), transfer_page(program, from, to, d), d});
      }
    }
  }

  std::string top_page() const;
  std::string gradient_page() const;
  std::string replica_page(const DrawnProgram& program) const;
  std::string stage_page(const DrawnProgram& program, int stage) const;
  std::string transfer_page(const DrawnProgram& program, int from, int to, int replica) const;
  void add_ways(DotGraph& graph, const DrawnProgram& program) const;
  void add_stage_ends(DotGraph& graph, const DrawnProgram& program, int stage) const;
  DotNode layer_node(const DrawnProgram& program, int layer, int stage) const;

  const Drawing& drawing_;
  std::vector<SvgPage> pages_;
};

std::string PageWriter::top_page() const {
  const Mesh& mesh = drawing_.mesh;
  DotGraph graph("LR", {{drawing_.model, ""}},
                 {fmt::format("d={} p={} t={}: {} ranks, schedule {}, tensor mode {}", mesh.d(), mesh.p(), mesh.t(),
                              mesh.world_size(), drawing_.schedule, drawing_.tensor_mode),
                  fmt::format("{} parameters; FLOP and bytes are of one step", grouped_text(drawing_.parameters))});
  const bool sums = sums_gradients(drawing_.program(0));
  for (int d = 0; d < mesh.d(); ++d) {
    const DrawnProgram& program = drawing_.program(d);
    DrawnCost cost;
    for (const DrawnTask& task : program.tasks) cost = sum(cost, task.costs);
    std::int64_t samples = 0;
    for (const std::int64_t size : program.sizes) samples += size;
    const std::int64_t first = drawing_.first_samples[static_cast<std::size_t>(d)];
    const std::string read = fmt::format("read {}", d), replica = fmt::format("replica {}", d);
    const std::string file = replace_mark(replica_file(), d);
    graph.add({read,
               fmt::format("Read\nsamples {}-{}\n{}", first, first + samples - 1,
                           counted(program.sizes.size(), "microbatch")),
               "cylinder", kReadFill, file, ""});
    graph.add({replica,
               fmt::format("Replica {}\n{}, {}\n{}", d,
                           counted(static_cast<std::size_t>(drawing_.placement.num_stages()), "stage"),
                           counted(static_cast<std::size_t>(mesh.p() * mesh.t()), "rank"), work_text(cost)),
               "box3d", kStageFill, file, ""});
    graph.connect(read, replica);
    if (sums) graph.connect(replica, "sum");
  }
  if (sums) graph.add({"sum", "AllReduce\ngradients", "box", kSumFill, kGradientPage, ""});
  return graph.finish();
}

std::string PageWriter::gradient_page() const {
  const Mesh& mesh = drawing_.mesh;
  DotGraph graph("LR", {{"model", kTopPage}, {"gradient sums", ""}},
                 {"Each bucket of gradients is summed over the ranks of its group, as soon as it is complete."});
  int number = 0;
  for (const DrawnTask& task : drawing_.program(0).tasks) {
    if (!is_gradient_sum(task)) continue;
    ++number;
    for (int t = 0; t < mesh.t(); ++t) {
      const DrawnCost& cost = task.costs[static_cast<std::size_t>(t)];
      const std::string group = fmt::format("group {} {}", task.position, t);
      const int rank = mesh.rank({0, task.position, t});
      const std::vector<int> ranks = task.axis == Axis::data ? mesh.group(rank, Axis::data) : std::vector<int>{rank};
      graph.add(
          {group, fmt::format("position {}, t{}\n{}", task.position, t, ranks_text(ranks)), "box", kStageFill, "", ""});
      const std::string id = fmt::format("sum {} {}", number, t);
      graph.add({id,
                 fmt::format("AllReduce: {}\n{}, {}", task.name, counted(task.parameters.size(), "parameter"),
                             bytes_text(cost.bytes)),
                 "box", kSumFill, "", fmt::format("{}", fmt::join(task.parameters, "\n"))});
      graph.connect(group, id);
    }
  }
  return graph.finish();
}

void PageWriter::add_ways(DotGraph& graph, const DrawnProgram& program) const {
  for (const auto& [from, to] : ways(program)) {
    DrawnCost cost;
    std::size_t values = 0;
    for (const DrawnTransfer& transfer : program.transfers) {
      if (transfer.from_stage != from || transfer.to_stage != to) continue;
      cost = sum(cost, transfer.costs);
      ++values;
    }
    const std::string id = way_id(from, to);
    graph.add({id,
               fmt::format("Send-Recv\nstage {} to {}\n{}, {}", from, to, counted(values, "value"),
                           bytes_text(cost.step_bytes)),
               "oval", kTransferFill, transfer_file(from, to), ""});
    // What goes back is drawn against its direction, so that stages stay in their order.
    const char* style = to < from ? "dir=back" : "";
    graph.connect(stage_id(std::min(from, to)), id, style);
    graph.connect(id, stage_id(std::max(from, to)), style);
  }
}

std::string PageWriter::replica_page(const DrawnProgram& program) const {
  auto crumbs = replica_crumbs();
  crumbs.back().file.clear();
  DotGraph graph(
      "TB", crumbs,
      {fmt::format("{} of {}{} samples; FLOP and bytes are of one step", counted(program.sizes.size(), "microbatch"),
                   program.sizes.front(),
                   program.sizes.front() == program.sizes.back() ? "" : fmt::format(" to {}", program.sizes.back()))});
  for (int stage = 0; stage < drawing_.placement.num_stages(); ++stage) {
    DrawnCost cost;
    for (const DrawnTask& task : program.tasks) {
      if (task.stage == stage) cost = sum(cost, task.costs);
    }
    const int position = drawing_.position(stage);
    graph.add(
        {stage_id(stage),
         fmt::format("Stage {}\n{}\nd{} p{} {}\n{}", stage, drawing_.stage_labels[static_cast<std::size_t>(stage)],
                     kReplicaMark, position, tensor_text(drawing_), work_text(cost)),
         "box3d", kStageFill, stage_file(stage), ""});
  }
  add_ways(graph, program);
  return graph.finish();
}

DotNode PageWriter::layer_node(const DrawnProgram& program, int layer, int stage) const {
  DrawnCost forward, backward;
  std::size_t tasks = 0;
  for (const DrawnTask& task : program.tasks) {
    if (task.layer != layer || task.stage != stage) continue;
    ++tasks;
    DrawnCost& cost = task.id.phase == Phase::forward ? forward : backward;
    cost = sum(cost, task.costs);
  }
  return {fmt::format("layer {}", layer),
          fmt::format("{}\n{}\nforward {}\nbackward {}", program.layers[static_cast<std::size_t>(layer)].name,
                      counted(tasks, "task"), work_text(forward), work_text(backward)),
          "box",
          "#fbf4cf",
          layer_file(layer),
          ""};
}

/// What comes into a stage, what goes out of it, and what it does once in a step.
void PageWriter::add_stage_ends(DotGraph& graph, const DrawnProgram& program, int stage) const {
  for (const auto& [from, to] : ways(program)) {
    if (from != stage && to != stage) continue;
    const bool sends = from == stage;
    graph.add({way_id(from, to), fmt::format("{} stage {}", sends ? "Send to" : "Receive from", sends ? to : from),
               "oval", kTransferFill, transfer_file(from, to), ""});
  }
  std::set<std::pair<std::string, std::string>> edges;
  for (const DrawnTask& task : program.tasks) {
    if (task.stage != stage || task.layer == kNone) continue;
    for (const int i : task.transfers) {
      const DrawnTransfer& transfer = program.transfers[static_cast<std::size_t>(i)];
      edges.emplace(way_id(transfer.from_stage, transfer.to_stage), fmt::format("layer {}", task.layer));
    }
  }
  for (const DrawnTransfer& transfer : program.transfers) {
    if (transfer.from_stage != stage || transfer.source == kNone) continue;
    const int layer = program.tasks[static_cast<std::size_t>(transfer.source)].layer;
    edges.emplace(fmt::format("layer {}", layer), way_id(transfer.from_stage, transfer.to_stage));
  }
  for (const auto& [from, to] : edges) {
    const bool backward = from == way_id(stage + 1, stage) || to == way_id(stage, stage - 1);
    graph.connect(backward ? to : from, backward ? from : to, backward ? "dir=back" : "");
  }
  for (int i = 0; i < static_cast<int>(program.tasks.size()); ++i) {
    const DrawnTask& task = program.tasks[static_cast<std::size_t>(i)];
    if (task.stage != stage || task.layer != kNone) continue;
    const bool sums = is_gradient_sum(task);
    const DrawnCost cost = total_of(task.costs);
    graph.add({fmt::format("step {}", i), fmt::format("{}\n{}", task.name, bytes_text(cost.bytes)), "box",
               sums ? kSumFill : kUpdateFill, sums ? kGradientPage : "", ""});
    for (const int input : task.inputs) {
      if (program.tasks[static_cast<std::size_t>(input)].layer == kNone)
        graph.connect(fmt::format("step {}", input), fmt::format("step {}", i));
    }
  }
}

std::string PageWriter::stage_page(const DrawnProgram& program, int stage) const {
  auto crumbs = replica_crumbs();
  crumbs.push_back({fmt::format("stage {}", stage), ""});
  DotGraph graph("TB", crumbs,
                 {fmt::format("d{} p{} {}: {}; FLOP and bytes are of one step", kReplicaMark, drawing_.position(stage),
                              tensor_text(drawing_), drawing_.stage_labels[static_cast<std::size_t>(stage)])});
  std::set<std::pair<int, int>> edges;
  for (const DrawnTask& task : program.tasks) {
    if (task.stage != stage || task.id.phase != Phase::forward) continue;
    for (const int input : task.inputs) {
      const DrawnTask& source = program.tasks[static_cast<std::size_t>(input)];
      if (source.stage == stage && source.layer != task.layer) edges.emplace(source.layer, task.layer);
    }
  }
  for (int layer = 0; layer < static_cast<int>(program.layers.size()); ++layer) {
    const std::vector<int>& stages = program.layers[static_cast<std::size_t>(layer)].stages;
    if (std::find(stages.begin(), stages.end(), stage) != stages.end()) graph.add(layer_node(program, layer, stage));
  }
  for (const auto& [from, to] : edges) graph.connect(fmt::format("layer {}", from), fmt::format("layer {}", to));
  add_stage_ends(graph, program, stage);
  return graph.finish();
}

std::string PageWriter::transfer_page(const DrawnProgram& program, int from, int to, int replica) const {
  auto crumbs = replica_crumbs();
  crumbs.push_back({fmt::format("stage {}", from), stage_file(from)});
  crumbs.push_back({fmt::format("stage {}", to), stage_file(to)});
  crumbs.push_back({"send-receive", ""});
  DotGraph graph("LR", crumbs, {"Each rank sends to its peer of the same tensor index, for every microbatch."});
  const Mesh& mesh = drawing_.mesh;
  for (int t = 0; t < mesh.t(); ++t) {
    for (const int stage : {from, to}) {
      const Coordinate at{replica, drawing_.position(stage), t};
      graph.add({fmt::format("{} {}", stage, t), fmt::format("rank {}\nd{} p{} t{}", mesh.rank(at), at.d, at.p, t),
                 "box", stage == from ? kStageFill : "#fbf4cf", stage_file(stage), ""});
    }
    for (const DrawnTransfer& transfer : program.transfers) {
      if (transfer.from_stage != from || transfer.to_stage != to) continue;
      const auto& shapes = transfer.value.shapes;
      const Shape& shape = shapes[shapes.size() == 1 ? 0 : static_cast<std::size_t>(t)];
      const std::string label = fmt::format(
          "{}\n{} {}\n{} per microbatch, channel {}", transfer.value.name, name_of(transfer.value.dtype),
          shape.to_string(), bytes_text(transfer.costs[static_cast<std::size_t>(t)].bytes), transfer.channel);
      graph.connect(fmt::format("{} {}", from, t), fmt::format("{} {}", to, t), "label=" + dot_quoted(label));
    }
  }
  return graph.finish();
}

}  // namespace

std::vector<SvgPage> svg_pages(const Drawing& drawing) { return PageWriter(drawing).write(); }

}  // namespace dml
