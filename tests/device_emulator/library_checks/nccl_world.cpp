#include "tests/device_emulator/library_checks/nccl_world.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <atomic>
#include <cstdlib>
#include <thread>

namespace dml::emulator {
namespace {

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

}  // namespace

Outcome run_world(World world, int ranks, const Body& body, bool blocking, const char* policy) {
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

float value_of(int rank, std::size_t i) {
  return static_cast<float>((i * 7 + static_cast<std::size_t>(rank) * 13) % 64);
}
std::vector<float> values_of(int rank, std::size_t count, std::size_t first) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = value_of(rank, first + i);
  return values;
}

}  // namespace dml::emulator
