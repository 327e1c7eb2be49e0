#include "launch/report/graph/layer_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "launch/report/graph/dot_text.h"
#include "launch/report/graph/page_names.h"
#include "launch/report/graph/svg_pages.h"
#include "launch/terminal/number_text.h"

namespace dml {
namespace {

/// The id with the mark in place of the replica.
std::string id_text(const TaskId& id) {
  std::string text = id.to_string();
  const std::string replica = fmt::format(".d{}.", id.replica);
  return text.replace(text.find(replica), replica.size(), fmt::format(".d{}.", kReplicaMark));
}

/// Of the rank that has most to do, where they differ.
std::string cost_text(const std::vector<DrawnCost>& costs) {
  const auto by_flops = [](const DrawnCost& a, const DrawnCost& b) { return a.flops < b.flops; };
  const DrawnCost& most = *std::max_element(costs.begin(), costs.end(), by_flops);
  const bool differ = std::any_of(costs.begin(), costs.end(), [&](const DrawnCost& cost) { return cost != most; });
  const std::string bytes = (differ ? "at most " : "") + bytes_text(most.bytes);
  return most.flops > 0 ? fmt::format("{}{}, {}", differ ? "at most " : "", scaled_text(most.flops, "FLOP"),
                                      bytes_text(most.bytes))
                        : bytes;
}

class LayerPage {
 public:
  LayerPage(const Drawing& drawing, const DrawnProgram& program, int layer)
      : drawing_(drawing), program_(program), layer_(layer), graph_("TB", crumbs(), subtitle()) {}

  std::string write() {
    const std::vector<int>& stages = drawn_layer().stages;
    for (const int stage : stages) {
      add_tasks(stage, true);
      add_tasks(stage, false);
    }
    for (int i = 0; i < static_cast<int>(program_.tasks.size()); ++i) {
      if (task(i).layer == layer_) connect(i);
    }
    for (int i = 0; i < static_cast<int>(program_.transfers.size()); ++i) {
      const int source = program_.transfers[static_cast<std::size_t>(i)].source;
      if (source != kNone && task(source).layer == layer_) graph_.connect(id_of(source), way(i));
    }
    return graph_.finish();
  }

 private:
  const DrawnTask& task(int i) const { return program_.tasks[static_cast<std::size_t>(i)]; }
  const DrawnLayer& drawn_layer() const { return program_.layers[static_cast<std::size_t>(layer_)]; }
  static std::string id_of(int i) { return fmt::format("{}", i); }

  std::vector<Crumb> crumbs() const {
    std::vector<Crumb> crumbs = replica_crumbs();
    for (const int stage : drawn_layer().stages) crumbs.push_back({fmt::format("stage {}", stage), stage_file(stage)});
    crumbs.push_back({drawn_layer().name, ""});
    return crumbs;
  }

  static std::vector<std::string> subtitle() {
    return {
        "What each rank does for one microbatch: outputs with their placement on the tensor axis, FLOP, bytes, owner.",
        "What a backward pass reads of the forward pass is said where the pointer rests."};
  }

  /// The name without the module that the page is of.
  std::string short_name(const std::string& name) const {
    const std::size_t slash = name.find('/', 1);
    return name.starts_with('/') && slash != std::string::npos ? name.substr(slash + 1) : name;
  }

  /// True where a backward pass reads what a forward pass made: such edges would cross the whole page.
  bool is_kept(int input, int reader) const {
    return task(input).id.phase == Phase::forward && task(reader).id.phase != Phase::forward;
  }

  std::string tooltip_of(int i) const {
    std::string text = fmt::format("{}\n{}", task(i).name, id_text(task(i).id));
    for (const int input : task(i).inputs) {
      if (is_kept(input, i)) text += fmt::format("\nreads {}, kept from the forward pass", task(input).name);
    }
    return text;
  }

  std::string label_of(const DrawnTask& task) const {
    std::string label = fmt::format("{}\n{}", task.operation, short_name(task.name));
    for (const DrawnOutput& output : task.outputs)
      label += fmt::format("\n{}, {}", shapes_text(output), output.placement);
    label += "\n" + cost_text(task.costs);
    return label + fmt::format("\nd{} p{} {}", kReplicaMark, task.position, tensor_text(drawing_));
  }

  void add_tasks(int stage, bool forward) {
    graph_.begin_cluster(fmt::format("{} {}", stage, forward),
                         fmt::format("stage {}, {}", stage, forward ? "forward" : "backward"));
    for (int i = 0; i < static_cast<int>(program_.tasks.size()); ++i) {
      const DrawnTask& t = task(i);
      if (t.layer != layer_ || t.stage != stage || (t.id.phase == Phase::forward) != forward) continue;
      graph_.add({id_of(i), label_of(t), "box", fill_of(t), "", tooltip_of(i)});
    }
    graph_.end_cluster();
  }

  void connect(int i) {
    for (const int input : task(i).inputs) {
      if (is_kept(input, i)) continue;
      graph_.connect(task(input).layer == layer_ ? id_of(input) : other_layer(input), id_of(i));
    }
    for (const int transfer : task(i).transfers) graph_.connect(way(transfer), id_of(i));
  }

  std::string other_layer(int input) {
    const DrawnTask& source = task(input);
    std::string id = fmt::format("from {}", input);
    if (source.layer != kNone && added_.insert(id).second) {
      const std::string& layer = program_.layers[static_cast<std::size_t>(source.layer)].name;
      graph_.add(
          {id, fmt::format("from {}\n{}", layer, short_name(source.name)), "plain", "", layer_file(source.layer), ""});
    }
    return id;
  }

  std::string way(int index) {
    const DrawnTransfer& transfer = program_.transfers[static_cast<std::size_t>(index)];
    std::string id = fmt::format("transfer {}", index);
    if (added_.insert(id).second) {
      graph_.add(
          {id,
           fmt::format("Send-Recv\nstage {} to {}\n{}", transfer.from_stage, transfer.to_stage, transfer.value.name),
           "oval", "#d5efdc", transfer_file(transfer.from_stage, transfer.to_stage), ""});
    }
    return id;
  }

  const Drawing& drawing_;
  const DrawnProgram& program_;
  int layer_;
  std::set<std::string> added_;
  DotGraph graph_;
};

}  // namespace

std::string layer_page(const Drawing& drawing, const DrawnProgram& program, int layer) {
  return LayerPage(drawing, program, layer).write();
}

}  // namespace dml
