#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "models/op.h"
#include "parallel/verify/comm_key.h"
#include "tests/parallel/verify/mutations.h"

namespace dml::test {
namespace {

using Where = std::function<bool(const Partition& rank, const Task& task)>;

struct Pick {
  Partition* rank = nullptr;
  std::size_t at = 0;
  Task& task() const { return rank->tasks.tasks[at]; }
  std::string text() const {
    return fmt::format("rank {} {} {}", rank->rank, name_of(task().kind), task().id.to_string());
  }
};

template <typename T>
const T& any_of(const std::vector<T>& choices, Random& random) {
  return choices[std::uniform_int_distribution<std::size_t>(0, choices.size() - 1)(random)];
}

std::vector<Pick> tasks_where(World& world, const Where& where) {
  std::vector<Pick> picks;
  for (auto& rank : world.ranks) {
    for (std::size_t at = 0; at < rank->tasks.tasks.size(); ++at) {
      if (where(*rank, rank->tasks.tasks[at])) picks.push_back({rank.get(), at});
    }
  }
  return picks;
}

std::optional<Pick> pick(World& world, Random& random, const Where& where) {
  const std::vector<Pick> picks = tasks_where(world, where);
  if (picks.empty()) return std::nullopt;
  return any_of(picks, random);
}

bool is_transfer(const Task& task) { return task.kind == TaskKind::send || task.kind == TaskKind::receive; }
bool is_tensor_collective(const Partition&, const Task& task) { return is_collective(task) && task.node != kNone; }
bool is_gradient_sum(const Task& task) {
  return is_collective(task) && (task.axis == Axis::data || task.axis == Axis::pipeline);
}

// --- Changes of a list of tasks that keep it a list: indices follow, and order stays that of the rest.

/// What depended on a removed task depends on what that depended on.
void remove(RankTasks& tasks, const std::vector<bool>& gone) {
  RankTasks result;
  result.rank = tasks.rank;
  std::vector<std::vector<std::int32_t>> stand_in(tasks.tasks.size());  // by old index: new ones in its place
  for (std::size_t at = 0; at < tasks.tasks.size(); ++at) {
    Task task = tasks.tasks[at];
    std::vector<std::int32_t> deps;
    for (const std::int32_t dep : tasks.deps_of(task))
      std::ranges::copy(stand_in[static_cast<std::size_t>(dep)], std::back_inserter(deps));
    if (gone[at]) {
      stand_in[at] = std::move(deps);
      continue;
    }
    stand_in[at] = {static_cast<std::int32_t>(result.tasks.size())};
    task.first_dep = static_cast<std::int32_t>(result.deps.size());
    task.num_deps = static_cast<std::int32_t>(deps.size());
    std::ranges::copy(deps, std::back_inserter(result.deps));
    result.tasks.push_back(task);
  }
  tasks = std::move(result);
}

void remove(RankTasks& tasks, std::size_t at) {
  std::vector<bool> gone(tasks.tasks.size(), false);
  gone[at] = true;
  remove(tasks, gone);
}

/// Before place `at`; dependencies are those that the task names.
void insert(RankTasks& tasks, std::size_t at, Task task) {
  for (std::int32_t& dep : tasks.deps) dep += dep >= static_cast<std::int32_t>(at) ? 1 : 0;
  tasks.tasks.insert(tasks.tasks.begin() + static_cast<std::ptrdiff_t>(at), task);
}

void remove_all(World& world, const Where& where) {
  for (auto& rank : world.ranks) {
    std::vector<bool> gone;
    for (const Task& task : rank->tasks.tasks) gone.push_back(where(*rank, task));
    if (std::ranges::find(gone, true) != gone.end()) remove(rank->tasks, gone);
  }
}

/// The tasks of the members of its group that are the same collective as this one.
Where same_collective(const Pick& pick) {
  const Group group = group_of(*pick.rank, pick.task());
  const Task task = pick.task();
  return [group, task](const Partition& rank, const Task& other) {
    return is_collective(other) && other.axis == task.axis && group_of(rank, other) == group &&
           other.id.phase == task.id.phase && other.id.microbatch == task.id.microbatch &&
           (task.axis == Axis::pipeline || other.id.operation == task.id.operation);
  };
}

std::string drop_collective(World& world, Random& random, const Where& where) {
  const auto found = pick(world, random, where);
  if (!found) return "";
  std::string text = found->text();
  remove_all(world, same_collective(*found));
  return text;
}

std::string drop_tensor_collective(World& world, Random& random) {
  return drop_collective(world, random, is_tensor_collective);
}

std::string drop_replica_sum(World& world, Random& random) {
  return drop_collective(world, random,
                         [](const Partition&, const Task& t) { return is_gradient_sum(t) && t.axis == Axis::data; });
}

std::string drop_tied_sum(World& world, Random& random) {
  return drop_collective(
      world, random, [](const Partition&, const Task& t) { return is_gradient_sum(t) && t.axis == Axis::pipeline; });
}

std::string drop_totals_sum(World& world, Random& random) {
  return drop_collective(world, random,
                         [](const Partition&, const Task& t) { return is_collective(t) && t.axis == Axis::world; });
}

std::string drop_node(World& world, Random& random) {
  const auto found = pick(
      world, random, [](const Partition&, const Task& t) { return t.kind == TaskKind::compute && t.node != kNone; });
  if (!found) return "";
  std::string text = found->text();
  const TaskId id = found->task().id;
  remove_all(world, [id](const Partition&, const Task& t) {
    return t.node == id.operation && t.id.microbatch == id.microbatch && t.id.replica == id.replica;
  });
  return text;
}

std::string drop_transfer(World& world, Random& random, bool both) {
  const auto found = pick(world, random, [](const Partition&, const Task& t) { return is_transfer(t); });
  if (!found) return "";
  std::string text = found->text();
  const Channel channel = channel_of(*found->rank, found->task());
  const Task task = found->task();
  remove_all(world, [&](const Partition& rank, const Task& t) {
    return is_transfer(t) && channel_of(rank, t) == channel && t.value == task.value &&
           t.id.microbatch == task.id.microbatch && (both || t.kind == task.kind);
  });
  return text;
}

std::string drop_one_side(World& world, Random& random) { return drop_transfer(world, random, false); }
std::string drop_message(World& world, Random& random) { return drop_transfer(world, random, true); }

std::string drop_microbatch(World& world, Random& random) {
  if (world.layout.microbatches < 2) return "";
  const int m = std::uniform_int_distribution<int>(0, world.layout.microbatches - 1)(random);
  remove_all(world,
             [m](const Partition&, const Task& t) { return t.id.microbatch == m && t.id.phase != Phase::update; });
  return fmt::format("microbatch {}", m);
}

std::string drop_backward_pass(World& world, Random& random) {
  const int m = std::uniform_int_distribution<int>(0, world.layout.microbatches - 1)(random);
  const int stage = std::uniform_int_distribution<int>(0, world.ranks[0]->placement.num_stages() - 1)(random);
  const auto backward = [](const Task& t) { return t.id.phase != Phase::forward && t.id.phase != Phase::update; };
  remove_all(world, [&](const Partition&, const Task& t) {
    // What the pass sends is received by the stage before it.
    const bool received = t.kind == TaskKind::receive && t.id.stage == stage - 1;
    return backward(t) && t.id.microbatch == m && (t.id.stage == stage || received);
  });
  return fmt::format("stage {} microbatch {}", stage, m);
}

// --- Dependencies

bool adds_gradient(const Partition& rank, const Task& task) {
  if (task.node == kNone) return false;
  return std::ranges::any_of(rank.split().graph.node(task.node).outputs,
                             [&](ValueId output) { return rank.map->addend_of(output) != kNone; });
}

/// Whether `from` surely runs after `to` without its dependency number `skipped`: a plain search backwards.
bool runs_after(const Partition& rank, std::size_t from, std::size_t to, std::int32_t skipped) {
  const std::vector<Task>& tasks = rank.tasks.tasks;
  std::vector<bool> reached(tasks.size(), false);
  reached[from] = true;
  for (std::size_t at = from + 1; at-- > to;) {
    if (!reached[at]) continue;
    const auto deps = rank.tasks.deps_of(tasks[at]);
    for (std::size_t i = 0; i < deps.size(); ++i) {
      if (at != from || static_cast<std::int32_t>(i) != skipped) reached[static_cast<std::size_t>(deps[i])] = true;
    }
    for (std::size_t before = at; before-- > to;) {
      const bool same = tasks[before].queue == tasks[at].queue;
      // The addition of a collective's result is done in the compute queue.
      const bool computes = tasks[at].queue == QueueId::compute || (at != from && adds_gradient(rank, tasks[at]));
      const bool added = computes && (tasks[before].queue == QueueId::compute || adds_gradient(rank, tasks[before]));
      if (same || added) reached[before] = true;
      if (same && !added) break;
      if (added && tasks[at].queue == QueueId::compute) break;
    }
  }
  return reached[to];
}

bool is_made_again(const Partition& rank, const Task& made) {
  return made.kind == TaskKind::receive && std::ranges::count_if(rank.tasks.tasks, [&](const Task& t) {
                                             return t.value == made.value && t.id.microbatch == made.id.microbatch &&
                                                    t.kind == TaskKind::receive;
                                           }) > 1;
}

void drop_dependency(RankTasks& tasks, Task& task, std::int32_t number) {
  // The list of another task may follow at once: the last one takes the place of the dropped one.
  tasks.deps[static_cast<std::size_t>(task.first_dep + number)] =
      tasks.deps[static_cast<std::size_t>(task.first_dep + task.num_deps - 1)];
  --task.num_deps;
}

std::string drop_needed_dependency(World& world, Random& random) {
  for (int attempt = 0; attempt < 60; ++attempt) {
    const auto found = pick(world, random, [](const Partition&, const Task& t) { return t.num_deps > 0; });
    if (!found) return "";
    const auto number = std::uniform_int_distribution<std::int32_t>(0, found->task().num_deps - 1)(random);
    const auto dep = found->rank->tasks.deps_of(found->task())[static_cast<std::size_t>(number)];
    const Task& made = found->rank->tasks.tasks[static_cast<std::size_t>(dep)];
    if (is_made_again(*found->rank, made)) continue;
    if (runs_after(*found->rank, found->at, static_cast<std::size_t>(dep), number)) continue;
    std::string text = found->text() + " on " + made.id.to_string();
    drop_dependency(found->rank->tasks, found->task(), number);
    return text;
  }
  return "";
}

std::string depend_on_later(World& world, Random& random) {
  const auto found = pick(world, random, [](const Partition& rank, const Task& t) {
    return t.num_deps > 0 && &t != &rank.tasks.tasks.back();
  });
  if (!found) return "";
  found->rank->tasks.deps[static_cast<std::size_t>(found->task().first_dep)] = static_cast<std::int32_t>(found->at + 1);
  return found->text();
}

// --- Things done twice, elsewhere, or to something else

std::string run_twice(World& world, Random& random) {
  const auto found = pick(
      world, random, [](const Partition&, const Task& t) { return t.kind == TaskKind::compute && t.node != kNone; });
  if (!found) return "";
  insert(found->rank->tasks, found->at + 1, found->task());
  return found->text();
}

std::string sum_twice(World& world, Random& random) {
  const auto found = pick(world, random, [](const Partition&, const Task& t) { return is_gradient_sum(t); });
  if (!found) return "";
  std::string text = found->text();
  const Where same = same_collective(*found);
  for (const Pick& member : tasks_where(world, same)) insert(member.rank->tasks, member.at + 1, member.task());
  return text;
}

std::string reduce_twice(World& world, Random& random) {
  const auto found = pick(world, random, is_tensor_collective);
  if (!found) return "";
  std::string text = found->text();
  const Where same = same_collective(*found);
  for (const Pick& member : tasks_where(world, same)) insert(member.rank->tasks, member.at + 1, member.task());
  return text;
}

std::string update_twice(World& world, Random& random) {
  const auto found = pick(world, random, [](const Partition&, const Task& t) { return t.kind == TaskKind::update; });
  if (!found) return "";
  insert(found->rank->tasks, found->at + 1, found->task());
  return found->text();
}

std::string run_on_another_rank(World& world, Random& random) {
  if (world.layout.p == 1) return "";
  const auto found = pick(
      world, random, [](const Partition&, const Task& t) { return t.kind == TaskKind::compute && t.node != kNone; });
  if (!found) return "";
  std::string text = found->text();
  Coordinate at = found->rank->at;
  at.p = (at.p + 1) % world.layout.p;
  Task task = found->task();
  task.num_deps = 0;
  RankTasks& other = world.ranks[static_cast<std::size_t>(world.mesh.rank(at))]->tasks;
  insert(other, other.tasks.size() / 2, task);
  remove(found->rank->tasks, found->at);
  return text;
}

std::string wrong_microbatch(World& world, Random& random) {
  if (world.layout.microbatches < 2) return "";
  const auto found = pick(world, random, [](const Partition&, const Task& t) { return t.id.phase != Phase::update; });
  if (!found) return "";
  std::string text = found->text();
  std::int32_t& m = found->task().id.microbatch;
  m = (m + 1) % world.layout.microbatches;
  return text;
}

std::string wrong_node(World& world, Random& random) {
  const auto found = pick(
      world, random, [](const Partition&, const Task& t) { return t.kind == TaskKind::compute && t.node != kNone; });
  if (!found) return "";
  std::string text = found->text();
  found->task().node += found->task().node > 0 ? -1 : 1;
  found->task().id.operation = found->task().node;
  return text;
}

std::string wrong_peer(World& world, Random& random) {
  const auto found = pick(world, random, [](const Partition&, const Task& t) { return is_transfer(t); });
  if (!found) return "";
  std::string text = found->text();
  found->task().peer = (found->task().peer + 1) % world.mesh.world_size();
  return text;
}

std::string wrong_channel(World& world, Random& random) {
  const auto found = pick(world, random, [](const Partition&, const Task& t) { return is_transfer(t); });
  if (!found) return "";
  std::string text = found->text();
  found->task().channel += random() % 2 == 0 ? 1 : 2;
  return text;
}

std::string wrong_bytes(World& world, Random& random) {
  const auto found = pick(world, random, [](const Partition&, const Task& t) {
    return is_transfer(t) || (is_collective(t) && t.axis != Axis::world);
  });
  if (!found) return "";
  found->task().bytes += 4;
  return found->text();
}

std::string wrong_queue(World& world, Random& random) {
  const auto found = pick(world, random, [](const Partition&, const Task&) { return true; });
  if (!found) return "";
  found->task().queue = found->task().queue == QueueId::compute ? QueueId::tensor_comm : QueueId::compute;
  return found->text();
}

std::string wrong_axis(World& world, Random& random) {
  const auto found = pick(world, random, [](const Partition&, const Task& t) { return is_collective(t); });
  if (!found) return "";
  std::string text = found->text();
  found->task().axis = found->task().axis == Axis::data ? Axis::tensor : Axis::data;
  return text;
}

std::string wrong_range(World& world, Random& random) {
  const auto found = pick(
      world, random, [](const Partition&, const Task& t) { return is_gradient_sum(t) || t.kind == TaskKind::update; });
  if (!found) return "";
  std::int64_t& number = random() % 2 == 0 ? found->task().begin : found->task().count;
  number += random() % 2 == 0 ? 1 : -1;
  return found->text();
}

/// Another value than the one that is needed there, on both sides alike.
std::string wrong_value(World& world, Random& random) {
  const auto found = pick(world, random, [](const Partition&, const Task& t) { return t.kind == TaskKind::send; });
  if (!found) return "";
  std::string text = found->text();
  const Channel channel = channel_of(*found->rank, found->task());
  const Task sent = found->task();
  for (const Pick& side : tasks_where(world, [&](const Partition& rank, const Task& t) {
         return is_transfer(t) && channel_of(rank, t) == channel && t.value == sent.value &&
                t.id.microbatch == sent.id.microbatch;
       })) {
    const ValueId other = side.rank->split().graph.loss;
    side.task().id.operation += other - side.task().value;
    side.task().value = other;
    side.task().bytes = 4;
  }
  return text;
}

// --- Order

/// The tasks in another order: `order` has their present places.
void reorder(RankTasks& tasks, const std::vector<std::size_t>& order) {
  std::vector<std::int32_t> place(order.size());
  std::vector<Task> reordered;
  for (std::size_t i = 0; i < order.size(); ++i) {
    place[order[i]] = static_cast<std::int32_t>(i);
    reordered.push_back(tasks.tasks[order[i]]);
  }
  for (std::int32_t& dep : tasks.deps) dep = place[static_cast<std::size_t>(dep)];
  tasks.tasks = std::move(reordered);
}

/// Moves the tasks that `late` holds for to the place before `end`.
void move_behind(RankTasks& tasks, std::size_t end, const std::function<bool(std::size_t at)>& late) {
  std::vector<std::size_t> order;
  for (const bool moved : {false, true}) {
    for (std::size_t at = 0; at < end; ++at) {
      if (late(at) == moved) order.push_back(at);
    }
  }
  for (std::size_t at = end; at < tasks.tasks.size(); ++at) order.push_back(at);
  reorder(tasks, order);
}

/// True if a task in [first, end) depends on `at`.
bool is_awaited(const RankTasks& tasks, std::size_t at, std::size_t first, std::size_t end) {
  for (std::size_t i = first; i < end; ++i) {
    for (const std::int32_t dep : tasks.deps_of(tasks.tasks[i])) {
      if (static_cast<std::size_t>(dep) == at) return true;
    }
  }
  return false;
}

/// Puts a task behind the next one that must come after it, though nothing on its rank says so.
std::string swap_with_next(World& world, Random& random, const Where& where,
                           const std::function<bool(const Partition&, const Task&, const Task&)>& ordered) {
  for (int attempt = 0; attempt < 60; ++attempt) {
    const auto found = pick(world, random, where);
    if (!found) return "";
    RankTasks& tasks = found->rank->tasks;
    for (std::size_t next = found->at + 1; next < tasks.tasks.size(); ++next) {
      if (!where(*found->rank, tasks.tasks[next]) || !ordered(*found->rank, found->task(), tasks.tasks[next])) continue;
      if (is_awaited(tasks, found->at, found->at + 1, next + 1)) break;
      std::string text = found->text() + " with " + tasks.tasks[next].id.to_string();
      move_behind(tasks, next + 1, [&](std::size_t at) { return at == found->at; });
      return text;
    }
  }
  return "";
}

bool same_channel(const Partition& rank, const Task& a, const Task& b) {
  return channel_of(rank, a) == channel_of(rank, b);
}

std::string swap_sends(World& world, Random& random) {
  return swap_with_next(
      world, random, [](const Partition&, const Task& t) { return t.kind == TaskKind::send; }, same_channel);
}

std::string swap_receives(World& world, Random& random) {
  return swap_with_next(
      world, random, [](const Partition&, const Task& t) { return t.kind == TaskKind::receive; }, same_channel);
}

std::string swap_collectives(World& world, Random& random) {
  return swap_with_next(
      world, random, [](const Partition&, const Task& t) { return is_collective(t); },
      [](const Partition& rank, const Task& a, const Task& b) { return group_of(rank, a) == group_of(rank, b); });
}

std::string swap_microbatches(World& world, Random& random) {
  return swap_with_next(
      world, random, [](const Partition&, const Task& t) { return t.kind == TaskKind::compute && t.node != kNone; },
      [](const Partition&, const Task& a, const Task& b) { return a.node == b.node; });
}

/// What the last forward pass sends is sent at the end of the step: the rank waits for its gradient before.
std::string send_late(World& world, Random& random) {
  const auto found = pick(world, random, [&](const Partition&, const Task& t) {
    return t.kind == TaskKind::send && t.id.phase == Phase::forward && t.id.microbatch + 1 == world.layout.microbatches;
  });
  if (!found) return "";
  std::string text = found->text();
  const TaskId id = found->task().id;
  RankTasks& tasks = found->rank->tasks;
  const auto totals = std::ranges::find_if(
      tasks.tasks, [](const Task& t) { return t.kind == TaskKind::compute && t.id.phase == Phase::update; });
  move_behind(tasks, static_cast<std::size_t>(totals - tasks.tasks.begin()), [&](std::size_t at) {
    const Task& t = tasks.tasks[at];
    return t.kind == TaskKind::send && t.id.phase == id.phase && t.id.stage == id.stage &&
           t.id.microbatch == id.microbatch;
  });
  return text;
}

// --- Flat buffers

std::string wrong_segment(World& world, Random& random) {
  Partition& rank = *any_of(std::vector<Partition*>{world.ranks[random() % world.ranks.size()].get()}, random);
  std::vector<Segment>& segments = rank.layout.segments;
  if (segments.empty()) return "";
  Segment& segment = segments[random() % segments.size()];
  switch (random() % 4) {
    case 0: segment.begin += kSegmentAlignment; break;
    case 1: segment.count -= 1; break;
    case 2: segment.tied_stages.push_back(99); break;
    default: std::swap(segment.value, segments[0].value == segment.value ? segments.back().value : segments[0].value);
  }
  return segments.size() == 1 ? "" : fmt::format("rank {} {}", rank.rank, segment.spec.name);
}

// --- Divided graphs: changed for all ranks of a tensor index

struct GraphPick {
  int t = 0;
  std::int64_t samples = 0;
};

/// Changes the divided graph of one tensor index and size on all its ranks.
std::string change_graph(World& world, Random& random, const std::function<std::string(SplitGraph&)>& change) {
  const Partition& model = *world.ranks[random() % world.ranks.size()];
  auto size = model.graphs.begin();
  std::advance(size, static_cast<std::ptrdiff_t>(random() % model.graphs.size()));
  const std::int64_t samples = size->first;
  SplitGraph changed = size->second;
  std::string text = change(changed);
  if (text.empty()) return "";
  for (auto& rank : world.ranks) {
    if (rank->at.t == model.at.t && rank->graphs.contains(samples)) rank->graphs.at(samples) = changed;
  }
  return fmt::format("tensor index {}, {} samples: {}", model.at.t, samples, text);
}

using NodeWhere = std::function<bool(const SplitGraph& split, const Node& node)>;

std::optional<NodeId> pick_node(const SplitGraph& split, Random& random, const NodeWhere& where) {
  std::vector<NodeId> nodes;
  for (NodeId id = 0; id < split.graph.num_nodes(); ++id) {
    if (where(split, split.graph.node(id))) nodes.push_back(id);
  }
  if (nodes.empty()) return std::nullopt;
  return any_of(nodes, random);
}

bool reads(const Node& node, ValueId value) { return std::ranges::find(node.inputs, value) != node.inputs.end(); }

/// A reader of a collective's result reads what went into it.
std::string bypass_collective(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    Graph& graph = split.graph;
    const auto collective = pick_node(split, random, [](const SplitGraph& s, const Node& n) {
      return n.op->name == "AllReduce" &&
             std::ranges::any_of(s.graph.nodes(), [&](const Node& reader) { return reads(reader, n.outputs[0]); });
    });
    if (!collective) return "";
    const Node& from = graph.node(*collective);
    const auto reader =
        pick_node(split, random, [&](const SplitGraph&, const Node& n) { return reads(n, from.outputs[0]); });
    if (!reader) return "";
    for (ValueId& input : graph.node(*reader).inputs) {
      if (input == from.outputs[0]) input = from.inputs[0];
    }
    return graph.node(*reader).name + " reads past " + from.name;
  });
}

