#include "tests/device_emulator/engine/shared/shared_races.h"

#include <gtest/gtest.h>

namespace {

using dml::emulator::SharedRaces;

constexpr std::size_t kBytes = 64;
constexpr unsigned kWarps = 2;
constexpr unsigned kOtherWarp = 40;  // a thread of it

class SharedRacesTest : public testing::Test {
 protected:
  SharedRacesTest() { races_.begin_block(kBytes, kWarps); }
  bool write_races(unsigned thread, std::size_t begin = 0) { return races_.note(thread, begin, 4, true).is_found; }
  bool read_races(unsigned thread, std::size_t begin = 0) { return races_.note(thread, begin, 4, false).is_found; }

  SharedRaces races_;
};

TEST_F(SharedRacesTest, OneThreadNeverRacesWithItself) {
  EXPECT_FALSE(write_races(3));
  EXPECT_FALSE(read_races(3));
  EXPECT_FALSE(write_races(3));
}

TEST_F(SharedRacesTest, WriteAndReadOfTwoThreadsNeedABarrier) {
  EXPECT_FALSE(write_races(0));
  EXPECT_TRUE(read_races(kOtherWarp));
  races_.pass_barrier();
  EXPECT_FALSE(read_races(kOtherWarp));
  EXPECT_TRUE(write_races(0));
  races_.pass_barrier();
  EXPECT_FALSE(write_races(0));
}

TEST_F(SharedRacesTest, ManyMayReadTogether) {
  EXPECT_FALSE(read_races(0));
  EXPECT_FALSE(read_races(1));
  EXPECT_FALSE(read_races(kOtherWarp));
  EXPECT_TRUE(write_races(0));  // two others have read
}

TEST_F(SharedRacesTest, AWarpOperationOrdersItsWarpAlone) {
  EXPECT_FALSE(write_races(0));
  races_.pass_warp_operation(0);
  EXPECT_FALSE(read_races(1));
  EXPECT_TRUE(read_races(kOtherWarp));
  EXPECT_TRUE(write_races(2));  // thread 1 has read since
  races_.pass_warp_operation(0);
  EXPECT_FALSE(write_races(2));
}

TEST_F(SharedRacesTest, NeighboursDoNotRace) {
  EXPECT_FALSE(write_races(0, 0));
  EXPECT_FALSE(write_races(kOtherWarp, 4));
  EXPECT_TRUE(write_races(kOtherWarp, 2));
}

TEST_F(SharedRacesTest, TheOtherThreadIsNamed) {
  EXPECT_FALSE(write_races(7));
  const auto race = races_.note(kOtherWarp, 0, 4, false);
  EXPECT_TRUE(race.is_found);
  EXPECT_TRUE(race.other_wrote);
  EXPECT_EQ(race.other, 7U);
}

TEST_F(SharedRacesTest, ABlockBeginsWithNothing) {
  EXPECT_FALSE(write_races(0));
  races_.begin_block(kBytes, kWarps);
  EXPECT_FALSE(read_races(kOtherWarp));
}

}  // namespace
