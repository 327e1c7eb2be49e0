#include "launch/failure.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <new>
#include <system_error>

#include "kernels/error.h"
#include "launch/options/usage_error.h"
#include "runtime/comm/host_watch.h"

namespace dml {
namespace {

template <typename Exception>
Failure failure_of(Exception exception) {
  return describe(std::make_exception_ptr(std::move(exception)));
}

TEST(Failure, ExitCodes) {
  EXPECT_EQ(failure_of(UsageError("x")).exit_code, 2);
  EXPECT_EQ(failure_of(IoError("x")).exit_code, 2);
  EXPECT_EQ(failure_of(ModelError("x")).exit_code, 2);
  EXPECT_EQ(failure_of(std::invalid_argument("x")).exit_code, 2);
  const Failure closed = failure_of(
      std::filesystem::filesystem_error("status", "runs/x", std::make_error_code(std::errc::permission_denied)));
  EXPECT_EQ(closed.exit_code, 2);
  EXPECT_EQ(closed.text, "runs/x: Permission denied");
  EXPECT_EQ(failure_of(NotFiniteError("x")).exit_code, 3);
  EXPECT_EQ(failure_of(CommError("x")).exit_code, 4);
  EXPECT_EQ(failure_of(TimeoutError("x")).exit_code, 4);
  EXPECT_EQ(failure_of(DeviceError("x")).exit_code, 5);
  EXPECT_EQ(failure_of(std::bad_alloc()).exit_code, 5);
  EXPECT_EQ(failure_of(InternalError("x")).exit_code, 70);
  EXPECT_EQ(failure_of(std::out_of_range("x")).exit_code, 70);
  EXPECT_EQ(failure_of(7).exit_code, 70);
}

TEST(Failure, RankErrorKeepsTheCode) {
  const Failure failure = failure_of(RankError(3, {exit_code::kNotFinite, "loss is nan", false}));
  EXPECT_EQ(failure.exit_code, 3);
  EXPECT_EQ(failure.text, "rank 3: loss is nan");
}

TEST(Failure, IsOneLine) { EXPECT_EQ(failure_of(IoError("first\nsecond\n")).text, "first; second"); }

TEST(Failure, OnlyABrokenConnectionMayBeAnEcho) {
  EXPECT_TRUE(failure_of(CommError("x")).may_be_echo);
  EXPECT_FALSE(failure_of(TimeoutError("x")).may_be_echo);
  EXPECT_FALSE(failure_of(IoError("x")).may_be_echo);
}

TEST(Failure, LostHostIsToldByOneRankAtOnce) {
  EXPECT_TRUE(failure_of(LostHostError("host n1 (rank 3) is lost", true)).speaks);
  EXPECT_FALSE(failure_of(LostHostError("host n1 (rank 3) is lost", false)).speaks);
  EXPECT_FALSE(failure_of(LostHostError("host n1 (rank 3) is lost", true)).may_be_echo);
  EXPECT_TRUE(failure_of(LostHostError("host n1 (rank 3) is lost", false)).may_be_echo);
}

TEST(Failure, LineNamesTheRankWhereItIsOneRanks) {
  const Failure input{exit_code::kBadInput, "no such file", false};
  const Failure timeout{exit_code::kCommunication, "deadline", false};
  EXPECT_EQ(failure_line(input, {0, 0, 0}), "dmltrain: error: no such file");
  EXPECT_EQ(failure_line(input, {0, 8, 8}), "dmltrain: error: no such file");
  EXPECT_EQ(failure_line(input, {3, 8, 8}), "dmltrain: error: rank 3: no such file");
  EXPECT_EQ(failure_line(timeout, {0, 8, 8}), "dmltrain: error: rank 0: deadline");
  EXPECT_EQ(failure_line({exit_code::kCommunication, "rank 5 is gone", false}, {3, 8, 8}),
            "dmltrain: error: rank 5 is gone");
}

}  // namespace
}  // namespace dml
