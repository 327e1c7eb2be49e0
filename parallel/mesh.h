// The mesh: world = d·p·t ranks, the coordinate of each, and the groups along each axis. All rank arithmetic of the
// program lives here.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dml {

/// `world` is all ranks together: not an axis of coordinates, but a group that collectives have.
enum class Axis : std::uint8_t { data, pipeline, tensor, world };
/// 'd', 'p', 't', 'w'.
char letter_of(Axis axis);

/// Place of a rank: replica, pipeline position, tensor index.
struct Coordinate {
  int d = 0;
  int p = 0;
  int t = 0;
  friend bool operator==(const Coordinate&, const Coordinate&) = default;
};

class Mesh {
 public:
  /// `order` names the axes from slowest to fastest: "dpt" means rank = (i_d·P + i_p)·T + i_t.
  /// Throws std::invalid_argument where an extent is below 1 or the order is not a permutation of d, p, t.
  Mesh(int d, int p, int t, const std::string& order = "dpt");

  int world_size() const { return extents_[0] * extents_[1] * extents_[2]; }
  int extent(Axis axis) const { return axis == Axis::world ? world_size() : extents_[static_cast<std::size_t>(axis)]; }
  int d() const { return extent(Axis::data); }
  int p() const { return extent(Axis::pipeline); }
  int t() const { return extent(Axis::tensor); }

  Coordinate coordinate(int rank) const;
  int rank(const Coordinate& at) const;
  /// The ranks that differ from `rank` only along `axis` (d, p or t), in order of that coordinate (`rank` included).
  std::vector<int> group(int rank, Axis axis) const;
  /// An id shared by exactly the ranks of that group: the color of a communicator split.
  int group_color(int rank, Axis axis) const;
  const std::string& order() const { return order_; }

 private:
  std::array<int, 3> extents_;
  std::array<int, 3> strides_;
  std::string order_;
};

/// Which pipeline position runs which (virtual) stage. Nothing else turns a stage into a position.
class Placement {
 public:
  enum class Kind : std::uint8_t { block, interleaved, v_shape };
  /// `chunks` stages per position.
  Placement(int positions, int chunks = 1, Kind kind = Kind::block);

  int num_stages() const { return static_cast<int>(position_.size()); }
  int num_positions() const { return positions_; }
  int position(int stage) const { return position_[static_cast<std::size_t>(stage)]; }
  /// The stages of a position, in forward order.
  std::span<const int> stages(int position) const {
    const std::size_t chunks = stages_.size() / static_cast<std::size_t>(positions_);
    return std::span(stages_).subspan(static_cast<std::size_t>(position) * chunks, chunks);
  }

 private:
  int positions_;
  std::vector<int> position_;  ///< by stage
  std::vector<int> stages_;    ///< of one position behind those of another
};

}  // namespace dml
