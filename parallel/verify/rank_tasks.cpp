#include "parallel/verify/rank_tasks.h"

#include <fmt/format.h>

#include <algorithm>

#include "models/index.h"
#include "models/op.h"
#include "parallel/collective_node.h"
#include "parallel/verify/gradient_sums.h"
#include "parallel/verify/happens_before.h"
#include "parallel/verify/weight_gathers.h"

namespace dml {
namespace {

class RankProof {
 public:
  RankProof(const Partition& p, bool clips)
      : p_(p),
        graph_(p.split().graph),
        numbers_{graph_.num_nodes(), graph_.num_values()},
        before_(p.tasks),
        sums_(p, clips, findings_),
        gathers_(p, findings_),
        made_(index(graph_.num_values()) * p.by_microbatch.size(), {-1, -1}),
        last_microbatch_(index(graph_.num_nodes()), -1) {}

  std::vector<Finding> run() {
    check_ids();
    for (at_ = 0; at_ < p_.tasks.tasks.size(); ++at_) take(p_.tasks.tasks[at_]);
    check_results();
    sums_.finish();
    gathers_.finish();
    return std::move(findings_);
  }

 private:
  /// The tasks that make a value on this rank: the first and the latest. A value that passes through several stages of
  /// a rank is received for each, and is the same every time.
  struct Makers {
    std::int32_t first, latest;
  };

  template <typename... Args>
  void report(fmt::format_string<Args...> what, Args&&... args) {
    findings_.push_back(finding_at(p_.tasks, at_, fmt::format(what, std::forward<Args>(args)...)));
  }
  template <typename... Args>
  void expect(bool holds, fmt::format_string<Args...> what, Args&&... args) {
    if (!holds) report(what, std::forward<Args>(args)...);
  }

  const Graph& graph(int microbatch) const { return p_.by_microbatch[index(microbatch)]->graph; }
  bool is_mine(NodeId node) const { return p_.placement.position(p_.stages[index(node)]) == p_.at.p; }
  Makers& makers(ValueId value, int microbatch) {
    return made_[index(microbatch) * index(graph_.num_values()) + index(value)];
  }

  /// An id is of one task; a value that a stage receives and sends on has one of each.
  void check_ids() {
    std::vector<std::pair<TaskId, TaskKind>> ids;
    for (const Task& task : p_.tasks.tasks) ids.emplace_back(task.id, task.kind);
    std::sort(ids.begin(), ids.end());
    const auto twice = std::adjacent_find(ids.begin(), ids.end());
    if (twice != ids.end())
      findings_.push_back(
          {fmt::format("there are two tasks {}", name_of(twice->second)), p_.rank, -1, twice->first.to_string()});
  }

  void take(const Task& task) {
    if (!is_sound(task)) {
      before_.take(false);
      return;
    }
    before_.take(task.node != kNone && adds_gradient(graph_.node(task.node)));
    if (task.node != kNone) {
      take_node(task);
    } else if (task.kind == TaskKind::send || task.kind == TaskKind::receive) {
      take_transfer(task);
    } else if (WeightGathers::gathers(task)) {
      gathers_.take(at_, before_, sums_.update());
    } else {
      sums_.take(at_, before_);
    }
  }

  bool adds_gradient(const Node& node) const {
    return std::ranges::any_of(node.outputs, [&](ValueId output) { return p_.map->addend_of(output) != kNone; });
  }

  /// Whether the numbers of a task are in range, so that it can be looked at further.
  bool is_sound(const Task& task) {
    for (const std::int32_t dep : p_.tasks.deps_of(task)) {
      if (dep < 0 || index(dep) >= at_) report("depends on task {}, which does not stand before it", dep);
    }
    const TaskId& id = task.id;
    expect(id.replica == p_.at.d && id.tensor == p_.at.t, "has the id of another rank");
    const bool sound = id.microbatch >= 0 && index(id.microbatch) < p_.by_microbatch.size() && id.stage >= 0 &&
                       id.stage < p_.placement.num_stages() && task.node < graph_.num_nodes() &&
                       task.value < graph_.num_values() && task.work >= 0 && index(task.work) < p_.tasks.works.size();
    expect(sound, "is of a microbatch, stage, node, value or work that there is not");
    return sound;
  }

