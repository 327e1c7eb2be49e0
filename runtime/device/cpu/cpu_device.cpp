// The CPU as a device: memory is the host's, and work is done when it is asked for.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <vector>

#include "kernels/error.h"
#include "kernels/optimizer.h"
#include "kernels/totals.h"
#include "parallel/memory/memory_plan.h"
#include "runtime/comm/clock.h"
#include "runtime/device/cpu/kernel_table.h"
#include "runtime/device/device.h"

namespace dml {
namespace {

class CpuDevice final : public Device {
 public:
  const char* name() const override { return "cpu"; }
  std::string description() const override { return ""; }
  bool shares_host_memory() const override { return true; }

  std::byte* allocate(std::int64_t bytes) override {
    const auto size = static_cast<std::size_t>(aligned_bytes(bytes));
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(kBufferAlignment, size));
    if (memory == nullptr) throw DeviceError(fmt::format("no memory: {} bytes were asked for", bytes));
    return memory;
  }
  void release(std::byte* memory) noexcept override { std::free(memory); }
  std::int64_t available_bytes() const override { return -1; }

  void upload(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void download(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void* host_side(void* to, std::size_t /*bytes*/) override { return to; }
  void publish(void* /*to*/) override {}

  Kernel bind(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
              std::span<const TensorView> outputs, const KernelContext& context) override {
    return bind_kernel(graph, node, inputs, outputs, context);
  }

  void fill(void* to, std::uint8_t byte, std::size_t bytes) override {
    if (bytes > 0) std::memset(to, byte, bytes);
  }
  void copy(void* to, const void* from, std::size_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, bytes);
  }
  void add(float* sum, const float* addend, std::int64_t count) override { cpu::axpy(sum, 1.0F, addend, count); }
  void add_scalar(double* sum, const float* addend) override { cpu::add_scalar(sum, addend); }
  void sum_of_squares(double* sum, const float* x, std::int64_t count) override {
    *sum = cpu::sum_of_squares(x, count);
  }
  void count_correct(double* count, const float* logits, const std::int64_t* labels, std::int64_t rows,
                     std::int64_t classes) override {
    cpu::count_correct(count, logits, labels, rows, classes);
  }
  void clip(StepState* state, const double* squares, std::int64_t count, double limit) override {
    const double sum = std::accumulate(squares, squares + count, 0.0);
    state->clip_factor = static_cast<float>(std::min(1.0, limit / (std::sqrt(sum) + 1e-6)));
  }
  void update(const UpdateRange& range, const OptimizerConfig& optimizer, const StepState* state) override {
    if (optimizer.kind == OptimizerKind::sgd) {
      cpu::sgd(range.weights, range.moment1, range.gradients, range.count,
               {state->learning_rate, optimizer.momentum, range.weight_decay, optimizer.nesterov, state->clip_factor});
      return;
    }
    const AdamStep step{state->learning_rate, optimizer.beta1,         optimizer.beta2,         optimizer.epsilon,
                        range.weight_decay,   state->bias_correction1, state->bias_correction2, state->clip_factor};
    const auto adam = optimizer.kind == OptimizerKind::adam ? cpu::adam : cpu::adamw;
    adam(range.weights, range.moment1, range.moment2, range.gradients, range.count, step);
  }

  void begin_step(Clock::time_point start, std::size_t num_marks) override {
    marks_.assign(num_marks, -1.0);
    start_ = start;
  }
  void mark(std::size_t index) override {
    marks_[index] = std::chrono::duration<double>(Clock::now() - start_).count();
  }
  void end_step(const void* results, std::size_t /*bytes*/) override { results_ = results; }
  bool is_step_done() override { return true; }
  const void* finish_step() override { return results_; }
  std::span<const double> marks() override { return marks_; }
  void synchronize() override {}

  std::unique_ptr<Recording> record(const std::function<void()>& /*work*/) override {
    throw InternalError("a CPU records nothing");
  }

  std::unique_ptr<Communicator> make_world(Communicator& /*host*/, const CommOptions& /*options*/) override {
    return nullptr;
  }

 private:
  Clock::time_point start_;
  std::vector<double> marks_;
  const void* results_ = nullptr;
};

}  // namespace

std::unique_ptr<Device> make_cpu_device() { return std::make_unique<CpuDevice>(); }

}  // namespace dml
