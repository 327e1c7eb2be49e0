// Communicators of several ranks: results against plain sums.
#include <gtest/gtest.h>

#include <cstdint>

#include "kernels/bf16.h"
#include "tests/device_emulator/library_checks/nccl_world.h"

namespace dml::emulator {
namespace {

struct Setting {
  World world;
  int ranks;
  bool blocking;
  const char* policy;
};
void PrintTo(const Setting& s, std::ostream* out) {
  *out << s.ranks << (s.world == World::threads ? " threads " : " processes ") << s.policy
       << (s.blocking ? "" : " not blocking");
}
class Nccl : public testing::TestWithParam<Setting> {
 protected:
  void run(const Body& body) {
    const Setting s = GetParam();
    expect_success(run_world(s.world, s.ranks, body, s.blocking, s.policy));
  }
};

/// Waits where a call on a communicator that is not blocking is still on its way.
void finish(Rank& rank, ncclComm_t comm, ncclResult_t state) {
  if (state == ncclInProgress) return rank.wait(comm);
  CHECK_NCCL(state);
}

// More than one chunk of the emulation, and no multiple of it.
constexpr std::size_t kElems = 100003;

float sum_of(int ranks, std::size_t i) {
  float sum = 0;
  for (int rank = 0; rank < ranks; ++rank) sum += value_of(rank, i);
  return sum;
}

TEST_P(Nccl, all_reduce_sums_over_all_ranks_also_in_place) {
  run([](Rank& r) {
    float* const in = r.put(values_of(r.rank, kElems));
    float* const out = r.put(std::vector<float>(kElems));
    finish(r, r.comm, ncclAllReduce(in, out, kElems, ncclFloat32, ncclSum, r.comm, r.stream));
    finish(r, r.comm, ncclAllReduce(in, in, kElems, ncclFloat32, ncclSum, r.comm, r.stream));
    const auto apart = r.get(out, kElems), in_place = r.get(in, kElems);
    for (std::size_t i = 0; i < kElems; ++i) CHECK(apart[i] == sum_of(r.ranks, i));
    CHECK(apart == in_place);
  });
}

TEST_P(Nccl, all_reduce_of_other_types_and_reductions) {
  run([](Rank& r) {
    const std::vector<double> doubles = {1.0 + r.rank, -2.0 * r.rank, 0.5};
    double* const d = r.put(doubles);
    finish(r, r.comm, ncclAllReduce(d, d, 3, ncclFloat64, ncclMax, r.comm, r.stream));
    CHECK((r.get(d, 3) == std::vector<double>{static_cast<double>(r.ranks), 0.0, 0.5}));
    std::int64_t* const n = r.put(std::vector<std::int64_t>{r.rank + 1, 5});
    finish(r, r.comm, ncclAllReduce(n, n, 2, ncclInt64, ncclMin, r.comm, r.stream));
    CHECK((r.get(n, 2) == std::vector<std::int64_t>{1, 5}));
    bf16* const b = r.put(std::vector<bf16>{to_bf16(2.0f), to_bf16(static_cast<float>(r.rank))});
    finish(r, r.comm, ncclAllReduce(b, b, 2, ncclBfloat16, ncclAvg, r.comm, r.stream));
    const auto averages = r.get(b, 2);
    CHECK(to_float(averages[0]) == 2);
    CHECK(to_float(averages[1]) == to_float(to_bf16(static_cast<float>(r.ranks - 1) / 2)));
  });
}

TEST_P(Nccl, gathers_scatters_and_broadcasts) {
  run([](Rank& r) {
    const std::size_t count = 40001;
    const auto ranks = static_cast<std::size_t>(r.ranks), rank = static_cast<std::size_t>(r.rank);
    float* const part = r.put(values_of(r.rank, count));
    float* const all = r.put(std::vector<float>(count * ranks));
    finish(r, r.comm, ncclAllGather(part, all, count, ncclFloat32, r.comm, r.stream));
    const auto gathered = r.get(all, count * ranks);
    for (std::size_t i = 0; i < count * ranks; ++i)
      CHECK(gathered[i] == value_of(static_cast<int>(i / count), i % count));
    float* const whole = r.put(values_of(r.rank, count * ranks));
    finish(r, r.comm, ncclReduceScatter(whole, part, count, ncclFloat32, ncclSum, r.comm, r.stream));
    const auto scattered = r.get(part, count);
    for (std::size_t i = 0; i < count; ++i) CHECK(scattered[i] == sum_of(r.ranks, rank * count + i));
    const int root = r.ranks - 1;
    finish(r, r.comm, ncclBroadcast(whole, whole, count, ncclFloat32, root, r.comm, r.stream));
    CHECK(r.get(whole, count) == values_of(root, count));
  });
}

TEST_P(Nccl, messages_that_cross_in_a_group) {
  run([](Rank& r) {
    float* const out = r.put(values_of(r.rank, kElems));
    float* const in = r.put(std::vector<float>(kElems));
    const int next = (r.rank + 1) % r.ranks, previous = (r.rank + r.ranks - 1) % r.ranks;
    for (const std::size_t count : {kElems, std::size_t{1}, std::size_t{0}}) {
      CHECK_NCCL(ncclGroupStart());
      CHECK_NCCL(ncclSend(out, count, ncclFloat32, next, r.comm, r.stream));
      CHECK_NCCL(ncclRecv(in, count, ncclFloat32, previous, r.comm, r.stream));
      finish(r, r.comm, ncclGroupEnd());
    }
    CHECK(r.get(in, kElems) == values_of(previous, kElems));
  });
}

TEST_P(Nccl, splits_by_color_and_key) {
  run([](Rank& r) {
    ncclComm_t pairs = nullptr, none = nullptr;
    const ncclResult_t state = ncclCommSplit(r.comm, r.rank % 2, -r.rank, &pairs, nullptr);
    finish(r, pairs, state);
    finish(r, r.comm, ncclSuccess);
    int rank = -1, ranks = -1;
    CHECK_NCCL(ncclCommUserRank(pairs, &rank));
    CHECK_NCCL(ncclCommCount(pairs, &ranks));
    CHECK(ranks == (r.ranks + 1 - r.rank % 2) / 2);
    CHECK(rank == ranks - 1 - r.rank / 2);  // the key turns the order around
    float* const x = r.put(values_of(r.rank, 5));
    finish(r, pairs, ncclAllReduce(x, x, 5, ncclFloat32, ncclSum, pairs, r.stream));
    float expected = 0;
    for (int peer = r.rank % 2; peer < r.ranks; peer += 2) expected += value_of(peer, 3);
    CHECK(r.get(x, 5)[3] == expected);
    CHECK_NCCL(ncclCommDestroy(pairs));
    finish(r, r.comm, ncclCommSplit(r.comm, NCCL_SPLIT_NOCOLOR, 0, &none, nullptr));
    CHECK(none == nullptr);
  });
}

TEST_P(Nccl, replays_in_a_graph) {
  run([](Rank& r) {
    float* const x = r.put(std::vector<float>{static_cast<float>(r.rank + 1)});
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    CHECK_CUDA(cudaStreamBeginCapture(r.stream, cudaStreamCaptureModeThreadLocal));
    finish(r, r.comm, ncclAllReduce(x, x, 1, ncclFloat32, ncclSum, r.comm, r.stream));
    CHECK_CUDA(cudaStreamEndCapture(r.stream, &graph));
    CHECK_CUDA(cudaGraphInstantiate(&executable, graph, 0));
    for (int launch = 0; launch < 3; ++launch) CHECK_CUDA(cudaGraphLaunch(executable, r.stream));
    const int sum = r.ranks * (r.ranks + 1) / 2;
    CHECK(r.get(x, 1)[0] == static_cast<float>(sum * r.ranks * r.ranks));
    CHECK_CUDA(cudaGraphExecDestroy(executable));
    CHECK_CUDA(cudaGraphDestroy(graph));
  });
}

INSTANTIATE_TEST_SUITE_P(
    Worlds, Nccl,
    testing::Values(Setting{World::processes, 1, true, "eager"}, Setting{World::processes, 2, true, "lazy"},
                    Setting{World::processes, 3, false, "random"}, Setting{World::threads, 2, true, "eager"},
                    Setting{World::threads, 4, false, "lifo"}, Setting{World::threads, 3, true, "threads"}));

}  // namespace
}  // namespace dml::emulator