  void take_node(const Task& task) {
    const Node& node = graph(task.id.microbatch).node(task.node);
    const TaskKind kind = task_kind_of(node);
    expect(task.kind == kind, "is {}, and runs {}", name_of(task.kind), node.op->name);
    expect(task.id.operation == task.node && task.id.phase == node.phase, "has the id of another operation");
    expect(task.id.stage == p_.stages[index(task.node)] && is_mine(task.node), "runs {} of stage {}", node.name,
           p_.stages[index(task.node)]);
    expect(task.queue == (kind == TaskKind::compute ? QueueId::compute : QueueId::tensor_comm), "is in another queue");
    if (kind != TaskKind::compute) {
      expect(task.axis == Axis::tensor, "is on axis {}", letter_of(task.axis));
      expect(p_.tasks.work_of(task).bytes == collective_bytes(graph(task.id.microbatch), node), "moves other bytes");
    }
    expect(last_microbatch_[index(task.node)] < task.id.microbatch,
           "runs {} again, or out of the order of microbatches", node.name);
    last_microbatch_[index(task.node)] = task.id.microbatch;
    for (const ValueId input : node.inputs) {
      expect_made(input, task.id.microbatch, "reads");
      const ValueId source = input == kNone ? kNone : made_as(input, task.id.microbatch);
      if (source != kNone && graph_.value(source).role == Role::parameter) gathers_.read(at_, source, before_);
    }
    for (const ValueId output : node.outputs) {
      note_made(output, task.id.microbatch);
      if (p_.map->addend_of(output) != kNone) sums_.add(at_, output);
    }
  }

  void note_made(ValueId value, int microbatch) {
    Makers& m = makers(value, microbatch);
    m.latest = static_cast<std::int32_t>(at_);
    if (m.first < 0) m.first = m.latest;
  }

  /// The value whose task makes `value`: an alias has none of its own, unless it is received, or added to a gradient.
  ValueId made_as(ValueId value, int microbatch) {
    while (makers(value, microbatch).first < 0) {
      const NodeId producer = graph_.value(value).producer;
      if (producer == kNone || !graph_.node(producer).op->is_alias || !is_mine(producer)) break;
      value = graph_.node(producer).inputs[0];
    }
    return value;
  }

  bool is_given(ValueId value) const {
    return graph_.value(value).producer == kNone && graph_.value(value).role != Role::activation;
  }

  void expect_made(ValueId value, int microbatch, std::string_view verb) {
    if (value == kNone) return;
    const ValueId source = made_as(value, microbatch);
    if (is_given(source)) return;
    const Makers& m = makers(source, microbatch);
    if (m.first >= 0 && (before_.is_over(m.first) || before_.is_over(m.latest))) return;
    report("{} {} before it is {}", verb, graph_.value(value).name, m.first < 0 ? "made" : "surely made");
  }

  void take_transfer(const Task& task) {
    const bool sends = task.kind == TaskKind::send;
    const bool forward = task.id.phase == Phase::forward;
    expect(forward || task.id.phase == Phase::input_grad, "is a transfer of no pass");
    const int other = task.id.stage + (forward == sends ? 1 : -1);
    if (task.value == kNone || other < 0 || other >= p_.placement.num_stages()) {
      report("moves nothing, or to a stage that there is not");
      return;
    }
    expect(p_.placement.position(task.id.stage) == p_.at.p, "is a transfer of a stage of another rank");
    expect(task.peer == p_.mesh.rank({p_.at.d, p_.placement.position(other), p_.at.t}) && task.peer != p_.rank,
           "is a transfer with rank {}, stage {} is not there", task.peer, other);
    expect(task.channel == 2 * (sends ? task.id.stage : other) + (forward ? 0 : 1), "is on channel {}", task.channel);
    expect(task.queue == (sends ? QueueId::pipeline_send : QueueId::pipeline_receive), "is in another queue");
    expect(task.id.operation == numbers_.transfer(task.value), "has the id of another transfer");
    expect(p_.tasks.work_of(task).bytes == graph(task.id.microbatch).value(task.value).num_bytes(),
           "moves other bytes");
    if (sends) {
      expect_made(task.value, task.id.microbatch, "sends");
    } else {
      note_made(task.value, task.id.microbatch);
    }
  }

  void check_results() {
    for (int m = 0; m < static_cast<int>(p_.by_microbatch.size()); ++m) {
      if (graph_.loss != kNone) check_result(graph_.loss, m, "the loss");
      if (p_.keeps_output) check_result(graph_.output, m, "the output");
      if (p_.forward_only) continue;
      for (const auto& [state, next] : graph_.next_state) check_result(next, m, "the next state");
    }
  }

  void check_result(ValueId value, int microbatch, std::string_view what) {
    const NodeId producer = graph_.value(value).producer;
    if (producer == kNone || !is_mine(producer)) return;
    const ValueId source = made_as(value, microbatch);
    if (is_given(source) || makers(source, microbatch).first >= 0) return;
    findings_.push_back(
        {fmt::format("{} of microbatch {} is never made", what, microbatch), p_.rank, -1, graph_.value(value).name});
  }

  const Partition& p_;
  const Graph& graph_;  ///< of the first microbatch: all have the same nodes and values
  OperationNumbers numbers_;
  std::vector<Finding> findings_;
  HappensBefore before_;
  GradientSums sums_;
  WeightGathers gathers_;
  std::vector<Makers> made_;                   ///< by (microbatch, value)
  std::vector<std::int32_t> last_microbatch_;  ///< by node
  std::size_t at_ = 0;
};

}  // namespace

std::vector<Finding> verify_rank(const Partition& rank, bool clips) { return RankProof(rank, clips).run(); }

}  // namespace dml
