#include "parallel/host_links.h"

#include <gtest/gtest.h>

namespace dml {
namespace {

/// `per_host` ranks on each host, one host after the other.
std::vector<int> hosts_of(int ranks, int per_host) {
  std::vector<int> hosts;
  for (int rank = 0; rank < ranks; ++rank) hosts.push_back(rank / per_host);
  return hosts;
}

TEST(HostLinks, OneHostHasNoCrossing) {
  for (const AxisLinks& links : axis_links(Mesh(2, 2, 2), hosts_of(8, 8))) EXPECT_EQ(links.crossing, 0);
  EXPECT_EQ(better_order(Mesh(2, 2, 2), hosts_of(8, 8)), std::nullopt);
}

TEST(HostLinks, DefaultOrderKeepsTensorGroupsWithinAHostAndPutsReplicasAcross) {
  const auto links = axis_links(Mesh(2, 2, 2), hosts_of(8, 4));
  ASSERT_EQ(links.size(), 3U);
  EXPECT_EQ(links[0].axis, Axis::data);
  EXPECT_EQ(links[0].groups, 4);
  EXPECT_EQ(links[0].crossing, 4);
  EXPECT_EQ(links[1].crossing, 0);
  EXPECT_EQ(links[2].crossing, 0);
  EXPECT_EQ(better_order(Mesh(2, 2, 2), hosts_of(8, 4)), std::nullopt);
}

TEST(HostLinks, AxesOfOneRankAreLeftOut) {
  const auto links = axis_links(Mesh(4, 1, 1), hosts_of(4, 2));
  ASSERT_EQ(links.size(), 1U);
  EXPECT_EQ(links[0].groups, 1);
  EXPECT_EQ(links[0].crossing, 1);
}

TEST(HostLinks, OrderThatTearsTensorGroupsApartHasABetterOne) {
  EXPECT_EQ(better_order(Mesh(2, 2, 2, "tpd"), hosts_of(8, 4)), "dpt");
  EXPECT_EQ(better_order(Mesh(2, 1, 2, "tdp"), hosts_of(4, 2)), "dpt");
}

TEST(HostLinks, UnevenHostsCrossInSomeGroups) {
  const auto links = axis_links(Mesh(3, 1, 2), hosts_of(6, 3));  // ranks 2 and 3 are one tensor group on two hosts
  EXPECT_EQ(links[1].axis, Axis::tensor);
  EXPECT_EQ(links[1].groups, 3);
  EXPECT_EQ(links[1].crossing, 1);
}

}  // namespace
}  // namespace dml
