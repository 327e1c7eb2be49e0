// That a device with one wrong kernel is told from one that computes as the reference does.
#include "runtime/device/twin_check.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "models/op.h"
#include "runtime/model/layout_plan.h"
#include "tests/runtime/device/host_device.h"

namespace dml::test {
namespace {

Graph training_graph(const std::string& name) {
  ModelConfig config;
  config.source = name;
  ModelSource model(config, 1);
  model.set_label(likely_label(model, config.loss));
  return model.graph(4, true);
}

/// The CPU, with the results of one operation a little too large.
class OffDevice final : public HostDevice {
 public:
  explicit OffDevice(std::string operation) : operation_(std::move(operation)) {}

  Kernel bind(const Graph& graph, const Node& node, std::span<const TensorView> inputs,
              std::span<const TensorView> outputs, const KernelContext& context) override {
    Kernel right = HostDevice::bind(graph, node, inputs, outputs, context);
    if (node.op->name != operation_) return right;
    return [right, out = outputs[0]] {
      right();
      std::for_each(out.f32(), out.f32() + out.num_elements(), [](float& x) { x *= 1.01F; });
    };
  }

 private:
  std::string operation_;
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
}  // namespace dml::test
