#include "parallel/simulate/step_simulation.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <queue>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "models/index.h"
#include "parallel/simulate/exchanges.h"

namespace dml {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

constexpr std::int32_t kNothing = -1;
constexpr std::int32_t kHost = -2;

/// Where a rank is in its list.
struct Place {
  std::int32_t next = 0;
  std::int32_t waits_for = kNothing;  ///< a task whose end it waits for, or kHost
  std::int32_t num_over = 0;          ///< tasks at the begin of the list that are known to be over
  double work = 0;                    ///< of the task that runs: seconds it takes on cores of its own
  double since = 0;                   ///< begin of the task that runs, or of the wait
  double communicates_until = 0;      ///< the least time until which an exchange of it is under way
  bool computes = false;
  bool moves = false;                                       ///< data of the first exchange of to_move
  double moves_since = 0;                                   ///< when it began to, or no longer waited for anything
  std::vector<std::pair<std::int32_t, Side>> to_move = {};  ///< exchanges whose data its core moves next
};

/// The pass that a rank is in.
struct Pass {
  std::int32_t first = kNothing;  ///< its first task of a node
  std::int32_t num_issued = 0;    ///< tasks of nodes
  double since = 0;
};

/// When a side of an exchange is done, or of a host.
struct Completion {
  double end = 0;
  Side side;
  bool operator>(const Completion& other) const {
    return std::tie(end, side.rank, side.task) > std::tie(other.end, other.side.rank, other.side.task);
  }
};

class StepSimulation {
 public:
  StepSimulation(std::span<const RankTasks> ranks, const RankClasses& classes, const Hosts& hosts,
                 const TaskSeconds& seconds)
      : ranks_(ranks),
        seconds_(seconds),
        exchanges_(find_exchanges(ranks, classes)),
        mesh_(classes.mesh()),
        places_(ranks.size()),
        passes_(ranks.size()),
        hosts_(hosts),
        cores_(classes, hosts.cores),
        outgoing_(classes, hosts.uplinks),
        incoming_(classes, hosts.uplinks) {
    result_.timeline.measured = false;
    result_.parts.resize(ranks.size());
    std::size_t num_tasks = 0;
    for (const RankTasks& rank : ranks) num_tasks += rank.tasks.size();
    result_.timeline.spans.reserve(num_tasks);
    for (const RankTasks& rank : ranks) {
      first_.push_back(result_.timeline.spans.size());
      for (std::size_t i = 0; i < rank.tasks.size(); ++i) {
        result_.timeline.spans.push_back({static_cast<std::int32_t>(i), rank.rank, -1, kNever, -1});
      }
    }
    for (std::size_t i = 0; i < exchanges_.size(); ++i)
      missing_.push_back(exchanges_.sides(static_cast<std::int32_t>(i)).size());
  }

  SimulatedStep run() {
    for (int rank = 0; rank < num_ranks(); ++rank) proceed(rank);
    while (advance()) {
    }
    for (int rank = 0; rank < num_ranks(); ++rank) {
      if (place_of(rank).waits_for >= 0) refuse_deadlock(rank);
      parts(rank).step += hosts_.step_seconds;
      parts(rank).exposed_comm += hosts_.step_seconds;
      result_.seconds = std::max(result_.seconds, result_.parts[index(rank)].step);
    }
    return std::move(result_);
  }

 private:
  int num_ranks() const { return static_cast<int>(ranks_.size()); }
  Place& place_of(int rank) { return places_[index(rank)]; }
  StepParts& parts(int rank) { return result_.parts[index(rank)]; }
  const Task& task(int rank, std::int32_t i) const { return ranks_[index(rank)].tasks[index(i)]; }
  std::size_t place(int rank, std::int32_t i) const { return first_[index(rank)] + index(i); }
  Span& span(int rank, std::int32_t i) { return result_.timeline.spans[place(rank, i)]; }
  bool is_over(int rank, std::int32_t i) { return span(rank, i).end <= now_; }
  static bool is_exchange(const Task& task) { return task.queue != QueueId::compute; }

  /// Takes a rank's tasks from its place on, until it computes, waits or is done.
  void proceed(int rank) {
    Place& s = place_of(rank);
    const RankTasks& tasks = ranks_[index(rank)];
    for (; s.next < static_cast<std::int32_t>(tasks.tasks.size()); ++s.next) {
      const Task& next = tasks.tasks[index(s.next)];
      if (is_held_up(rank, next)) return;
      for (const std::int32_t dep : tasks.deps_of(next)) {
        if (is_over(rank, dep)) continue;
        s.waits_for = dep;
        s.since = now_;
        return;
      }
      issue(rank, next);
      if (!is_exchange(next)) return begin(rank);
      post(rank);
      if (!s.moves) continue;
      ++s.next;
      return;
    }
    // The step ends with its last communication.
    for (; s.num_over < s.next; ++s.num_over) {
      if (is_over(rank, s.num_over)) continue;
      s.waits_for = s.num_over;
      s.since = now_;
      return;
    }
    parts(rank).step = now_;
  }

