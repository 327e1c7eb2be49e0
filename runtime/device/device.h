// What a rank computes on: memory, a queue of work, and marks that tell when the work got how far. The CPU does its
// work when it is called; a GPU does it later, in the same order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernels/tensor.h"
#include "models/graph.h"
#include "runtime/comm/clock.h"
#include "runtime/comm/communicator.h"
#include "runtime/config.h"
#include "runtime/device/kernel.h"

namespace dml {

/// A range of weights with its gradients and what the optimizer keeps of it; all in device memory.
struct UpdateRange {
  float* weights = nullptr;
  float* moment1 = nullptr;  ///< null where the optimizer keeps none; SGD's velocity
  float* moment2 = nullptr;
  const float* gradients = nullptr;
  std::int64_t count = 0;
  double weight_decay = 0;
};

/// Belongs to one rank and is used by its thread. Pointers called `device memory` may be read and written by work of
/// this device alone; where it is the host's, shares_host_memory. Everything throws DeviceError where the device fails.
class Device {
 public:
  virtual ~Device() = default;
  Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  /// "cpu" or "cuda".
  virtual const char* name() const = 0;
  /// For people: "NVIDIA H100 80GB HBM3, 79.1 GiB"; empty for the CPU.
  virtual std::string description() const = 0;
  /// Device memory is ordinary memory, and work is done when the call returns.
  virtual bool shares_host_memory() const = 0;

  /// At least kBufferAlignment-aligned; content is undefined. Throws DeviceError with what was asked for and what is
  /// there.
  virtual std::byte* allocate(std::int64_t bytes) = 0;
  virtual void release(std::byte* memory) noexcept = 0;
  /// Bytes that can still be had, where the device has memory of its own; else -1.
  virtual std::int64_t available_bytes() const = 0;

  // Between host and device memory, behind all work that was put on the queue; they wait.
  virtual void upload(void* to, const void* from, std::size_t bytes) = 0;
  virtual void download(void* to, const void* from, std::size_t bytes) = 0;
  /// Host memory for what `publish` then copies to `to`. It may be written when no work of an earlier step is on its
  /// way, and stays the same for a `to` and its bytes.
  virtual void* host_side(void* to, std::size_t bytes) = 0;
  /// Puts the copy on the queue.
  virtual void publish(void* to) = 0;
  /// Calls `write` with host memory of this size and uploads what it wrote; the memory is `to` itself where that is the
  /// host's.
  void write(void* to, std::size_t bytes, const std::function<void(void*)>& write);
  /// `count` floats as the host can read them: `x` itself, or a copy in `room`.
  const float* read(const float* x, std::int64_t count, std::vector<float>& room);

  /// The kernel of `node` on these buffers of device memory: calling it puts its work on the queue. Throws as the
  /// tables of kernels do (runtime/device/cpu/kernel_table.h).
  virtual Kernel bind(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
                      std::span<const TensorView> outputs, const KernelContext& context) = 0;

  // Work on device memory, put on the queue.
  virtual void fill(void* to, std::uint8_t byte, std::size_t bytes) = 0;
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  /// sum += addend.
  virtual void add(float* sum, const float* addend, std::int64_t count) = 0;
  /// sum += *addend.
  virtual void add_scalar(double* sum, const float* addend) = 0;
  /// sum = Σ x².
  virtual void sum_of_squares(double* sum, const float* x, std::int64_t count) = 0;
  /// count += rows of logits [rows, classes] whose largest entry (the first of several) is that of `labels` [rows].
  virtual void count_correct(double* count, const float* logits, const std::int64_t* labels, std::int64_t rows,
                             std::int64_t classes) = 0;
  /// state->clip_factor = min(1, limit / (√(Σ squares) + 1e-6)).
  virtual void clip(StepState* state, const double* squares, std::int64_t count, double limit) = 0;
  /// One update of `range`; learning rate, bias corrections and clip factor are those of `state`.
  virtual void update(const UpdateRange& range, const OptimizerConfig& optimizer, const StepState* state) = 0;

  // Times of a step. Marks are numbered by the caller.
  /// Begins a step with this many marks, none of them set. `start` is the present.
  virtual void begin_marks(Clock::time_point start, std::size_t num_marks) = 0;
  /// Notes the time at which all work put on the queue so far is done.
  virtual void mark(std::size_t index) = 0;
  /// Returns when all work is done; throws what it found wrong in its data (std::invalid_argument), and TimeoutError.
  virtual void synchronize() = 0;
  /// Seconds from the start to each mark, after synchronize; below 0 where a mark was not set.
  virtual std::span<const double> marks() = 0;

  /// A world whose operations move device memory, over the same ranks as `host`; null where `host` does that itself.
  /// Collective.
  virtual std::unique_ptr<Communicator> make_world(Communicator& host, const CommOptions& options) = 0;
};

std::unique_ptr<Device> make_cpu_device();
/// The GPU of this number, for the calling thread. Throws DeviceError.
std::unique_ptr<Device> make_cuda_device(int ordinal);

struct GpuCount {
  int count = 0;
  std::string why_none;  ///< in words, where there are none
  bool is_built = true;  ///< false in a build without CUDA
};
/// The GPUs that this process can use.
GpuCount count_gpus();

}  // namespace dml
