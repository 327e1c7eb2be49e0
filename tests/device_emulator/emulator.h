// What libraries of the emulated device (cuBLASLt, cuDNN, NCCL) see of it: they put operations on streams, declare what
// these read and write, and ask whether a call shall fail. All of it lives in the emulated libcudart.so.13.
//
//   int multiply(cudaStream_t stream, const float* a, float* c, std::size_t n) {
//     if (const int code = emulator::injected("cublasLtMatmul")) return code;
//     const cudaError_t code = emulator::enqueue(stream, emulator::operation("cublasLtMatmul",
//         {emulator::reads(a, n * 4), emulator::writes(c, n * 4)}, [=] { ... }));
//     return code == cudaSuccess ? 0 : ...;
//   }
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dml::emulator {

/// Bytes of memory that an operation reads or writes when it runs. A range of no bytes may have any address.
struct Range {
  const void* address = nullptr;
  std::size_t bytes = 0;
  bool write = false;
};

inline Range reads(const void* address, std::size_t bytes) { return {address, bytes, false}; }
inline Range writes(const void* address, std::size_t bytes) { return {address, bytes, true}; }

/// One run of an operation. Device memory can be addressed in these two functions only; neither may block or call CUDA.
struct Execution {
  std::function<void()> run;   ///< called once all that stands before it on its stream is done; may be empty
  std::function<bool()> poll;  ///< called after `run` until it returns true; empty: the operation is done after `run`
};

/// What is put on a stream, or into a graph that is being captured.
struct Operation {
  std::string name;           ///< of the API call or kernel, for reports
  std::vector<Range> ranges;  ///< must lie in device or pinned memory
  /// Called in the order of issue: at once where the stream is not being captured, else at every launch of the graph.
  /// So it is the place to take turn numbers; several executions of one captured operation can be on their way.
  /// All values that it needs are held by the function itself (host pointers may be gone by then).
  std::function<Execution()> issue;
};

/// An operation whose work is done by one function, each time it is run.
inline Operation operation(std::string name, std::vector<Range> ranges, std::function<void()> work) {
  return {std::move(name), std::move(ranges), [work = std::move(work)] { return Execution{work, {}}; }};
}

/// Puts an operation on a stream. cudaErrorInvalidResourceHandle for a stream that is not one, cudaErrorInvalidValue
/// for a range outside of its allocation (reported on stderr), the sticky error of an earlier fault.
cudaError_t enqueue(cudaStream_t stream, Operation operation);

/// The code with which this call of `api` shall fail by EMULATOR_FAIL, 0, or kLeftOut: it returns success and does
/// nothing. Called first in every entry point; counts calls and sleeps by EMULATOR_DELAY. The code is of the library's
/// own type.
int injected(const char* api);
inline constexpr int kLeftOut = 0x3fff;  // no code of any library

/// The stream of a call, or, where a test leaves it out (EMULATOR_LEAVE_OUT), one that nothing waits for. Calls are
/// told apart by where the program makes them, launches by their kernel.
cudaStream_t stream_of_call(const char* what, cudaStream_t given, bool is_kernel = false);

/// What an entry point returns that was told to fail, or to be left out.
template <typename Status>
Status status_of(int injected) {
  return static_cast<Status>(injected == kLeftOut ? 0 : injected);
}

/// Whether the fault of an asynchronous operation was injected for this call (EMULATOR_FAIL=api:n:async): for what
/// libraries report later, as ncclCommGetAsyncError does. Counts apart from `injected`.
bool injected_async(const char* api);

/// Counts `what`, which is no call, among the calls of EMULATOR_COUNT.
void count(const char* what);

/// A rule of CUDA or of this project was broken: says so in one line on stderr and ends the process with code 86.
[[noreturn]] void violation(const std::string& what);

/// The device that the calling thread has set, and that of a stream. -1: no such stream.
int current_device();
int device_of(cudaStream_t stream);
/// Whether the stream is being captured: work that cannot be captured is refused by the library then.
bool is_capturing(cudaStream_t stream);

/// Whether the address is device memory (allocated or not).
bool is_device_memory(const void* address);
/// Why these bytes are no single allocation of device or pinned memory, or an empty string.
std::string range_fault(const void* address, std::size_t bytes);

/// A number drawn from EMULATOR_SEED and `what`; the same in every run: for choices that a real library makes at will.
std::uint64_t draw(std::string_view what);

}  // namespace dml::emulator
