#include "runtime/device/cuda/cuda_device.h"

#include <fmt/format.h>

#include <new>
#include <stdexcept>

#include "kernels/cuda/check.h"
#include "kernels/error.h"
#include "kernels/optimizer.h"
#include "kernels/totals.h"
#include "runtime/comm/nccl/nccl_communicator.h"
#include "runtime/device/cuda/cuda_graph.h"
#include "runtime/device/cuda/kernel_table.h"

namespace dml::cuda {
namespace {

/// For products of cuBLAS, convolutions and the partial sums of reductions.
constexpr std::size_t kWorkspaceBytes = std::size_t{64} << 20;
constexpr double kGiB = 1 << 30;

}  // namespace

CudaDevice::CudaDevice(int ordinal, bool tf32) : ordinal_(ordinal) {
  queue_.tf32 = tf32;
  DML_CUDA(cudaSetDevice(ordinal));
  stream_ = make_stream();
  queue_.stream = stream_.get();
  for (Step& step : steps_) {
    step.start = make_event(cudaEventDefault);
    step.done = make_event(cudaEventDisableTiming);
    step.fault.resize(sizeof(Fault));
    new (step.fault.memory.get()) Fault;
  }
  workspace_.reset(allocate(kWorkspaceBytes));
  queue_.workspace = workspace_.get();
  queue_.workspace_bytes = kWorkspaceBytes;
  fault_.reset(allocate(sizeof(Fault)));
  queue_.fault = reinterpret_cast<Fault*>(fault_.get());
  DML_CUDA(cudaMemcpyAsync(queue_.fault, steps_.front().fault.memory.get(), sizeof(Fault), cudaMemcpyHostToDevice,
                           queue_.stream));
  handles_ = std::make_unique<Handles>(queue_.stream);
  queue_.handles = handles_.get();
}

std::string CudaDevice::description() const {
  cudaDeviceProp properties{};
  DML_CUDA(cudaGetDeviceProperties(&properties, ordinal_));
  return fmt::format("{}, {:.1f} GiB", properties.name, static_cast<double>(properties.totalGlobalMem) / kGiB);
}

std::byte* CudaDevice::allocate(std::int64_t bytes) {
  void* memory = nullptr;
  const cudaError_t code = cudaMalloc(&memory, static_cast<std::size_t>(bytes));
  if (code == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    throw DeviceError(
        fmt::format("memory of GPU {}: {:.3f} GiB ({} bytes) are planned, {:.3f} GiB ({} bytes) available: a smaller "
                    "--batch or more --microbatches, or more parts of the model (--p, --t)",
                    ordinal_, static_cast<double>(bytes) / kGiB, bytes, static_cast<double>(available_bytes()) / kGiB,
                    available_bytes()));
  }
  check(code, "cudaMalloc");
  return static_cast<std::byte*>(memory);
}

void CudaDevice::release(std::byte* memory) noexcept { static_cast<void>(cudaFree(memory)); }

std::int64_t CudaDevice::available_bytes() const {
  std::size_t available = 0;
  std::size_t total = 0;
  DML_CUDA(cudaMemGetInfo(&available, &total));
  return static_cast<std::int64_t>(available);
}

void CudaDevice::upload(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  DML_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, queue_.stream));
  DML_CUDA(cudaStreamSynchronize(queue_.stream));
}

void CudaDevice::download(void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  DML_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, queue_.stream));
  DML_CUDA(cudaStreamSynchronize(queue_.stream));
}

void CudaDevice::Pinned::resize(std::size_t size) {
  if (bytes == size) return;
  *this = {};
  void* pinned = nullptr;
  DML_CUDA(cudaHostAlloc(&pinned, size, cudaHostAllocDefault));
  memory.reset(pinned);
  bytes = size;
}

void* CudaDevice::host_side(void* to, std::size_t bytes) {
  Pinned& pinned = current().host_sides[to];
  pinned.resize(bytes);
  return pinned.memory.get();
}

