#include "parallel/mesh.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <stdexcept>

namespace dml {

char letter_of(Axis axis) { return "dptw"[static_cast<std::size_t>(axis)]; }

Mesh::Mesh(int d, int p, int t, const std::string& order) : extents_{d, p, t}, strides_{}, order_(order) {
  if (d < 1 || p < 1 || t < 1) {
    throw std::invalid_argument(fmt::format("[mesh] d={} p={} t={}: each must be at least 1", d, p, t));
  }
  std::string sorted = order;
  std::sort(sorted.begin(), sorted.end());
  if (sorted != "dpt") throw std::invalid_argument(fmt::format("[mesh] order '{}' is not a permutation of dpt", order));
  int stride = 1;
  for (auto letter = order.rbegin(); letter != order.rend(); ++letter) {
    const std::size_t axis = std::string("dpt").find(*letter);
    strides_[axis] = stride;
    stride *= extents_[axis];
  }
}

Coordinate Mesh::coordinate(int rank) const {
  return {rank / strides_[0] % extents_[0], rank / strides_[1] % extents_[1], rank / strides_[2] % extents_[2]};
}

int Mesh::rank(const Coordinate& at) const { return at.d * strides_[0] + at.p * strides_[1] + at.t * strides_[2]; }

std::vector<int> Mesh::group(int rank, Axis axis) const {
  const auto index = static_cast<std::size_t>(axis);
  const int first = group_color(rank, axis);
  std::vector<int> ranks;
  for (int i = 0; i < extents_[index]; ++i) ranks.push_back(first + i * strides_[index]);
  return ranks;
}

int Mesh::group_color(int rank, Axis axis) const {
  const auto index = static_cast<std::size_t>(axis);
  return rank - rank / strides_[index] % extents_[index] * strides_[index];
}

Placement::Placement(int positions, int chunks, Kind kind) : positions_(positions) {
  for (int stage = 0; stage < positions * chunks; ++stage) {
    const int round = stage / positions;
    const int place = stage % positions;
    switch (kind) {
      case Kind::block: position_.push_back(stage / chunks); break;
      case Kind::interleaved: position_.push_back(place); break;
      case Kind::v_shape: position_.push_back(round % 2 == 0 ? place : positions - 1 - place); break;
    }
  }
  stages_.resize(position_.size());
  std::iota(stages_.begin(), stages_.end(), 0);
  std::ranges::stable_sort(stages_, {}, [this](int stage) { return this->position(stage); });
}

}  // namespace dml
