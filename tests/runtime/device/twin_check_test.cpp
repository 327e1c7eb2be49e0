// That a device with one wrong kernel is told from one that computes as the reference does.
#include "runtime/device/twin_check.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "models/op.h"
#include "runtime/model/layout_plan.h"

namespace dml {
namespace {

Graph training_graph(const std::string& name) {
  ModelConfig config;
  config.source = name;
  ModelSource model(config, 1);
  model.set_label(likely_label(model, config.loss));
  return model.graph(4, true);
}

/// The CPU, with the results of one operation a little too large.
class OffDevice final : public Device {
 public:
  explicit OffDevice(std::string operation) : operation_(std::move(operation)) {}

  Kernel bind(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
              std::span<const TensorView> outputs, const KernelContext& context) override {
    Kernel right = cpu_->bind(graph, node, inputs, outputs, context);
    if (node.op->name != operation_) return right;
    return [right, out = outputs[0]] {
      right();
      std::for_each(out.f32(), out.f32() + out.num_elements(), [](float& x) { x *= 1.01F; });
    };
  }

  const char* name() const override { return "off"; }
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
  std::string operation_;
  std::unique_ptr<Device> cpu_ = make_cpu_device();
};

constexpr const char* kGpt = "gpt:layers=1,width=16,heads=2,seq=8,vocab=32,dropout=0.1";

TEST(TwinCheck, EqualDevicesDoNotDiffer) {
  for (const char* model : {kGpt, "mlp:in=8,hidden=16,out=10", "resnet18:width=4,size=16"}) {
    const Graph graph = training_graph(model);
    const auto differences = compare_operations(*make_cpu_device(), *make_cpu_device(), graph);
    int nodes = 0;
    for (const OperationDifference& of : differences) {
      EXPECT_EQ(of.worst, 0) << model << " " << of.operation << " at " << of.where;
      nodes += of.nodes;
    }
    EXPECT_EQ(nodes, graph.num_nodes()) << model;
  }
}

TEST(TwinCheck, NamesTheOperationThatIsOff) {
  OffDevice device("Gelu");
  const Graph graph = training_graph(kGpt);
  int found = 0;
  for (const OperationDifference& of : compare_operations(device, *make_cpu_device(), graph)) {
    if (of.operation != "Gelu") {
      EXPECT_EQ(of.worst, 0) << of.operation;
      continue;
    }
    ++found;
    EXPECT_NEAR(of.worst, 0.01, 1e-5);
    EXPECT_FALSE(of.where.empty());
  }
  EXPECT_EQ(found, 1);
}

}  // namespace
}  // namespace dml
