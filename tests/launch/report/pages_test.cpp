// The pages of a run against their full text.
#include "launch/report/pages.h"

#include <gtest/gtest.h>

#include "launch/report/run_reporter.h"

namespace dml {
namespace {

StepRecord issue_step() {
  StepRecord record;
  record.step = 11;
  record.num_steps = 150;
  record.loss = 3.21868;
  record.grad_norm = 1.84;
  record.learning_rate = 3e-3;
  record.tokens_per_s = 24900;
  record.flops_per_s = 46.3e9;
  record.peak_fraction = 0.19;
  record.mean = {0.0412, 0.0239, 0.0054, 0.0025, 0.0070, 0.0024, 0.01};
  return record;
}

TEST(StepLine, IsTheOneOfTheReadme) {
  EXPECT_EQ(
      step_line(issue_step()),
      "step 12/150 loss 3.2187 norm 1.84 lr 3.0e-3 | 41.2 ms 24.9k tok/s | compute 58% core wait 13% exposed comm 6% "
      "bubble 17% other 6% | 46.3 GFLOP/s 19% of peak");
}

TEST(StepLine, WithoutTokensOrPeakAndWithAccuracy) {
  StepRecord record = issue_step();
  record.tokens_per_s = 0;
  record.samples_per_s = 776;
  record.peak_fraction = 0;
  record.accuracy = 0.9125;
  record.validation_loss = 2.5;
  EXPECT_EQ(step_line(record),
            "step 12/150 loss 3.2187 accuracy 91.2% val 2.5000 norm 1.84 lr 3.0e-3 | 41.2 ms 776 samples/s | compute "
            "58% core "
            "wait 13% exposed comm 6% bubble 17% other 6% | 46.3 GFLOP/s");
}

TEST(StepLine, ExtremeNumbersStayReadable) {
  StepRecord record = issue_step();
  record.loss = 1.5e9;
  record.grad_norm = 3.2e12;
  record.mean = {};
  EXPECT_EQ(
      step_line(record),
      "step 12/150 loss 1.5000e+09 norm 3.2e+12 lr 3.0e-3 | 0 ms 24.9k tok/s | compute 0% core wait 0% exposed comm 0% "
      "bubble 0% other 0% | 46.3 GFLOP/s 19% of peak");
}

TEST(StepLine, SomeStayOnATerminal) {
  const auto stays = [](std::int64_t step, std::int64_t of) {
    StepRecord record;
    record.step = step;
    record.num_steps = of;
    return line_stays(record);
  };
  EXPECT_TRUE(stays(0, 150));
  EXPECT_FALSE(stays(1, 150));
  EXPECT_TRUE(stays(14, 150));
  EXPECT_TRUE(stays(149, 150));
  EXPECT_TRUE(stays(2, 5));
}

RunPlan some_plan() {
  RunPlan plan;
  plan.model = "gpt:layers=4";
  plan.parameters = 842368;
  plan.flops_per_step = 5.4e9;
  plan.data = "built-in text, 8904 sequences of 64";
  plan.batch = 16;
  plan.microbatches = 4;
  plan.num_steps = 150;
  plan.p = 2;
  plan.schedule = "1f1b";
  plan.tensor_mode = "megatron";
  plan.backend = "mpi";
  plan.usable_cores = 2;
  plan.instruction_set = "avx512";
  plan.ranks = {{0, {0, 0, 0}, "a", "embedding, blocks 0-1", 421000, 3'300'000, 0},
                {1, {0, 1, 0}, "b", "blocks 2-3, head", 421368, 33'000'000, 0}};
  plan.notes = {"'mask' does not train: it is an additive mask"};
  return plan;
}

TEST(FirstPage, SaysWhoOwnsWhat) {
  EXPECT_EQ(first_page(some_plan(), {}),
            "  model     gpt:layers=4: 842,368 parameters, 5.40 GFLOP a step\n"
            "  data      built-in text, 8904 sequences of 64: batch 16, 150 steps\n"
            "  layout    d 1 x p 2 x t 1 = 2 ranks, 4 microbatches, schedule 1f1b\n"
            "  machine   mpi, 1 thread a rank, 2 usable cores, avx512\n"
            "\n"
            "  rank  place     host  layers                 parameters  memory planned\n"
            "  ----  --------  ----  ---------------------  ----------  --------------\n"
            "     0  d0 p0 t0  a     embedding, blocks 0-1     421,000        3.15 MiB\n"
            "     1  d0 p1 t0  b     blocks 2-3, head          421,368        31.5 MiB\n"
            "\n"
            "  note: 'mask' does not train: it is an additive mask\n");
}

TEST(FirstPage, SaysWhichAxesCrossHosts) {
  RunPlan plan = some_plan();
  plan.links = {{Axis::data, 3, 1}, {Axis::pipeline, 1, 1}, {Axis::tensor, 2, 0}};
  const std::string page = first_page(plan, {});
  EXPECT_NE(page.find("\n  hosts     a, b; d between hosts in 1 of 3 groups (network); p between hosts (network); "
                      "t within a host (shared memory)\n"),
            std::string::npos)
      << page;
}

TEST(FirstPage, ManyRanksAreCounted) {
  const std::string page = first_page(some_plan(), {}, 1);
  EXPECT_NE(page.find("  ... and 1 more ranks: the log of the run folder lists all\n"), std::string::npos) << page;
}

RunSummary some_summary() {
  RunSummary summary;
  summary.ranks = some_plan().ranks;
  summary.ranks[1].used_bytes = 32'000'000;
  RankStep step;
  step.parts = {0.0412, 0.0239, 0.0054, 0.0025, 0.0070, 0.0024, 0.01};
  step.forward = 0.008;
  step.backward = 0.0151;
  step.update = 0.0008;
  step.comm_seconds = {{"all_reduce d", 0.004}};
  summary.mean_steps = {step, step};
  summary.mean_steps[1].rank = 1;
  summary.mean_steps[1].comm_seconds = {{"send", 0.0012}};
  summary.comm = {
      {"all_reduce d", 1200, 400'000'000, 0.5, 4}, {"all_gather t", 10, 8'000'000, 0.01, 2}, {"send", 0, 0, 0, 2}};
  summary.seconds = 6.3;
  summary.first_loss = 5.53;
  summary.last_loss = 2.31;
  return summary;
}

TEST(RankTable, HasAColumnForEveryKindOfCommunication) {
  EXPECT_EQ(
      rank_table(some_summary(), {}),
      "Each rank's mean step (ms; communication from posted to completed, which overlaps compute)\n"
      "  rank  place      step  forward  backward  update  all_reduce d  send  exposed comm  bubble  core wait  other  "
      " "
      "planned      used\n"
      "  ----  --------  -----  -------  --------  ------  ------------  ----  ------------  ------  ---------  -----  "
      "--------  --------\n"
      "     0  d0 p0 t0  41.20     8.00     15.10    0.80          4.00     -          2.50    7.00       5.40   2.40  "
      "3.15 MiB       0 B\n"
      "     1  d0 p1 t0  41.20     8.00     15.10    0.80             -  1.20          2.50    7.00       5.40   2.40  "
      "31.5 MiB  30.5 MiB\n");
}

TEST(CommTable, HasBusRates) {
  EXPECT_EQ(comm_table(some_summary(), {}),
            "Communication of the whole run, all ranks\n"
            "  kind          ranks  count     bytes  mean time  GB/s  bus GB/s\n"
            "  ------------  -----  -----  --------  ---------  ----  --------\n"
            "  all_reduce d      4  1,200   381 MiB     417 us  0.80      1.20\n"
            "  all_gather t      2     10  7.63 MiB    1.00 ms  0.80      0.40\n"
            "  send              2      0       0 B       0 ms     0         0\n");
}

TEST(CommTable, BusFactors) {
  EXPECT_DOUBLE_EQ(bus_factor("all_reduce d", 4), 1.5);
  EXPECT_DOUBLE_EQ(bus_factor("all_reduce t", 1), 0);
  EXPECT_DOUBLE_EQ(bus_factor("all_gather t", 4), 0.75);
  EXPECT_DOUBLE_EQ(bus_factor("reduce_scatter d", 4), 0.75);
  EXPECT_DOUBLE_EQ(bus_factor("send", 4), 1);
}

TEST(LastPage, ShowsNoBytesThatHarmATerminal) {
  RunSummary summary = some_summary();
  // A letter of two bytes, an escape sequence, a lone byte, an overlong slash, a cut sequence, a surrogate.
  summary.sample = "\xc3\xa9|\x1b[2J|\xbf|\xc0\xaf|\xe2\x82|\xed\xa0\x80|\xf0\x9f\x99\x82";
  const std::string bad = "\xef\xbf\xbd";
  const std::string shown = "  \xc3\xa9|" + bad + "[2J|" + bad + "|" + bad + bad + "|" + bad + bad + "|" + bad + bad +
                            bad + "|\xf0\x9f\x99\x82\n";
  EXPECT_NE(last_page(summary, {}).find(shown), std::string::npos) << last_page(summary, {});
}

TEST(LastPage, EndsWithTheSampleAndTheLoss) {
  RunSummary summary = some_summary();
  summary.sample = "In the beginning\nwas\n";
  const std::string page = last_page(summary, {});
  EXPECT_TRUE(
      page.ends_with("Text that the trained model writes\n"
                     "  In the beginning\n"
                     "  was\n"
                     "\n"
                     "loss 5.5300 -> 2.3100 (mean of the last 10 steps) in 6.30 s\n"))
      << page;
}

}  // namespace
}  // namespace dml
