// What ranks do wrong on purpose: how NCCL refuses it, and which violations are named.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "tests/device_emulator/library_checks/nccl_world.h"

namespace dml::emulator {
namespace {

constexpr int kViolation = 86;

bool has_code(const Outcome& outcome, int code) {
  return std::find(outcome.codes.begin(), outcome.codes.end(), code) != outcome.codes.end();
}

TEST(NcclNames, collectives_that_differ_between_ranks) {
  const Outcome outcome = run_world(World::processes, 2, [](Rank& r) {
    float* const x = r.put(std::vector<float>(8));
    ncclAllReduce(x, x, r.rank == 0 ? 8 : 7, ncclFloat32, ncclSum, r.comm, r.stream);
    cudaStreamSynchronize(r.stream);
  });
  EXPECT_TRUE(has_code(outcome, kViolation)) << outcome.errors;
  EXPECT_NE(outcome.errors.find("ncclAllReduce of 8 float32"), std::string::npos) << outcome.errors;
  EXPECT_NE(outcome.errors.find("ncclAllReduce of 7 float32"), std::string::npos) << outcome.errors;
}

TEST(NcclNames, a_message_of_another_length) {
  const Outcome outcome = run_world(World::processes, 2, [](Rank& r) {
    float* const x = r.put(std::vector<float>(8));
    if (r.rank == 0) ncclSend(x, 8, ncclFloat32, 1, r.comm, r.stream);
    if (r.rank == 1) ncclRecv(x, 7, ncclFloat32, 0, r.comm, r.stream);
    cudaStreamSynchronize(r.stream);
  });
  EXPECT_TRUE(has_code(outcome, kViolation)) << outcome.errors;
  EXPECT_NE(outcome.errors.find("ncclSend of 8 float32"), std::string::npos) << outcome.errors;
}

TEST(NcclNames, communicators_used_in_different_order) {
  setenv("EMULATOR_HANG_S", "1", 1);
  const Outcome outcome = run_world(World::processes, 2, [](Rank& r) {
    ncclComm_t other = nullptr;
    CHECK_NCCL(ncclCommSplit(r.comm, 0, 0, &other, nullptr));
    float* const x = r.put(std::vector<float>(8));
    ncclComm_t first = r.rank == 0 ? r.comm : other, second = r.rank == 0 ? other : r.comm;
    ncclAllReduce(x, x, 8, ncclFloat32, ncclSum, first, r.stream);
    ncclAllReduce(x, x, 8, ncclFloat32, ncclSum, second, r.stream);
    cudaStreamSynchronize(r.stream);
  });
  unsetenv("EMULATOR_HANG_S");
  EXPECT_TRUE(has_code(outcome, kViolation)) << outcome.errors;
  EXPECT_NE(outcome.errors.find("rank 1 is in ncclAllReduce of 8 float32 (sum), operation 0"), std::string::npos)
      << outcome.errors;
}

TEST(NcclNames, no_wait_of_what_was_issued_long_before_its_turn) {
  setenv("EMULATOR_HANG_S", "8", 1);
  const Outcome outcome = run_world(World::processes, 2, [](Rank& r) {
    float* const x = r.put(std::vector<float>(8));
    for (int i = 0; i < 2; ++i) {
      if (r.rank == 1) usleep(2'500'000);  // twice this is more than half of the limit
      CHECK_NCCL(ncclAllReduce(x, x, 8, ncclFloat32, ncclSum, r.comm, r.stream));
    }
    CHECK_CUDA(cudaStreamSynchronize(r.stream));
  });
  unsetenv("EMULATOR_HANG_S");
  expect_success(outcome);
  EXPECT_EQ(outcome.errors.find("waits in"), std::string::npos) << outcome.errors;
}

/// Two communicators on streams of their own, which the ranks use in different orders.
void use_in_different_orders(Rank& r) {
  ncclComm_t other = nullptr;
  cudaStream_t stream = nullptr;
  CHECK_NCCL(ncclCommSplit(r.comm, 0, 0, &other, nullptr));
  CHECK_CUDA(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  float* const x = r.put(values_of(r.rank, 8));
  float* const y = r.put(values_of(r.rank, 8));
  if (r.rank == 0) CHECK_NCCL(ncclAllReduce(x, x, 8, ncclFloat32, ncclSum, r.comm, r.stream));
  CHECK_NCCL(ncclAllReduce(y, y, 8, ncclFloat32, ncclSum, other, stream));
  if (r.rank == 1) CHECK_NCCL(ncclAllReduce(x, x, 8, ncclFloat32, ncclSum, r.comm, r.stream));
  CHECK_CUDA(cudaStreamSynchronize(stream));
  CHECK_NCCL(ncclCommDestroy(other));
  CHECK_CUDA(cudaStreamDestroy(stream));
}

TEST(NcclInOrder, different_orders_on_streams_of_their_own_pass_by_themselves) {
  expect_success(run_world(World::processes, 2, use_in_different_orders));
}

TEST(NcclInOrder, different_orders_on_streams_of_their_own_are_found_where_that_is_asked_for) {
  setenv("EMULATOR_HANG_S", "1", 1);
  setenv("EMULATOR_NCCL_IN_ORDER", "1", 1);
  const Outcome outcome = run_world(World::processes, 2, use_in_different_orders);
  unsetenv("EMULATOR_NCCL_IN_ORDER");
  unsetenv("EMULATOR_HANG_S");
  EXPECT_TRUE(has_code(outcome, kViolation)) << outcome.errors;
}

TEST(NcclEnds, the_use_of_a_communicator_that_was_destroyed) {
  const Outcome outcome = run_world(World::processes, 1, [](Rank& r) {
    float* const x = r.put(std::vector<float>(8));
    CHECK_NCCL(ncclCommDestroy(r.comm));
    ncclAllReduce(x, x, 8, ncclFloat32, ncclSum, r.comm, r.stream);
  });
  EXPECT_TRUE(has_code(outcome, kViolation));
  EXPECT_NE(outcome.errors.find("was destroyed"), std::string::npos) << outcome.errors;
}

TEST(NcclEnds, buffers_that_overlap_but_not_in_place) {
  const Outcome outcome = run_world(World::processes, 1, [](Rank& r) {
    float* const x = r.put(std::vector<float>(9));
    ncclAllReduce(x, x + 1, 8, ncclFloat32, ncclSum, r.comm, r.stream);
  });
  EXPECT_TRUE(has_code(outcome, kViolation));
  EXPECT_NE(outcome.errors.find("overlap"), std::string::npos) << outcome.errors;
}

TEST(NcclRefuses, two_ranks_on_one_device) {
  const Outcome outcome = run_world(World::processes, 2, [](Rank& r) {
    ncclComm_t other = nullptr;
    cudaSetDevice(0);
    ncclUniqueId id;
    if (r.rank == 0) CHECK_NCCL(ncclGetUniqueId(&id));
    std::vector<char> bytes(sizeof id);
    std::memcpy(bytes.data(), &id, sizeof id);
    cudaSetDevice(r.rank);
    char* const shared = r.put(bytes);
    CHECK_NCCL(ncclBroadcast(shared, shared, sizeof id, ncclInt8, 0, r.comm, r.stream));
    bytes = r.get(shared, sizeof id);
    std::memcpy(&id, bytes.data(), sizeof id);
    cudaSetDevice(0);
    CHECK(ncclCommInitRank(&other, 2, id, r.rank) == ncclInvalidUsage);
    CHECK(std::strstr(ncclGetLastError(nullptr), "Duplicate GPU") != nullptr);
    ncclCommAbort(other);
    cudaSetDevice(r.rank);
  });
  expect_success(outcome);
}

TEST(NcclRefuses, wrong_arguments) {
  expect_success(run_world(World::processes, 1, [](Rank& r) {
    float* const x = r.put(std::vector<float>(8));
    std::vector<float> host(8);
    CHECK(ncclAllReduce(x, x, 8, ncclFloat32, ncclSum, nullptr, r.stream) == ncclInvalidArgument);
    CHECK(ncclAllReduce(x, x, 8, ncclNumTypes, ncclSum, r.comm, r.stream) == ncclInvalidArgument);
    CHECK(ncclAllReduce(x, x, 8, ncclFloat32, ncclNumOps, r.comm, r.stream) == ncclInvalidArgument);
    CHECK(ncclBroadcast(x, x, 8, ncclFloat32, 1, r.comm, r.stream) == ncclInvalidArgument);
    CHECK(ncclSend(x, 8, ncclFloat32, -1, r.comm, r.stream) == ncclInvalidArgument);
    CHECK(ncclAllReduce(host.data(), x, 8, ncclFloat32, ncclSum, r.comm, r.stream) == ncclInvalidArgument);
    CHECK(ncclGroupEnd() == ncclInvalidUsage);
    ncclComm_t child = nullptr;
    ncclConfig_t blank{};
    CHECK(ncclCommSplit(r.comm, 0, 0, &child, &blank) == ncclInvalidArgument);
    CHECK_NCCL(ncclGroupStart());
    CHECK(ncclSend(x, 8, ncclFloat32, 5, r.comm, r.stream) == ncclInvalidArgument);
    CHECK(ncclGroupEnd() == ncclInvalidArgument);
  }));
}

TEST(NcclAborts, where_a_peer_never_comes) {
  const Outcome outcome = run_world(World::processes, 2, [](Rank& r) {
    float* const x = r.put(std::vector<float>(8));
    if (r.rank == 1) _exit(0);
    CHECK_NCCL(ncclAllReduce(x, x, 8, ncclFloat32, ncclSum, r.comm, r.stream));
    usleep(100000);
    CHECK(cudaStreamQuery(r.stream) == cudaErrorNotReady);
    CHECK_NCCL(ncclCommAbort(r.comm));
    CHECK_CUDA(cudaStreamSynchronize(r.stream));
    _exit(7);
  });
  EXPECT_EQ(outcome.codes, (std::vector<int>{7, 0})) << outcome.errors;
}

TEST(NcclReports, a_peer_that_ended_where_that_is_asked_for) {
  setenv("EMULATOR_NCCL_DETECT", "1", 1);
  const Outcome outcome = run_world(World::processes, 2, [](Rank& r) {
    float* const x = r.put(std::vector<float>(8));
    CHECK_NCCL(ncclAllReduce(x, x, 8, ncclFloat32, ncclSum, r.comm, r.stream));
    CHECK_CUDA(cudaStreamSynchronize(r.stream));
    if (r.rank == 1) {
      CHECK_NCCL(ncclCommAbort(r.comm));
      _exit(0);
    }
    ncclResult_t state = ncclSuccess;
    while (state == ncclSuccess) {
      CHECK_NCCL(ncclCommGetAsyncError(r.comm, &state));
      usleep(1000);
    }
    CHECK(state == ncclRemoteError);
    _exit(7);
  });
  unsetenv("EMULATOR_NCCL_DETECT");
  EXPECT_EQ(outcome.codes, (std::vector<int>{7, 0})) << outcome.errors;
}

TEST(NcclInjects, errors_into_calls_and_into_what_runs) {
  setenv("EMULATOR_FAIL", "ncclAllReduce:2:3,ncclAllGather:1:async", 1);
  const Outcome outcome = run_world(World::processes, 1, [](Rank& r) {
    float* const x = r.put(std::vector<float>(8));
    CHECK_NCCL(ncclAllReduce(x, x, 8, ncclFloat32, ncclSum, r.comm, r.stream));
    CHECK(ncclAllReduce(x, x, 8, ncclFloat32, ncclSum, r.comm, r.stream) == ncclInternalError);
    CHECK_CUDA(cudaStreamSynchronize(r.stream));
    CHECK_NCCL(ncclAllGather(x, x, 8, ncclFloat32, r.comm, r.stream));
    ncclResult_t state = ncclSuccess;
    CHECK_NCCL(ncclCommGetAsyncError(r.comm, &state));
    CHECK(state == ncclRemoteError);
    CHECK(cudaStreamQuery(r.stream) == cudaErrorNotReady);
    CHECK_NCCL(ncclCommAbort(r.comm));
    CHECK_CUDA(cudaStreamSynchronize(r.stream));
    _exit(7);
  });
  unsetenv("EMULATOR_FAIL");
  EXPECT_EQ(outcome.codes, std::vector<int>{7}) << outcome.errors;
}

TEST(NcclNames, a_communicator_that_is_given_up_while_a_graph_holds_its_operations) {
  const Outcome outcome = run_world(World::processes, 2, [](Rank& r) {
    float* const x = r.put(std::vector<float>(8));
    cudaGraph_t graph = nullptr;
    CHECK_CUDA(cudaStreamBeginCapture(r.stream, cudaStreamCaptureModeThreadLocal));
    ncclAllReduce(x, x, 8, ncclFloat32, ncclSum, r.comm, r.stream);
    CHECK_CUDA(cudaStreamEndCapture(r.stream, &graph));
    ncclCommAbort(r.comm);
  });
  EXPECT_TRUE(has_code(outcome, kViolation)) << outcome.errors;
  EXPECT_NE(outcome.errors.find("ncclCommAbort: waits for ever for a graph"), std::string::npos) << outcome.errors;
}

}  // namespace
}  // namespace dml::emulator
