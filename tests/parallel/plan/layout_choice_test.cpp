// Which layouts there are: against counting them out.
#include "parallel/plan/layout_choice.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <tuple>

namespace dml {
namespace {

using Layout = std::tuple<int, int, int, std::string, int, int, SplitMode>;

std::set<Layout> found(const SearchSpace& space) {
  std::set<Layout> layouts;
  for (const LayoutChoice& l : all_layouts(space)) {
    const bool is_new =
        layouts.emplace(l.d, l.p, l.t, std::string(l.schedule->name), l.chunks, l.microbatches, l.mode).second;
    EXPECT_TRUE(is_new) << "twice";
  }
  return layouts;
}

bool is_number_of_microbatches(int number, std::int64_t batch, int d, int p) {
  if (number == 1) return true;
  if (batch < std::int64_t{d} * number) return false;
  return ((batch + d - 1) / d) % number == 0 || number == p || number == 2 * p || number == 4 * p;
}

/// The same by trying every number up to the largest.
std::set<Layout> counted(const SearchSpace& space) {
  std::set<Layout> layouts;
  const int world = space.world;
  for (int d = 1; d <= world; ++d)
    for (int p = 1; p <= world; ++p)
      for (int t = 1; t <= world; ++t)
        for (const ScheduleDef* schedule : space.schedules)
          for (int chunks = 1; chunks <= space.most_chunks; ++chunks)
            for (int m = 1; m <= space.batch; ++m)
              for (const SplitMode mode : space.modes) {
                const bool chunks_fit = p == 1                 ? chunks == 1 && schedule == space.schedules[0]
                                        : schedule->any_chunks ? chunks > 1
                                                               : chunks == schedule->chunks;
                const bool fits = d * p * t == world && chunks_fit && (t > 1 || mode == space.modes[0]) &&
                                  is_number_of_microbatches(m, space.batch, d, p) && space.d.contains(d) &&
                                  space.p.contains(p) && space.t.contains(t) && space.microbatches.contains(m);
                if (fits) layouts.emplace(d, p, t, std::string(schedule->name), chunks, m, mode);
              }
  return layouts;
}

SearchSpace space_of(int world, std::int64_t batch) {
  SearchSpace space;
  space.world = world;
  space.batch = batch;
  space.most_chunks = 3;
  for (const char* name : {"1f1b", "interleaved", "zb-v"}) space.schedules.push_back(&find_schedule(name));
  return space;
}

TEST(AllLayouts, AreThoseThatCountingFinds) {
  for (const int world : {1, 2, 4, 6, 12}) {
    for (const std::int64_t batch : {1, 7, 12}) {
      const SearchSpace space = space_of(world, batch);
      EXPECT_EQ(found(space), counted(space)) << "world " << world << " batch " << batch;
    }
  }
}

TEST(AllLayouts, KeepWithinBounds) {
  SearchSpace space = space_of(12, 24);
  space.d = {2, 6};
  space.p = {1, 3};
  space.t = {2, 4};
  space.microbatches = {2, 8};
  EXPECT_EQ(found(space), counted(space));
  EXPECT_FALSE(found(space).empty());
  space.t = {5, 5};
  EXPECT_TRUE(found(space).empty());
}

TEST(AllLayouts, OfOneTensorSplitStandTogether) {
  const SearchSpace space = space_of(12, 8);
  std::set<std::pair<int, SplitMode>> begun;
  std::pair<int, SplitMode> current{0, SplitMode::gather};
  for (const LayoutChoice& layout : all_layouts(space)) {
    const std::pair split(layout.t, layout.mode);
    if (split == current) continue;
    EXPECT_TRUE(begun.insert(split).second) << "t=" << layout.t << " comes back";
    current = split;
  }
}

TEST(MicrobatchNumbers, DivideTheLargestPartOrFollowThePipeline) {
  EXPECT_EQ(microbatch_numbers(16, 2, 3), (std::vector{1, 2, 3, 4, 6, 8}));
  EXPECT_EQ(microbatch_numbers(17, 2, 1), (std::vector{1, 2, 3, 4}));  // 9 and 8 samples: 9 would leave one empty
  EXPECT_EQ(microbatch_numbers(3, 4, 2), (std::vector{1}));
}

}  // namespace
}  // namespace dml
