// Worlds of ranks that use the emulated NCCL, each rank a process or a thread.
#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace dml::emulator {

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

enum class World { processes, threads };
struct Outcome {
  std::vector<int> codes;  ///< exit code of each process
  std::string errors;
};

/// The body on every rank. The caller's process never touches the device, so that its children can.
Outcome run_world(World world, int ranks, const Body& body, bool blocking = true, const char* policy = "random");

/// Fails the test unless each process ended with 0.
void expect_success(const Outcome& outcome);

/// value_of(rank, first), value_of(rank, first + 1), ...: small whole numbers, whose sums are exact.
float value_of(int rank, std::size_t i);
std::vector<float> values_of(int rank, std::size_t count, std::size_t first = 0);

}  // namespace dml::emulator