void CudaDevice::publish(void* to) {
  const Pinned& pinned = current().host_sides.at(to);
  if (pinned.bytes == 0) return;
  DML_CUDA(cudaMemcpyAsync(to, pinned.memory.get(), pinned.bytes, cudaMemcpyHostToDevice, queue_.stream));
}

Kernel CudaDevice::bind(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
                        std::span<const TensorView> outputs, const KernelContext& context) {
  return bind_kernel(graph, node, inputs, outputs, context, queue_);
}

void CudaDevice::fill(void* to, std::uint8_t byte, std::size_t bytes) {
  if (bytes > 0) DML_CUDA(cudaMemsetAsync(to, byte, bytes, queue_.stream));
}

void CudaDevice::copy(void* to, const void* from, std::size_t bytes) {
  if (bytes > 0) DML_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, queue_.stream));
}

void CudaDevice::add(float* sum, const float* addend, std::int64_t count) { axpy(sum, 1.0F, addend, count, queue_); }

void CudaDevice::add_scalar(double* sum, const float* addend) { cuda::add_scalar(sum, addend, queue_); }

void CudaDevice::sum_of_squares(double* sum, const float* x, std::int64_t count) {
  cuda::sum_of_squares(sum, x, count, queue_);
}

void CudaDevice::count_correct(double* count, const float* logits, const std::int64_t* labels, std::int64_t rows,
                               std::int64_t classes) {
  cuda::count_correct(count, logits, labels, rows, classes, queue_);
}

void CudaDevice::clip(StepState* state, const double* squares, std::int64_t count, double limit) {
  clip_factor(state, squares, count, limit, queue_);
}

void CudaDevice::update(const UpdateRange& range, const OptimizerConfig& optimizer, const StepState* state) {
  if (optimizer.kind == OptimizerKind::sgd) {
    const SgdStep step{0, optimizer.momentum, range.weight_decay, optimizer.nesterov, 1};
    sgd(range.weights, range.moment1, range.gradients, range.count, step, state, queue_);
    return;
  }
  const AdamStep step{0, optimizer.beta1, optimizer.beta2, optimizer.epsilon, range.weight_decay, 1, 1, 1};
  const auto update = optimizer.kind == OptimizerKind::adam ? cuda::adam : cuda::adamw;
  update(range.weights, range.moment1, range.moment2, range.gradients, range.count, step, state, queue_);
}

void CudaDevice::begin_step(Clock::time_point /*start*/, std::size_t num_marks) {
  DML_ASSERT(num_begun_ - num_finished_ < steps_.size(), fmt::format("step {} begins", num_begun_ + 1));
  ++num_begun_;
  if (current().marks.size() < num_marks) current().marks.resize(num_marks);
  current().num_marks = num_marks;
  for (Mark& mark : current().marks) mark.is_set = false;
  DML_CUDA(cudaEventRecord(current().start.get(), queue_.stream));
}

void CudaDevice::mark_on(std::size_t index, cudaStream_t stream) {
  Mark& mark = current().marks[index];
  if (mark.event == nullptr) mark.event = make_event(cudaEventDefault);
  DML_CUDA(cudaEventRecord(mark.event.get(), stream));
  mark.is_set = true;
}

void CudaDevice::end_step(const void* results, std::size_t bytes) {
  current().results.resize(bytes);
  DML_CUDA(cudaMemcpyAsync(current().results.memory.get(), results, bytes, cudaMemcpyDeviceToHost, queue_.stream));
  DML_CUDA(cudaMemcpyAsync(current().fault.memory.get(), queue_.fault, sizeof(Fault), cudaMemcpyDeviceToHost,
                           queue_.stream));
  DML_CUDA(cudaEventRecord(current().done.get(), queue_.stream));
}

bool CudaDevice::is_step_done() {
  const cudaError_t state = cudaEventQuery(steps_[(num_finished_ + 1) % steps_.size()].done.get());
  if (state != cudaErrorNotReady) check(state, "cudaEventQuery");
  return state == cudaSuccess;
}

