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

/// Work that a device's queue has been shown once, and does as a whole whenever it is put there again.
class Recording {
 public:
  virtual ~Recording() = default;
  Recording() = default;
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  virtual void replay() = 0;
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
  /// Host memory of the step that began last for what `publish` then copies to `to`; the same one each time it is asked
  /// for in that step.
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

  // Steps. Up to two are on their way: the host prepares one while the device does the one before. Each is begun,
  // ended and finished, in this order.
  /// Begins a step with marks 0 to `num_marks` - 1, none of them set. `start` is the present. All steps but the last
  /// are finished.
  virtual void begin_step(Clock::time_point start, std::size_t num_marks) = 0;
  /// Notes the time at which all work put on the queue so far is done, in the step that began last.
  virtual void mark(std::size_t index) = 0;
  /// Nothing more belongs to the step that began last. Its results are the `bytes` at `results` (device memory) as that
  /// work leaves them.
  virtual void end_step(const void* results, std::size_t bytes) = 0;
  /// Whether finish_step would return at once.
  virtual bool is_step_done() = 0;
  /// Returns when the earliest step that is not finished is done, with its results in host memory; they stay until the
  /// next but one begins. Throws what the step found wrong in its data (std::invalid_argument).
  virtual const void* finish_step() = 0;
  /// Seconds from the start to each mark of the step that was finished last; below 0 where one was not set.
  virtual std::span<const double> marks() = 0;
  /// Returns when all work is done. Throws as finish_step.
  virtual void synchronize() = 0;

  /// What `work` puts on the queue, and on those of communication that it lets wait for this one and joins again,
  /// recorded instead of done. It may put nothing else anywhere, nor wait or ask for marks. Throws DeviceError where
  /// the device cannot record it; not for devices that share the host's memory.
  virtual std::unique_ptr<Recording> record(const std::function<void()>& work) = 0;

  /// Whether a profiler is attached that wants to know what the host does.
  virtual bool is_profiled() const { return false; }
  /// What this thread does until end_range goes under `name` there. Ranges nest.
  virtual void begin_range(const char* /*name*/) {}
  virtual void end_range() {}

  /// A world whose operations move device memory, over the same ranks as `host`; null where `host` does that itself.
  /// Collective.
  virtual std::unique_ptr<Communicator> make_world(Communicator& host, const CommOptions& options) = 0;
};

std::unique_ptr<Device> make_cpu_device();
/// The GPU of this number, for the calling thread; with `tf32` products and convolutions of f32 may round their
/// operands to TF32. Throws DeviceError.
std::unique_ptr<Device> make_cuda_device(int ordinal, bool tf32 = false);

struct GpuCount {
  int count = 0;
  std::string why_none;  ///< in words, where there are none
  bool is_built = true;  ///< false in a build without CUDA
};
/// The GPUs that this process can use.
GpuCount count_gpus();

}  // namespace dml