/// A sum of addends is summed again.
std::string reduce_the_reduced(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    const NodeWhere sums = [](const SplitGraph&, const Node& n) { return n.op->name == "AllReduce"; };
    const auto first = pick_node(split, random, sums);
    const auto second = pick_node(split, random, sums);
    if (!first || !second || *first >= *second) return "";
    split.graph.node(*second).inputs[0] = split.graph.node(*first).outputs[0];
    return split.graph.node(*second).name + " of " + split.graph.node(*first).name;
  });
}

/// Reads another value of the same shape.
std::string wrong_input(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    Graph& graph = split.graph;
    const auto found = pick_node(split, random, [](const SplitGraph&, const Node& n) { return n.inputs[0] != kNone; });
    if (!found) return "";
    ValueId& input = graph.node(*found).inputs[0];
    std::vector<ValueId> others;
    for (ValueId id = 0; id < graph.num_values(); ++id) {
      if (id != input && graph.shape(id) == graph.shape(input) && graph.value(id).producer < *found)
        others.push_back(id);
    }
    if (others.empty()) return "";
    input = any_of(others, random);
    return graph.node(*found).name + " reads " + graph.value(input).name;
  });
}

/// An integer attribute that says which part is this rank's, or how parts lie.
std::string wrong_part(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    static const std::vector<std::string> kKeys{"offset", "whole", "begin", "units", "inner", "heads", "parts", "dim"};
    const auto keys_of = [](const Node& n) {
      std::vector<std::string> keys;
      std::ranges::copy_if(kKeys, std::back_inserter(keys), [&](const std::string& key) { return n.attrs.has(key); });
      return keys;
    };
    const auto found = pick_node(split, random, [&](const SplitGraph&, const Node& n) { return !keys_of(n).empty(); });
    if (!found) return "";
    Node& node = split.graph.node(*found);
    const std::string key = any_of(keys_of(node), random);
    node.attrs.set(key, node.attrs.integer(key) + 1);
    return node.name + " " + key;
  });
}

