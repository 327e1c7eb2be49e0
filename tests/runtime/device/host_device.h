// The CPU as a device without steps, for tests whose devices differ from it in something.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "runtime/device/device.h"

namespace dml::test {

class HostDevice : public Device {
 public:
  Kernel bind(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
              std::span<const TensorView> outputs, const KernelContext& context) override {
    return cpu_->bind(graph, node, inputs, outputs, context);
  }
  const char* name() const override { return "host"; }
  std::string description() const override { return ""; }
  bool shares_host_memory() const override { return true; }
  std::byte* allocate(std::int64_t bytes) override { return cpu_->allocate(bytes); }
  void release(std::byte* memory) noexcept override { cpu_->release(memory); }
  std::int64_t available_bytes() const override { return -1; }
  void upload(void* to, const void* from, std::size_t bytes) override { cpu_->upload(to, from, bytes); }
  void download(void* to, const void* from, std::size_t bytes) override { cpu_->download(to, from, bytes); }
  void* host_side(void* to, std::size_t /*bytes*/) override { return to; }
  void publish(void* /*to*/) override {}
  void fill(void* to, std::uint8_t byte, std::size_t bytes) override { cpu_->fill(to, byte, bytes); }
  void copy(void* to, const void* from, std::size_t bytes) override { cpu_->copy(to, from, bytes); }
  void add(float* /*sum*/, const float* /*addend*/, std::int64_t /*count*/) override {}
  void add_scalar(double* /*sum*/, const float* /*addend*/) override {}
  void sum_of_squares(double* /*sum*/, const float* /*x*/, std::int64_t /*count*/) override {}
  void count_correct(double* /*count*/, const float* /*logits*/, const std::int64_t* /*labels*/, std::int64_t /*rows*/,
                     std::int64_t /*classes*/) override {}
  void clip(StepState* /*state*/, const double* /*squares*/, std::int64_t /*count*/, double /*limit*/) override {}
  void update(const UpdateRange& /*range*/, const OptimizerConfig& /*optimizer*/, const StepState* /*state*/) override {
  }
  void begin_step(Clock::time_point /*start*/, std::size_t /*num_marks*/) override {}
  void mark(std::size_t /*index*/) override {}
  void end_step(const void* /*results*/, std::size_t /*bytes*/) override {}
  bool is_step_done() override { return true; }
  const void* finish_step() override { return nullptr; }
  std::span<const double> marks() override { return {}; }
  void synchronize() override {}
  std::unique_ptr<Recording> record(const std::function<void()>& /*work*/) override { return nullptr; }
  std::unique_ptr<Communicator> make_world(Communicator& /*host*/, const CommOptions& /*options*/) override {
    return nullptr;
  }

 private:
  std::unique_ptr<Device> cpu_ = make_cpu_device();
};

}  // namespace dml::test
