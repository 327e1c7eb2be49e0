// A GPU as the device of a rank: one stream of compute work, a workspace, pinned memory for what the host brings and
// gets, and events as marks. Communication between devices has streams of its own, which it orders against this one by
// events.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <cuda_runtime_api.h>

#include "kernels/cuda/handles.h"
#include "kernels/cuda/queue.h"
#include "runtime/device/cuda/owned.h"
#include "runtime/device/device.h"

namespace dml::cuda {

class CudaDevice final : public Device {
 public:
  /// Sets the calling thread's current GPU, whose rank's thread it is to be. Throws DeviceError.
  CudaDevice(int ordinal, bool tf32);

  const char* name() const override { return "cuda"; }
  std::string description() const override;
  bool shares_host_memory() const override { return false; }

  std::byte* allocate(std::int64_t bytes) override;
  void release(std::byte* memory) noexcept override;
  std::int64_t available_bytes() const override;

  void upload(void* to, const void* from, std::size_t bytes) override;
  void download(void* to, const void* from, std::size_t bytes) override;
  void* host_side(void* to, std::size_t bytes) override;
  void publish(void* to) override;

  Kernel bind(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
              std::span<const TensorView> outputs, const KernelContext& context) override;

  void fill(void* to, std::uint8_t byte, std::size_t bytes) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void add(float* sum, const float* addend, std::int64_t count) override;
  void add_scalar(double* sum, const float* addend) override;
  void sum_of_squares(double* sum, const float* x, std::int64_t count) override;
  void count_correct(double* count, const float* logits, const std::int64_t* labels, std::int64_t rows,
                     std::int64_t classes) override;
  void clip(StepState* state, const double* squares, std::int64_t count, double limit) override;
  void update(const UpdateRange& range, const OptimizerConfig& optimizer, const StepState* state) override;

  void begin_step(Clock::time_point start, std::size_t num_marks) override;
  void mark(std::size_t index) override { mark_on(index, queue_.stream); }
  void end_step(const void* results, std::size_t bytes) override;
  bool is_step_done() override;
  const void* finish_step() override;
  std::span<const double> marks() override;
  void synchronize() override;
  std::unique_ptr<Recording> record(const std::function<void()>& work) override;

  bool is_profiled() const override;
  void begin_range(const char* name) override;
  void end_range() override;

  std::unique_ptr<Communicator> make_world(Communicator& host, const CommOptions& options) override;

  /// A mark on a stream of communication.
  void mark_on(std::size_t index, cudaStream_t stream);
  cudaStream_t stream() const { return queue_.stream; }
  /// Gives up what is being recorded and what was: before communicators are aborted (cuda_graph.h).
  void drop_recordings() noexcept;

 private:
  /// Memory of the host that copies of the device reach by themselves.
  struct Pinned {
    PinnedBytes memory;
    std::size_t bytes = 0;

    /// Content is lost where the size changes.
    void resize(std::size_t bytes);
  };
  struct Mark {
    OwnedEvent event;
    bool is_set = false;
  };
  /// What the host keeps of a step until it is finished.
  struct Step {
    OwnedEvent start, done;
    std::vector<Mark> marks;
    std::size_t num_marks = 0;
    std::map<void*, Pinned> host_sides;  ///< by the device memory that they are copied to
    Pinned results, fault;
  };
  /// The one that began last.
  Step& current() { return steps_[num_begun_ % steps_.size()]; }
  static void throw_if(const Fault& fault);

  int ordinal_;
  OwnedStream stream_;
  DeviceBytes workspace_, fault_;
  Queue queue_;
  std::unique_ptr<Handles> handles_;
  std::array<Step, 2> steps_;  ///< in turn
  std::size_t num_begun_ = 0, num_finished_ = 0;
  std::vector<double> seconds_;
  std::weak_ptr<OwnedGraphExec> recording_;  ///< the last one
  bool is_recording_ = false;
};

}  // namespace dml::cuda
