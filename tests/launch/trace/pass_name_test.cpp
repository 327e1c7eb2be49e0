// Names of passes and of kernels in traces of other programs.
#include "launch/trace/pass_name.h"

#include <gtest/gtest.h>

#include "launch/trace/kernel_kind.h"
#include "launch/trace/rank_in_name.h"

namespace dml::test {
namespace {

TEST(PassName, FormsOfOtherPrograms) {
  const PassName forward{.phase = Phase::forward, .microbatch = 3, .stage = 1};
  EXPECT_EQ(parse_pass_name("1F3"), forward);
  EXPECT_EQ(parse_pass_name("PP:1F3"), forward);
  EXPECT_EQ(parse_pass_name("0I12"), (PassName{.phase = Phase::input_grad, .microbatch = 12, .stage = 0}));
  EXPECT_EQ(parse_pass_name("0W2"), (PassName{.phase = Phase::weight_grad, .microbatch = 2, .stage = 0}));
  EXPECT_EQ(parse_pass_name("Backward 7"), (PassName{.phase = Phase::input_grad, .microbatch = 7}));
  EXPECT_EQ(parse_pass_name("backward_weight 7"), (PassName{.phase = Phase::weight_grad, .microbatch = 7}));
  EXPECT_EQ(parse_pass_name("forward-3"), (PassName{.phase = Phase::forward, .microbatch = 3}));
  EXPECT_EQ(parse_pass_name("forward-1-3"), (PassName{.phase = Phase::forward, .microbatch = 3, .chunk = 1}));
}

TEST(PassName, OtherNamesAreNone) {
  for (const char* name : {"", "F", "F3x", "forward", "forward-", "forward-3-", "forward-1-2-3", "1F", "1SEND_F3", "F-",
                           "Forward 99999999999", "1F-3", "ProfilerStep#3", "forward-compute-3", "PP:", "-3"})
    EXPECT_FALSE(parse_pass_name(name)) << name;
}

TEST(PassName, TasksOfDmltrain) {
  EXPECT_EQ(pass_of_task("B.m2.s1.d0.t1.n37"), (PassName{.phase = Phase::input_grad, .microbatch = 2, .stage = 1}));
  EXPECT_FALSE(pass_of_task("U.m0.s1.d0.t1.n37"));
  EXPECT_FALSE(pass_of_task("B.m2"));
}

TEST(KernelKind, NcclKernelsSayWhatTheyMove) {
  EXPECT_EQ(kernel_kind("ncclDevKernel_AllReduce_Sum_f32_RING_LL(ncclDevKernelArgsStorage<4096ul>)"), "all_reduce");
  EXPECT_EQ(kernel_kind("ncclKernel_ReduceScatter_RING_LL_Sum_half(ncclDevComm*)"), "reduce_scatter");
  EXPECT_EQ(kernel_kind("ncclDevKernel_SendRecv(ncclDevKernelArgsStorage<4096ul>)"), "send/receive");
  EXPECT_EQ(kernel_kind("ncclKernel_Unheard"), "other nccl");
  EXPECT_EQ(kernel_kind("ampere_sgemm_128x64_tn"), "compute");
}

TEST(RankInName, StandsBehindTheWord) {
  EXPECT_EQ(rank_in_name("rank3.json"), 3);
  EXPECT_EQ(rank_in_name("worker-rank-12.pt.trace.json"), 12);
  EXPECT_EQ(number_after("event_times_rank_5_pp_rank_1_rank_0.json", "_pp_rank_"), 1);
  EXPECT_EQ(rank_in_name("trace.json"), std::nullopt);
  EXPECT_EQ(rank_in_name("ranking.json"), std::nullopt);
}

}  // namespace
}  // namespace dml::test
