// Rank arithmetic in every order of the axes, and the maps from stages to positions.
#include "parallel/mesh.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <stdexcept>

namespace dml {
namespace {

constexpr const char* kOrders[] = {"dpt", "dtp", "pdt", "ptd", "tdp", "tpd"};

template <typename Check>
void for_each_mesh(const Check& check) {
  for (const char* order : kOrders) {
    for (const int d : {1, 2, 3}) {
      for (const int p : {1, 2, 4}) {
        for (const int t : {1, 3}) check(Mesh(d, p, t, order));
      }
    }
  }
}

TEST(Mesh, RanksAndCoordinatesAreEachOthersInverse) {
  for_each_mesh([](const Mesh& mesh) {
    std::set<int> seen;
    for (int rank = 0; rank < mesh.world_size(); ++rank) {
      const Coordinate at = mesh.coordinate(rank);
      EXPECT_TRUE(at.d >= 0 && at.d < mesh.d() && at.p >= 0 && at.p < mesh.p() && at.t >= 0 && at.t < mesh.t());
      EXPECT_EQ(mesh.rank(at), rank) << mesh.order();
      seen.insert((at.d * mesh.p() + at.p) * mesh.t() + at.t);
    }
    EXPECT_EQ(static_cast<int>(seen.size()), mesh.world_size());
  });
}

TEST(Mesh, TheLastLetterOfTheOrderVariesFastest) {
  EXPECT_EQ(Mesh(2, 3, 4).rank({1, 2, 3}), (1 * 3 + 2) * 4 + 3);
  EXPECT_EQ(Mesh(2, 3, 4, "tpd").rank({1, 2, 3}), (3 * 3 + 2) * 2 + 1);
  EXPECT_EQ(Mesh(2, 3, 4, "pdt").coordinate(5), (Coordinate{1, 0, 1}));
}

TEST(Mesh, GroupsDivideTheWorld) {
  for_each_mesh([](const Mesh& mesh) {
    for (const Axis axis : {Axis::data, Axis::pipeline, Axis::tensor}) {
      for (int rank = 0; rank < mesh.world_size(); ++rank) {
        const std::vector<int> group = mesh.group(rank, axis);
        ASSERT_EQ(static_cast<int>(group.size()), mesh.extent(axis));
        EXPECT_EQ(std::count(group.begin(), group.end(), rank), 1);
        for (std::size_t i = 0; i < group.size(); ++i) {
          const Coordinate at = mesh.coordinate(group[i]);
          Coordinate wanted = mesh.coordinate(rank);
          (axis == Axis::data ? wanted.d : axis == Axis::pipeline ? wanted.p : wanted.t) = static_cast<int>(i);
          EXPECT_EQ(at, wanted);
          EXPECT_EQ(mesh.group_color(group[i], axis), mesh.group_color(rank, axis));
        }
        for (int other = 0; other < mesh.world_size(); ++other) {
          const bool together = std::count(group.begin(), group.end(), other) > 0;
          EXPECT_EQ(mesh.group_color(other, axis) == mesh.group_color(rank, axis), together);
        }
      }
    }
  });
}

TEST(Mesh, RefusesWhatIsNone) {
  EXPECT_THROW(Mesh(0, 1, 1), std::invalid_argument);
  EXPECT_THROW(Mesh(1, -2, 1), std::invalid_argument);
  for (const char* order : {"", "dp", "dpp", "dptw", "dpx"}) {
    EXPECT_THROW(Mesh(1, 1, 1, order), std::invalid_argument) << order;
  }
}

std::vector<int> positions(const Placement& placement) {
  std::vector<int> result;
  for (int stage = 0; stage < placement.num_stages(); ++stage) result.push_back(placement.position(stage));
  return result;
}

TEST(Placement, Kinds) {
  using Ints = std::vector<int>;
  EXPECT_EQ(positions(Placement(3)), (Ints{0, 1, 2}));
  EXPECT_EQ(positions(Placement(2, 2, Placement::Kind::block)), (Ints{0, 0, 1, 1}));
  EXPECT_EQ(positions(Placement(2, 3, Placement::Kind::interleaved)), (Ints{0, 1, 0, 1, 0, 1}));
  EXPECT_EQ(positions(Placement(3, 2, Placement::Kind::v_shape)), (Ints{0, 1, 2, 2, 1, 0}));
}

TEST(Placement, EveryPositionHasItsChunksInForwardOrder) {
  for (const auto kind : {Placement::Kind::block, Placement::Kind::interleaved, Placement::Kind::v_shape}) {
    const Placement placement(4, 3, kind);
    std::set<int> seen;
    for (int position = 0; position < placement.num_positions(); ++position) {
      const std::span<const int> stages = placement.stages(position);
      EXPECT_EQ(stages.size(), 3U);
      EXPECT_TRUE(std::is_sorted(stages.begin(), stages.end()));
      for (const int stage : stages) EXPECT_EQ(placement.position(stage), position);
      seen.insert(stages.begin(), stages.end());
    }
    EXPECT_EQ(seen.size(), 12U);
  }
}

}  // namespace
}  // namespace dml