  /// Whether the rank must wait until its host has issued the pass that ends before `next`.
  bool is_held_up(int rank, const Task& next) {
    Pass& pass = passes_[index(rank)];
    if (pass.first == kNothing || !ends_pass(task(rank, pass.first), next)) return false;
    const double issued = pass.since + pass.num_issued * hosts_.dispatch_seconds;
    if (issued > now_) {
      place_of(rank).waits_for = kHost;
      place_of(rank).since = now_;
      completions_.push({issued, {rank, kHost}});
      return true;
    }
    pass = {};
    return false;
  }

  void issue(int rank, const Task& next) {
    if (hosts_.dispatch_seconds == 0 || next.node == kNone) return;
    Pass& pass = passes_[index(rank)];
    if (pass.first == kNothing) pass = {place_of(rank).next, 0, now_};
    ++pass.num_issued;
  }

  /// Gradient sums, and what is posted for the next pass, stand between the nodes of a pass.
  static bool ends_pass(const Task& first, const Task& next) {
    if (next.node == kNone) return next.kind == TaskKind::send || next.queue == QueueId::compute;
    const bool is_forward = first.id.phase == Phase::forward;
    return is_forward != (next.id.phase == Phase::forward) || first.id.microbatch != next.id.microbatch ||
           first.id.stage != next.id.stage;
  }

  void begin(int rank) {
    Place& s = place_of(rank);
    s.computes = true;
    s.since = now_;
    span(rank, s.next).start = now_;
    s.work = seconds_(ranks_[index(rank)], index(s.next));
    parts(rank).compute += s.work;
    cores_.begin(rank, s.next, slowed(s), now_);
  }

  /// The seconds of a task of which a part runs beside communication.
  double slowed(const Place& s) const {
    const double slowdown = hosts_.overlap_slowdown;
    const double beside = std::max(0.0, s.communicates_until - now_);
    return s.work * slowdown <= beside ? s.work * slowdown : s.work + beside * (1 - 1 / slowdown);
  }

  void post(int rank) {
    const std::int32_t i = place_of(rank).next;
    span(rank, i).start = now_;
    const std::int32_t exchange = exchanges_.of_task[index(rank)][index(i)];
    const std::span<const Side> sides = exchanges_.sides(exchange);
    if (--missing_[index(exchange)] > 0) return;
    if (!hosts_.cores_communicate) {
      exchange_at_once(exchange);
      return;
    }
    // The core of a message's receiver moves it, those of all sides a collective.
    const auto moves = [&](const Side& side) { return task(side.rank, side.task).kind != TaskKind::send; };
    missing_[index(exchange)] = static_cast<std::size_t>(std::count_if(sides.begin(), sides.end(), moves));
    for (const Side& side : sides) {
      if (!moves(side)) continue;
      place_of(side.rank).to_move.emplace_back(exchange, side);
      if (!place_of(side.rank).computes && !place_of(side.rank).moves) move(side.rank);
    }
  }

  /// Without the ranks' doing; through what the ranks of a host share where it leaves the host.
  void exchange_at_once(std::int32_t exchange) {
    const std::span<const Side> sides = exchanges_.sides(exchange);
    const bool shares = hosts_.uplinks.slows() && leaves_host(sides.front());
    missing_[index(exchange)] = sides.size();
    for (const Side& side : sides) {
      const double seconds = seconds_of(side);
      double& until = place_of(side.rank).communicates_until;
      until = std::max(until, now_ + seconds);
      if (!shares) {
        complete(side, now_ + seconds);
      } else {
        const bool receives = task(side.rank, side.task).kind == TaskKind::receive;
        (receives ? incoming_ : outgoing_).begin(side.rank, side.task, seconds, now_);
      }
    }
  }

  /// Whether the members of a side's group, or the peer, are on other hosts.
  bool leaves_host(const Side& side) const {
    const Task& t = task(side.rank, side.task);
    const int rank = ranks_[index(side.rank)].rank;
    const auto is_elsewhere = [&](int other) { return other / hosts_.uplinks.ranks != rank / hosts_.uplinks.ranks; };
    if (t.kind == TaskKind::send || t.kind == TaskKind::receive) return is_elsewhere(t.peer);
    if (t.axis == Axis::world) return mesh_.world_size() > hosts_.uplinks.ranks;
    return std::ranges::any_of(mesh_.group(rank, t.axis), is_elsewhere);
  }