std::string wrong_counts(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    const auto found = pick_node(split, random, [](const SplitGraph&, const Node& n) { return n.attrs.has("counts"); });
    if (!found) return "";
    const auto counts = split.graph.node(*found).attrs.integers("counts");
    std::vector<std::int64_t> changed(counts.begin(), counts.end());
    changed[random() % changed.size()] += 1;
    split.graph.node(*found).attrs.set("counts", changed);
    return split.graph.node(*found).name;
  });
}

/// A value is filed, and shaped, as another part of the tensor than it is.
std::string wrong_shard(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    std::vector<ValueId> shards;
    for (ValueId id = 0; id < split.graph.num_values(); ++id) {
      const bool used = split.graph.value(id).producer != kNone || split.graph.value(id).role == Role::parameter;
      if (used && split.shards[static_cast<std::size_t>(id)].sharding.is_shard()) shards.push_back(id);
    }
    if (shards.empty()) return "";
    const ValueId id = any_of(shards, random);
    Sharding& s = split.shards[static_cast<std::size_t>(id)].sharding;
    switch (random() % 4) {
      case 0: s = Sharding::replicate(); break;
      case 1: s = Sharding::partial(); break;
      case 2: std::swap(s.outer, s.units); break;
      default: split.graph.value(id).shape[s.dim] += 1; return split.graph.value(id).name + " is larger";
    }
    const bool changed = !(s.outer == s.units && s.is_shard());
    return changed ? split.graph.value(id).name + " as " + s.to_string() : "";
  });
}

