// Ranks that do the same at the same time: of thousands, one of each class is looked at or played.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "parallel/mesh.h"
#include "parallel/tensor/split.h"

namespace dml {

/// The indices of one axis, in classes of alike ones. Classes are numbered by their first index.
struct IndexClasses {
  std::vector<int> of;     ///< by index: its class
  std::vector<int> first;  ///< by class: its first index
  std::vector<int> count;  ///< by class: how many

  int size() const { return static_cast<int>(first.size()); }
};

/// Indices are alike where their keys are equal.
template <typename Key>
IndexClasses classes_by(std::span<const Key> keys) {
  IndexClasses classes;
  std::map<Key, int> known;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto [entry, is_new] = known.try_emplace(keys[i], classes.size());
    if (is_new) {
      classes.first.push_back(static_cast<int>(i));
      classes.count.push_back(0);
    }
    ++classes.count[static_cast<std::size_t>(entry->second)];
    classes.of.push_back(entry->second);
  }
  return classes;
}

/// Ranks are alike where their pipeline positions are the same, and their replicas and tensor indices are alike. So a
/// group along any axis has the same classes for every rank of a class, and the first ranks of the classes are all
/// ranks of a smaller mesh.
class RankClasses {
 public:
  /// Every rank by itself.
  explicit RankClasses(const Mesh& mesh);
  RankClasses(const Mesh& mesh, IndexClasses replicas, IndexClasses tensors);

  const Mesh& mesh() const { return mesh_; }
  const IndexClasses& replicas() const { return replicas_; }
  const IndexClasses& tensors() const { return tensors_; }
  int size() const { return static_cast<int>(first_ranks_.size()); }
  /// By class: its first rank; ascending.
  std::span<const int> first_ranks() const { return first_ranks_; }
  int class_of(int rank) const { return classes_[static_cast<std::size_t>(rank)]; }
  /// Ranks of a class.
  int count(int rank_class) const;
  /// Classes in a group along an axis.
  int group_size(Axis axis) const;

 private:
  Mesh mesh_;
  IndexClasses replicas_, tensors_;
  std::vector<int> first_ranks_;
  std::vector<int> classes_;  ///< by world rank
};

/// Replicas by their samples, of which their microbatches are made.
IndexClasses replica_classes(const Mesh& mesh, std::int64_t batch);

/// Tensor indices by the extents of their parts, in all of the plans.
IndexClasses tensor_classes(std::span<const SplitPlan* const> plans, int size);

/// What of a cluster makes ranks with the same tasks differ.
struct RankPlaces {
  /// Consecutive ranks of a block are joined by closer links than those of different blocks: hosts, nodes, racks.
  std::vector<int> blocks;
  int ranks_per_host = 1;  ///< that share cores; 1: none do
  /// By world rank: which kind of device it has, joined by which links of its own; empty: all the same.
  std::vector<int> devices = {};
};

/// Divides classes until all ranks of one have the same kind of device and links, the same closeness to the ranks of
/// neighbour stages, and as many ranks of each class on their host.
RankClasses divided_by_places(const RankClasses& classes, const Placement& placement, const RankPlaces& places);

}  // namespace dml