  /// An exchange through shared links is over with its last side.
  void end_shared(SharedHosts::Ended ended) {
    const std::int32_t exchange = exchanges_.of_task[index(ended.rank_class)][index(ended.task)];
    if (--missing_[index(exchange)] > 0) return;
    for (const Side& side : exchanges_.sides(exchange)) complete(side, now_);
  }

  double seconds_of(const Side& side) { return seconds_(ranks_[index(side.rank)], index(side.task)); }

  void complete(const Side& side, double end) {
    span(side.rank, side.task).end = end;
    completions_.push({end, side});
  }

  /// What an exchange takes of each of its ranks' cores, as a part of its seconds, in which a large group shares them.
  double core_part(const Task& task) const {
    int ranks = 2;
    if (task.axis == Axis::data) ranks = mesh_.d();
    if (task.axis == Axis::tensor) ranks = mesh_.t();
    if (task.axis == Axis::world) ranks = mesh_.world_size();
    return hosts_.cores.slows() ? std::min(1.0, hosts_.cores.at_full_speed / ranks) : 1;
  }

  /// Begins to move what is first to be moved.
  void move(int rank) {
    Place& s = place_of(rank);
    const Side& side = s.to_move.front().second;
    s.moves = true;
    s.moves_since = now_;
    cores_.begin(rank, side.task, core_part(task(side.rank, side.task)) * seconds_of(side), now_);
  }

  void end_move(int rank) {
    Place& s = place_of(rank);
    const std::int32_t exchange = s.to_move.front().first;
    s.to_move.erase(s.to_move.begin());
    s.moves = false;
    if (s.waits_for == kNothing) parts(rank).exposed_comm += now_ - s.moves_since;
    if (--missing_[index(exchange)] > 0) return;
    for (const Side& side : exchanges_.sides(exchange)) complete(side, now_);
  }

  /// Goes on to the next end of a task or of an exchange; false where there is none.
  bool advance() {
    const double exchange = completions_.empty() ? kNever : completions_.top().end;
    const double task = cores_.next_end();
    const double sent = outgoing_.next_end();
    const double received = incoming_.next_end();
    const double at = std::min({exchange, task, sent, received});
    if (at == kNever) return false;
    now_ = std::max(now_, at);
    if (at == sent) {
      end_shared(outgoing_.end_next());
    } else if (at == received) {
      end_shared(incoming_.end_next());
    } else if (task < exchange) {
      end_task(cores_.end_next().rank_class);
    } else {
      end_side();
    }
    return true;
  }

  void end_task(int rank) {
    Place& s = place_of(rank);
    if (s.moves) {
      end_move(rank);
    } else {
      span(rank, s.next).end = now_;
      parts(rank).core_wait += std::max(0.0, now_ - s.since - s.work);
      ++s.next;
      s.computes = false;
    }
    if (!s.to_move.empty()) return move(rank);
    if (s.waits_for == kNothing) proceed(rank);
  }

  void end_side() {
    const Side side = completions_.top().side;
    completions_.pop();
    Place& waiting = place_of(side.rank);
    if (waiting.waits_for != side.task) return;
    const bool receives = side.task != kHost && task(side.rank, side.task).kind == TaskKind::receive;
    (receives ? parts(side.rank).bubble : parts(side.rank).exposed_comm) += now_ - waiting.since;
    waiting.waits_for = kNothing;
    waiting.moves_since = now_;
    if (!waiting.moves) proceed(side.rank);
  }

  [[noreturn]] void refuse_deadlock(int rank) {
    const RankTasks& tasks = ranks_[index(rank)];
    throw std::invalid_argument(fmt::format("[simulate] rank {} waits for ever for {}", tasks.rank,
                                            tasks.tasks[index(place_of(rank).waits_for)].id.to_string()));
  }

  std::span<const RankTasks> ranks_;
  const TaskSeconds& seconds_;
  std::vector<std::size_t> first_;  ///< by rank: place of its first task
  Exchanges exchanges_;
  const Mesh& mesh_;
  std::vector<std::size_t> missing_;  ///< by exchange: sides that have not posted it, then such that have not moved it
  std::vector<Place> places_;
  std::vector<Pass> passes_;
  Hosts hosts_;
  SharedHosts cores_, outgoing_, incoming_;
  std::priority_queue<Completion, std::vector<Completion>, std::greater<>> completions_;
  double now_ = 0;
  SimulatedStep result_;
};

}  // namespace

SimulatedStep simulate_step(std::span<const RankTasks> ranks, const RankClasses& classes, const Hosts& hosts,
                            const TaskSeconds& seconds) {
  return StepSimulation(ranks, classes, hosts, seconds).run();
}

SimulatedStep simulate_step(std::span<const RankTasks> ranks, const Mesh& mesh, const Hosts& hosts,
                            const TaskSeconds& seconds) {
  return simulate_step(ranks, RankClasses(mesh), hosts, seconds);
}

}  // namespace dml
