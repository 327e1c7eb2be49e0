#include "runtime/calibrate/comm_sweep.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace dml {
namespace {

TEST(CommSweep, AllRanksHearTheSameOfEveryKind) {
  constexpr int kRanks = 2;
  const auto world = make_thread_world(kRanks, {});
  std::vector<std::map<CommKind, CommCurve>> curves(kRanks);
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < kRanks; ++rank) {
      const auto place = static_cast<std::size_t>(rank);
      threads.emplace_back([&, place] { curves[place] = measure_comm(*world[place]); });
    }
  }
  for (const CommKind kind : kCommKinds) {
    const CommCurve& curve = curves[0].at(kind);
    ASSERT_EQ(curve.seconds.size(), comm_sweep_bytes().size());
    EXPECT_EQ(curve.seconds, curves[1].at(kind).seconds) << name_of(kind);
    EXPECT_GT(curve.seconds.back(), curve.seconds.front()) << name_of(kind);
  }
}

CommCurve constant(double seconds) {
  const std::vector<double> all(comm_sweep_bytes().size(), seconds);
  return {.seconds = all, .spread = all};
}

TEST(CommSweep, GroupsBecomeTablesOverRanksAndBytes) {
  const CommTables tables = comm_tables({{2, {{CommKind::send, constant(1)}, {CommKind::all_reduce, constant(2)}}},
                                         {4, {{CommKind::send, constant(3)}, {CommKind::all_reduce, constant(4)}}}});
  const SizeTable& sums = tables.at(CommKind::all_reduce);
  EXPECT_NO_THROW(sums.check());
  EXPECT_EQ(sums.axes[0], (std::vector<double>{2, 4}));
  EXPECT_EQ(sums.seconds.front(), 2);
  EXPECT_EQ(sums.seconds.back(), 4);
  EXPECT_EQ(tables.at(CommKind::send).axes[0], std::vector<double>{2}) << "messages have two ends in every group";
}

}  // namespace
}  // namespace dml
