// Communicators of several ranks, each a process or a thread: results against plain sums, and what goes wrong on
// purpose.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>
#include <nccl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "kernels/bf16.h"

namespace dml::emulator {
namespace {

constexpr int kViolation = 86;

/// What processes that were forked share: a blackboard for the unique id, as MPI would bring it.
struct Board {
  std::atomic<int> has_id;
  ncclUniqueId id;
};
Board& board() {
  static auto* shared =
      static_cast<Board*>(mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  return *shared;
}

/// What a check of a rank says where it fails: the rank ends with 1.
#define CHECK(condition)                                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
      _exit(1);                                                            \
    }                                                                      \
  } while (false)
#define CHECK_NCCL(call) CHECK((call) == ncclSuccess)
#define CHECK_CUDA(call) CHECK((call) == cudaSuccess)

/// A rank of a world, on device `rank`, with a stream.
struct Rank {
  int rank, ranks;
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;

  template <typename T>
  T* put(const std::vector<T>& values) {
    void* data = nullptr;
    CHECK_CUDA(cudaMalloc(&data, values.size() * sizeof(T)));
    CHECK_CUDA(cudaMemcpyAsync(data, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice, stream));
    CHECK_CUDA(cudaStreamSynchronize(stream));
    buffers.push_back(data);
    return static_cast<T*>(data);
  }
  template <typename T>
  std::vector<T> get(const T* data, std::size_t count) {
    std::vector<T> values(count);
    CHECK_CUDA(cudaMemcpyAsync(values.data(), data, count * sizeof(T), cudaMemcpyDeviceToHost, stream));
    CHECK_CUDA(cudaStreamSynchronize(stream));
    return values;
  }
  void wait(ncclComm_t of) {
    ncclResult_t state = ncclInProgress;
    while (state == ncclInProgress) {
      CHECK_NCCL(ncclCommGetAsyncError(of, &state));
      usleep(100);
    }
    CHECK_NCCL(state);
  }
  std::vector<void*> buffers;
};
using Body = std::function<void(Rank&)>;

void join(Rank& rank, bool blocking) {
  if (rank.rank == 0) {
    CHECK_NCCL(ncclGetUniqueId(&board().id));
    board().has_id = 1;
  }
  while (board().has_id == 0) usleep(100);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = blocking ? 1 : 0;
  const ncclResult_t state = ncclCommInitRankConfig(&rank.comm, rank.ranks, board().id, rank.rank, &config);
  CHECK(state == (blocking ? ncclSuccess : ncclInProgress));
  if (!blocking) rank.wait(rank.comm);
}

void run_rank(int rank, int ranks, bool blocking, const Body& body) {
  Rank self{rank, ranks, nullptr, nullptr, {}};
  CHECK_CUDA(cudaSetDevice(rank));
  CHECK_CUDA(cudaStreamCreateWithFlags(&self.stream, cudaStreamNonBlocking));
  join(self, blocking);
  body(self);
  CHECK_CUDA(cudaStreamSynchronize(self.stream));
  CHECK_NCCL(ncclCommDestroy(self.comm));
  for (void* buffer : self.buffers) CHECK_CUDA(cudaFree(buffer));
  CHECK_CUDA(cudaStreamDestroy(self.stream));
}

enum class World { processes, threads };
struct Outcome {
  std::vector<int> codes;  ///< exit code of each process
  std::string errors;
};

void set_environment(const char* policy) {
  setenv("EMULATOR_DEVICES", "8", 1);
  setenv("EMULATOR_MEMORY_MB", "64", 1);
  setenv("EMULATOR_POLICY", policy, 1);
}

int fork_child(int errors, const std::function<void()>& work) {
  const int child = fork();
  if (child != 0) return child;
  dup2(errors, STDERR_FILENO);
  alarm(60);
  work();
  std::fflush(nullptr);
  _exit(0);
}

/// The body on every rank. The caller's process never touches the device, so that its children can.
Outcome run_world(World world, int ranks, const Body& body, bool blocking = true, const char* policy = "random") {
  board().has_id = 0;
  set_environment(policy);
  std::FILE* const errors = std::tmpfile();
  std::vector<int> children;
  if (world == World::processes) {
    for (int rank = 0; rank < ranks; ++rank) {
      children.push_back(fork_child(fileno(errors), [&] { run_rank(rank, ranks, blocking, body); }));
    }
  } else {
    children.push_back(fork_child(fileno(errors), [&] {
      std::vector<std::thread> threads;
      for (int rank = 0; rank < ranks; ++rank)
        threads.emplace_back([&, rank] { run_rank(rank, ranks, blocking, body); });
      for (std::thread& thread : threads) thread.join();
    }));
  }
  Outcome outcome;
  for (const int child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    outcome.codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  std::rewind(errors);
  char text[4096];
  while (const std::size_t got = std::fread(text, 1, sizeof text, errors)) outcome.errors.append(text, got);
  std::fclose(errors);
  return outcome;
}

void expect_success(const Outcome& outcome) {
  for (const int code : outcome.codes) EXPECT_EQ(code, 0) << outcome.errors;
}

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

float value_of(int rank, std::size_t i) {
  return static_cast<float>((i * 7 + static_cast<std::size_t>(rank) * 13) % 64);
}
std::vector<float> values_of(int rank, std::size_t count, std::size_t first = 0) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = value_of(rank, first + i);
  return values;
}
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
    float expected = static_cast<float>(r.ranks * (r.ranks + 1) / 2);
    expected *= static_cast<float>(r.ranks * r.ranks);
    CHECK(r.get(x, 1)[0] == expected);
    CHECK_CUDA(cudaGraphExecDestroy(executable));
    CHECK_CUDA(cudaGraphDestroy(graph));
  });
}

INSTANTIATE_TEST_SUITE_P(
    Worlds, Nccl,
    testing::Values(Setting{World::processes, 1, true, "eager"}, Setting{World::processes, 2, true, "lazy"},
                    Setting{World::processes, 3, false, "random"}, Setting{World::threads, 2, true, "eager"},
                    Setting{World::threads, 4, false, "lifo"}, Setting{World::threads, 3, true, "threads"}));

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

}  // namespace
}  // namespace dml::emulator