const void* CudaDevice::finish_step() {
  const Step& finished = steps_[++num_finished_ % steps_.size()];
  DML_CUDA(cudaEventSynchronize(finished.done.get()));
  throw_if(*static_cast<const Fault*>(finished.fault.memory.get()));
  return finished.results.memory.get();
}

std::span<const double> CudaDevice::marks() {
  constexpr double kMilli = 1e-3;
  const Step& finished = steps_[num_finished_ % steps_.size()];
  seconds_.assign(finished.num_marks, -1.0);
  for (std::size_t i = 0; i < finished.num_marks; ++i) {
    if (!finished.marks[i].is_set) continue;
    float milliseconds = 0;
    DML_CUDA(cudaEventElapsedTime(&milliseconds, finished.start.get(), finished.marks[i].event.get()));
    seconds_[i] = static_cast<double>(milliseconds) * kMilli;
  }
  return seconds_;
}

void CudaDevice::synchronize() {
  Fault fault;
  download(&fault, queue_.fault, sizeof(fault));
  throw_if(fault);
}

void CudaDevice::throw_if(const Fault& fault) {
  switch (fault.kind) {
    case Fault::none: return;
    case Fault::label:
      throw std::invalid_argument(
          fmt::format("[cross_entropy] label {} in row {} is outside [0, {})", fault.value, fault.place, fault.limit));
    default:
      throw std::invalid_argument(
          fmt::format("[gather] index {} at position {} of a table of {} rows", fault.value, fault.place, fault.limit));
  }
}

std::unique_ptr<Recording> CudaDevice::record(const std::function<void()>& work) {
  is_recording_ = true;
  const std::unique_ptr<bool, void (*)(bool*)> end(&is_recording_, [](bool* is_recording) { *is_recording = false; });
  auto graph = std::make_unique<CudaGraph>(queue_.stream, work);
  recording_ = graph->shared();
  return graph;
}

void CudaDevice::drop_recordings() noexcept {
  if (is_recording_) {
    cudaGraph_t unfinished = nullptr;
    static_cast<void>(cudaStreamEndCapture(queue_.stream, &unfinished));
    OwnedGraph(unfinished).reset();
  }
  if (const auto graph = recording_.lock()) graph->reset();
}

std::unique_ptr<Communicator> CudaDevice::make_world(Communicator& host, const CommOptions& options) {
  return make_nccl_world(*this, host, options);
}

}  // namespace dml::cuda

namespace dml {

std::unique_ptr<Device> make_cuda_device(int ordinal, bool tf32) {
  return std::make_unique<cuda::CudaDevice>(ordinal, tf32);
}

namespace {

/// "13.0" of 13000.
std::string version_text(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

std::string why_no_driver() {
  int driver = 0;
  int runtime = 0;
  static_cast<void>(cudaDriverGetVersion(&driver));
  static_cast<void>(cudaRuntimeGetVersion(&runtime));
  if (driver == 0) return "no NVIDIA driver is installed";
  return fmt::format("the NVIDIA driver is one for CUDA {}, and {} is needed", version_text(driver),
                     version_text(runtime));
}

}  // namespace

GpuCount count_gpus() {
  GpuCount gpus;
  const cudaError_t code = cudaGetDeviceCount(&gpus.count);
  if (code == cudaSuccess && gpus.count > 0) return gpus;
  static_cast<void>(cudaGetLastError());
  gpus.count = 0;
  switch (code) {
    case cudaSuccess:
    case cudaErrorNoDevice: gpus.why_none = "there is no GPU that can be used"; break;
    case cudaErrorInsufficientDriver: gpus.why_none = why_no_driver(); break;
    default: gpus.why_none = fmt::format("cudaGetDeviceCount failed: {}", cudaGetErrorString(code));
  }
  return gpus;
}

}  // namespace dml
