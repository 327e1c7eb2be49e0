// Faults of tasks and flat buffers.
#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <optional>

#include "parallel/verify/comm_key.h"
#include "tests/parallel/verify/planting.h"

namespace dml::test {
namespace {

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

std::string drop_tensor_sum(World& world, Random& random) {
  return drop_collective(world, random,
                         [](const Partition&, const Task& t) { return is_gradient_sum(t) && t.axis == Axis::tensor; });
}

std::string drop_weight_gather(World& world, Random& random) {
  return drop_collective(world, random, [](const Partition&, const Task& t) { return is_weight_gather(t); });
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

std::string gather_twice(World& world, Random& random) {
  const auto found = pick(world, random, [](const Partition&, const Task& t) { return is_weight_gather(t); });
  if (!found) return "";
  std::string text = found->text();
  const Where same = same_collective(*found);
  for (const Pick& member : tasks_where(world, same)) insert(member.rank->tasks, member.at + 1, member.task());
  return text;
}

/// All replicas keep the whole sum, or a part of it, though they are to do the other.
std::string scatter_or_keep(World& world, Random& random) {
  const auto found =
      pick(world, random, [](const Partition&, const Task& t) { return is_gradient_sum(t) && t.axis == Axis::data; });
  if (!found) return "";
  std::string text = found->text();
  const Where same = same_collective(*found);
  for (const Pick& member : tasks_where(world, same)) {
    TaskKind& kind = member.task().kind;
    kind = kind == TaskKind::all_reduce ? TaskKind::reduce_scatter : TaskKind::all_reduce;
  }
  return text;
}

/// A replica updates the part of another.
std::string update_of_another(World& world, Random& random) {
  if (!world.layout.techniques.shares_states() || world.layout.d == 1) return "";
  const auto found = pick(world, random, [](const Partition&, const Task& t) { return t.kind == TaskKind::update; });
  if (!found) return "";
  const std::int64_t size = found->rank->layout.size;
  const int other = (found->rank->at.d + 1) % world.layout.d;
  found->own_work().begin = part_begin(size, world.layout.d, other);
  found->own_work().count = part_size(size, world.layout.d, other);
  return found->text();
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
  found->own_work().bytes += 4;
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
  const auto found = pick(world, random, [](const Partition&, const Task& t) {
    return is_gradient_sum(t) || is_weight_gather(t) || t.kind == TaskKind::update;
  });
  if (!found) return "";
  Work& work = found->own_work();
  std::int64_t& number = random() % 2 == 0 ? work.begin : work.count;
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
    side.own_work().bytes = 4;
  }
  return text;
}

// --- Order

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
  Partition& rank = *world.ranks[random() % world.ranks.size()];
  std::vector<Segment>& segments = rank.layout.segments;
  if (segments.size() < 2) return "";
  Segment& segment = segments[random() % segments.size()];
  switch (random() % 4) {
    case 0: segment.begin += kSegmentAlignment; break;
    case 1: segment.count -= 1; break;
    case 2: segment.tied_stages.push_back(99); break;
    default: std::swap(segment.value, segments[0].value == segment.value ? segments.back().value : segments[0].value);
  }
  return fmt::format("rank {} {}", rank.rank, segment.spec.name);
}

constexpr Mutation kTaskMutations[] = {
    {"a tensor collective is dropped on all ranks", drop_tensor_collective},
    {"a sum over replicas is dropped on all ranks", drop_replica_sum},
    {"a sum over shared weights is dropped on all ranks", drop_tied_sum},
    {"a sum of gradients over the tensor axis is dropped on all ranks", drop_tensor_sum},
    {"the sum of the totals is dropped on all ranks", drop_totals_sum},
    {"a gather of weights is dropped on all ranks", drop_weight_gather},
    {"weights are gathered twice on all ranks", gather_twice},
    {"a sum over replicas is scattered, or not, on all ranks", scatter_or_keep},
    {"the part of another replica is updated", update_of_another},
    {"a node is dropped on all tensor ranks", drop_node},
    {"a send or a receive is dropped", drop_one_side},
    {"a message is dropped on both sides", drop_message},
    {"a microbatch is missing", drop_microbatch},
    {"a backward pass is missing", drop_backward_pass},
    {"a needed dependency is dropped", drop_needed_dependency},
    {"a dependency is on a later task", depend_on_later},
    {"a node runs twice", run_twice},
    {"a gradient is summed twice on all ranks", sum_twice},
    {"a tensor collective runs twice on all ranks", reduce_twice},
    {"an update runs twice", update_twice},
    {"a node runs on another stage's rank", run_on_another_rank},
    {"another microbatch", wrong_microbatch},
    {"another node", wrong_node},
    {"another peer", wrong_peer},
    {"another channel", wrong_channel},
    {"other bytes", wrong_bytes},
    {"another queue", wrong_queue},
    {"another axis", wrong_axis},
    {"another range of the flat buffer", wrong_range},
    {"another value is sent and received", wrong_value},
    {"two sends are swapped", swap_sends},
    {"two receives are swapped", swap_receives},
    {"two collectives are swapped on one rank", swap_collectives},
    {"two microbatches are swapped", swap_microbatches},
    {"a send comes after the wait for its answer", send_late},
    {"another place in the flat buffer", wrong_segment},
};

}  // namespace

std::span<const Mutation> task_mutations() { return kTaskMutations; }

}  // namespace dml::test
