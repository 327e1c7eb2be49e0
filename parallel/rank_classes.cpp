#include "parallel/rank_classes.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "models/index.h"

namespace dml {
namespace {

IndexClasses each_by_itself(int size) {
  std::vector<int> indices(index(size));
  std::iota(indices.begin(), indices.end(), 0);
  return classes_by<int>(indices);
}

/// What is known of each rank, gathered for each replica and each tensor index: ranks stay alike where both are alike.
class Keys {
 public:
  explicit Keys(const RankClasses& classes)
      : mesh_(classes.mesh()), replicas_(index(mesh_.d())), tensors_(index(mesh_.t())) {
    for (int d = 0; d < mesh_.d(); ++d) replicas_[index(d)].push_back(classes.replicas().of[index(d)]);
    for (int t = 0; t < mesh_.t(); ++t) tensors_[index(t)].push_back(classes.tensors().of[index(t)]);
  }

  /// To be called for all ranks in the order of their numbers.
  void add(int rank, int fact) {
    const Coordinate at = mesh_.coordinate(rank);
    replicas_[index(at.d)].push_back(fact);
    tensors_[index(at.t)].push_back(fact);
  }

  RankClasses classes() const {
    return {mesh_, classes_by<std::vector<int>>(replicas_), classes_by<std::vector<int>>(tensors_)};
  }

 private:
  const Mesh& mesh_;
  std::vector<std::vector<int>> replicas_, tensors_;
};

/// The pairs of positions that talk to each other.
std::set<std::pair<int, int>> neighbours(const Placement& placement) {
  std::set<std::pair<int, int>> pairs;
  for (int stage = 1; stage < placement.num_stages(); ++stage)
    pairs.emplace(std::minmax(placement.position(stage - 1), placement.position(stage)));
  return pairs;
}

/// How many of the blocks that hold one rank do not hold the other.
int distance(const std::vector<int>& blocks, int rank, int other) {
  return static_cast<int>(std::ranges::count_if(blocks, [&](int size) { return rank / size != other / size; }));
}

RankClasses divided_by_distance(const RankClasses& classes, const Placement& placement,
                                const std::vector<int>& blocks) {
  const Mesh& mesh = classes.mesh();
  Keys keys(classes);
  for (const auto& [position, other] : neighbours(placement)) {
    for (int rank = 0; rank < mesh.world_size(); ++rank) {
      Coordinate at = mesh.coordinate(rank);
      if (at.p != position) continue;
      at.p = other;
      keys.add(rank, distance(blocks, rank, mesh.rank(at)));
    }
  }
  return keys.classes();
}

RankClasses divided_by_devices(const RankClasses& classes, const std::vector<int>& devices) {
  Keys keys(classes);
  for (std::size_t rank = 0; rank < devices.size(); ++rank) keys.add(static_cast<int>(rank), devices[rank]);
  return keys.classes();
}

/// One round: ranks of a class whose hosts hold other numbers of some class part.
RankClasses divided_by_hosts(const RankClasses& classes, int ranks_per_host) {
  const int world = classes.mesh().world_size();
  std::map<std::map<int, int>, int> known;  // ranks of each class on a host -> number of such a host
  Keys keys(classes);
  for (int first = 0; first < world; first += ranks_per_host) {
    const int end = std::min(first + ranks_per_host, world);
    std::map<int, int> content;
    for (int rank = first; rank < end; ++rank) ++content[classes.class_of(rank)];
    const int number = known.try_emplace(std::move(content), static_cast<int>(known.size())).first->second;
    for (int rank = first; rank < end; ++rank) keys.add(rank, number);
  }
  return keys.classes();
}

}  // namespace

RankClasses::RankClasses(const Mesh& mesh) : RankClasses(mesh, each_by_itself(mesh.d()), each_by_itself(mesh.t())) {}

RankClasses::RankClasses(const Mesh& mesh, IndexClasses replicas, IndexClasses tensors)
    : mesh_(mesh), replicas_(std::move(replicas)), tensors_(std::move(tensors)) {
  classes_.resize(index(mesh.world_size()));
  for (int rank = 0; rank < mesh.world_size(); ++rank) {
    Coordinate first = mesh.coordinate(rank);
    first.d = replicas_.first[index(replicas_.of[index(first.d)])];
    first.t = tensors_.first[index(tensors_.of[index(first.t)])];
    const int first_rank = mesh.rank(first);
    if (first_rank == rank) first_ranks_.push_back(rank);
    classes_[index(rank)] = first_rank == rank ? size() - 1 : classes_[index(first_rank)];
  }
}

int RankClasses::count(int rank_class) const {
  const Coordinate at = mesh_.coordinate(first_ranks_[index(rank_class)]);
  return replicas_.count[index(replicas_.of[index(at.d)])] * tensors_.count[index(tensors_.of[index(at.t)])];
}

int RankClasses::group_size(Axis axis) const {
  switch (axis) {
    case Axis::data: return replicas_.size();
    case Axis::tensor: return tensors_.size();
    case Axis::pipeline: return mesh_.p();
    case Axis::world: return size();
  }
  return 0;
}

IndexClasses replica_classes(const Mesh& mesh, std::int64_t batch) {
  std::vector<std::int64_t> samples;
  for (int d = 0; d < mesh.d(); ++d) samples.push_back(part_size(batch, mesh.d(), d));
  return classes_by<std::int64_t>(samples);
}

IndexClasses tensor_classes(std::span<const SplitPlan* const> plans, int size) {
  std::set<std::int64_t> units;
  const auto note = [&](const std::vector<Sharding>& shardings) {
    for (const Sharding& sharding : shardings) {
      if (sharding.is_shard()) units.insert(sharding.units);
    }
  };
  for (const SplitPlan* plan : plans) {
    note(plan->values);
    for (const Strategy& strategy : plan->chosen) {
      note(strategy.inputs);
      note(strategy.outputs);
    }
  }
  std::vector<std::vector<std::int64_t>> parts(index(size));
  for (int t = 0; t < size; ++t) {
    for (const std::int64_t number : units) parts[index(t)].push_back(part_size(number, size, t));
  }
  return classes_by<std::vector<std::int64_t>>(parts);
}

RankClasses divided_by_places(const RankClasses& classes, const Placement& placement, const RankPlaces& places) {
  RankClasses divided = divided_by_distance(divided_by_devices(classes, places.devices), placement, places.blocks);
  while (places.ranks_per_host > 1) {
    RankClasses finer = divided_by_hosts(divided, places.ranks_per_host);
    if (finer.size() == divided.size()) break;
    divided = std::move(finer);
  }
  return divided;
}

}  // namespace dml
