#include "parallel/rank_run.h"

#include <algorithm>
#include <ranges>
#include <set>

#include "models/index.h"
#include "models/op.h"
#include "parallel/build_tasks.h"

namespace dml {
namespace {

class Writer {
 public:
  Writer(const SplitGraph& split, std::span<const int> stages, const Placement& placement, const Mesh& mesh, int rank)
      : graph_(split.graph),
        stages_(stages),
        placement_(placement),
        mesh_(mesh),
        at_(mesh.coordinate(rank)),
        map_(split, stages, placement, true) {}

  std::vector<std::variant<NodeId, MessageNode>> write() {
    const std::span<const int> own = placement_.stages(at_.p);
    for (const int stage : own) write_pass(stage, true);
    for (const int stage : std::views::reverse(own)) write_pass(stage, false);
    for (const auto& [parameter, gradient] : graph_.gradient_of) write_sums(parameter);
    return std::move(run_);
  }

 private:
  void write_pass(int stage, bool forward) {
    const int behind = stage + (forward ? -1 : 1);
    const int ahead = stage + (forward ? 1 : -1);
    transfer("Receive", stage, behind, behind, forward);
    for (const NodeId id : map_.nodes(stage)) {
      if ((graph_.node(id).phase == Phase::forward) == forward) run_.emplace_back(id);
    }
    transfer("Send", stage, ahead, stage, forward);
  }

  void transfer(const char* type, int stage, int other, int from, bool forward) {
    if (other < 0 || other >= placement_.num_stages() || placement_.position(other) == placement_.position(stage))
      return;
    const bool sends = from == stage;
    for (const ValueId value : forward ? map_.down(from) : map_.up(from)) {
      const std::string& name = graph_.value(value).name;
      MessageNode message{type, std::string(type) + "." + name, {}, {}, {}};
      (sends ? message.inputs : message.outputs).push_back(name);
      message.attrs.set("peer", std::int64_t{mesh_.rank({at_.d, placement_.position(other), at_.t})});
      message.attrs.set("channel", std::int64_t{2} * from + (forward ? 0 : 1));
      message.attrs.set("phase", std::string(1, letter_of(forward ? Phase::forward : Phase::input_grad)));
      run_.emplace_back(std::move(message));
    }
  }

  std::set<int> positions_of(ValueId parameter) const {
    std::set<int> positions;
    for (NodeId id = 0; id < graph_.num_nodes(); ++id) {
      const auto& inputs = graph_.node(id).inputs;
      if (std::find(inputs.begin(), inputs.end(), parameter) == inputs.end()) continue;
      positions.insert(placement_.position(stages_[index(id)]));
    }
    return positions;
  }

  void write_sums(ValueId parameter) {
    const std::set<int> positions = positions_of(parameter);
    if (!positions.contains(at_.p)) return;
    std::vector<std::string> addends;
    for (const ValueId addend : map_.addends(parameter)) {
      const bool is_mine = placement_.position(stages_[index(graph_.value(addend).producer)]) == at_.p;
      if (is_mine) addends.push_back(graph_.value(addend).name);
    }
    if (positions.size() > 1) {
      std::vector<std::int64_t> ranks;
      for (const int position : positions) ranks.push_back(mesh_.rank({at_.d, position, at_.t}));
      addends = {write_sum("p", parameter, std::move(addends), std::move(ranks))};
    }
    if (mesh_.d() > 1) {
      const std::vector<int> group = mesh_.group(mesh_.rank(at_), Axis::data);
      write_sum("d", parameter, std::move(addends), {group.begin(), group.end()});
    }
  }

  std::string write_sum(const std::string& group, ValueId parameter, std::vector<std::string> addends,
                        std::vector<std::int64_t> ranks) {
    const std::string& name = graph_.value(parameter).name;
    std::string sum = name + ".gradient." + group;
    MessageNode message{"AllReduce", sum, std::move(addends), {sum}, {}};
    message.attrs.set("group", group).set("parameter", name).set("ranks", std::move(ranks));
    run_.emplace_back(std::move(message));
    return sum;
  }

  const Graph& graph_;
  std::span<const int> stages_;
  const Placement& placement_;
  const Mesh& mesh_;
  Coordinate at_;
  StageMap map_;
  std::vector<std::variant<NodeId, MessageNode>> run_;
};

}  // namespace

std::vector<std::variant<NodeId, MessageNode>> rank_run(const SplitGraph& split, std::span<const int> stages,
                                                        const Placement& placement, const Mesh& mesh, int rank) {
  return Writer(split, stages, placement, mesh, rank).write();
}

std::vector<ValueId> rank_weights(const SplitGraph& split, std::span<const int> stages,
                                  std::span<const int> own_stages) {
  std::set<ValueId> weights;
  for (NodeId id = 0; id < split.graph.num_nodes(); ++id) {
    if (std::find(own_stages.begin(), own_stages.end(), stages[index(id)]) == own_stages.end()) continue;
    for (const ValueId input : split.graph.node(id).inputs) {
      if (input != kNone && split.graph.value(input).source != nullptr) weights.insert(input);
    }
  }
  return {weights.begin(), weights.end()};
}

}  // namespace dml