/// The gradient of a parameter is that of another one of the same shape.
std::string wrong_gradient(World& world, Random& random) {
  return change_graph(world, random, [&](SplitGraph& split) -> std::string {
    std::vector<std::pair<ValueId, ValueId>> pairs;
    for (const auto& [a, gradient_a] : split.graph.gradient_of) {
      for (const auto& [b, gradient_b] : split.graph.gradient_of) {
        if (a < b && split.graph.shape(a) == split.graph.shape(b)) pairs.emplace_back(a, b);
      }
    }
    if (pairs.empty()) return "";
    const auto [a, b] = any_of(pairs, random);
    std::swap(split.graph.gradient_of.at(a), split.graph.gradient_of.at(b));
    return split.graph.value(a).name + " and " + split.graph.value(b).name;
  });
}

constexpr Mutation kMutations[] = {
    {"a tensor collective is dropped on all ranks", false, drop_tensor_collective},
    {"a sum over replicas is dropped on all ranks", false, drop_replica_sum},
    {"a sum over shared weights is dropped on all ranks", false, drop_tied_sum},
    {"the sum of the totals is dropped on all ranks", false, drop_totals_sum},
    {"a node is dropped on all tensor ranks", false, drop_node},
    {"a send or a receive is dropped", false, drop_one_side},
    {"a message is dropped on both sides", false, drop_message},
    {"a microbatch is missing", false, drop_microbatch},
    {"a backward pass is missing", false, drop_backward_pass},
    {"a needed dependency is dropped", false, drop_needed_dependency},
    {"a dependency is on a later task", false, depend_on_later},
    {"a node runs twice", false, run_twice},
    {"a gradient is summed twice on all ranks", false, sum_twice},
    {"a tensor collective runs twice on all ranks", false, reduce_twice},
    {"an update runs twice", false, update_twice},
    {"a node runs on another stage's rank", false, run_on_another_rank},
    {"another microbatch", false, wrong_microbatch},
    {"another node", false, wrong_node},
    {"another peer", false, wrong_peer},
    {"another channel", false, wrong_channel},
    {"other bytes", false, wrong_bytes},
    {"another queue", false, wrong_queue},
    {"another axis", false, wrong_axis},
    {"another range of the flat buffer", false, wrong_range},
    {"another value is sent and received", false, wrong_value},
    {"two sends are swapped", false, swap_sends},
    {"two receives are swapped", false, swap_receives},
    {"two collectives are swapped on one rank", false, swap_collectives},
    {"two microbatches are swapped", false, swap_microbatches},
    {"a send comes after the wait for its answer", false, send_late},
    {"another place in the flat buffer", false, wrong_segment},
    {"addends are read as a whole", true, bypass_collective},
    {"a sum is summed again", true, reduce_the_reduced},
    {"another input", true, wrong_input},
    {"another part of a tensor", true, wrong_part},
    {"other counts of a gather", true, wrong_counts},
    {"another shard", true, wrong_shard},
    {"another parameter's gradient", true, wrong_gradient},
};

}  // namespace

std::span<const Mutation> all_mutations() { return kMutations; }

}  // namespace dml::test
