// Sums and means over microbatches and replicas, with wrong weights or without an addend.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <set>

#include "models/op.h"
#include "tests/faults/sites.h"

namespace dml {
namespace {

/// What a kernel reads of the step, with the microbatch's share multiplied.
struct Weighted {
  StepState state;
  KernelContext context;
  const StepState* original = nullptr;
  double factor = 1;

  void refresh() {
    state = *original;
    state.loss_scale *= static_cast<float>(factor);
  }
};

void weight(const FaultScene& scene, Instruction& instruction, double factor) {
  const Task& task = scene.task(instruction);
  const int m = task.id.microbatch;
  const Node& node = scene.node(task);
  const KernelContext& context = scene.inputs.contexts[static_cast<std::size_t>(m)];
  const auto weighted = std::make_shared<Weighted>();
  weighted->original = context.state;
  weighted->factor = factor;
  weighted->context = {&weighted->state, context.first_sample};
  std::vector<TensorView> inputs, outputs;
  for (const ValueId input : node.inputs) inputs.push_back(scene.place_of(input, m));
  for (const ValueId output : node.outputs) outputs.push_back(scene.place_of(output, m));
  const Kernel kernel = scene.inputs.device.bind(scene.graph(m), node, inputs, outputs, weighted->context);
  instruction.run = [weighted, kernel] {
    weighted->refresh();
    kernel();
  };
}

bool weighs(const Node& node) {
  const std::string_view op = node.op->name;
  if (op == "CrossEntropyStats") return false;  // what is gathered before it is weighed
  return op.starts_with("CrossEntropy") || op.starts_with("MeanSquaredError") || op.starts_with("WeightedLoss");
}

std::int64_t samples_of(const FaultScene& scene, std::size_t microbatch) {
  const Graph& graph = scene.graph(static_cast<int>(microbatch));
  return graph.shape(graph.inputs[0])[0];
}

struct Factor {
  const char* what;
  double value;
};

/// Means over this replica, over a microbatch, or over microbatches of unequal size, in place of the global batch.
std::vector<Factor> factors(const FaultScene& scene, int microbatch) {
  const std::size_t count = scene.inputs.graphs.size();
  const double replicas = scene.inputs.groups.data ? scene.inputs.groups.data->size() : 1;
  std::int64_t samples = 0;
  for (std::size_t m = 0; m < count; ++m) samples += samples_of(scene, m);
  const auto own = static_cast<double>(samples_of(scene, static_cast<std::size_t>(microbatch)));
  const auto all = static_cast<double>(samples);
  std::vector<Factor> result{
      {"replica", replicas}, {"microbatch", all / own}, {"uneven", all / own / static_cast<double>(count)}};
  std::erase_if(result, [](const Factor& factor) { return factor.value == 1; });
  return result;
}

/// The segments to whose gradients a node adds.
std::vector<const Segment*> segments_of(const FaultScene& scene, const Node& node) {
  std::vector<const Segment*> found;
  for (const ValueId output : node.outputs) {
    const ValueId parameter = scene.inputs.map.addend_of(output);
    if (parameter == kNone) continue;
    found.push_back(&scene.inputs.layout.segments[static_cast<std::size_t>(scene.inputs.layout.find(parameter))]);
  }
  return found;
}

void forget_before(const FaultScene& scene, Instruction& instruction, const Segment& segment) {
  float* gradient = scene.inputs.buffers.gradients + segment.begin;
  instruction.run = [gradient, count = segment.count, run = instruction.run] {
    std::fill_n(gradient, count, 0.0F);
    run();
  };
}

}  // namespace

std::vector<Site> wrong_means(const FaultScene& scene) {
  std::vector<Site> sites;
  const int replica = scene.inputs.tasks.tasks.front().id.replica;
  for (Instruction* launch : scene.kernels()) {
    const Task& task = scene.task(*launch);
    if (!weighs(scene.node(task))) continue;
    for (const Factor& factor : factors(scene, task.id.microbatch)) {
      sites.push_back(
          {fmt::format("mean/{}/d{}.m{}/{}", factor.what, replica, task.id.microbatch, scene.node(task).name),
           [scene, launch, value = factor.value] { weight(scene, *launch, value); }});
    }
  }
  return sites;
}

std::vector<Site> lost_addends(const FaultScene& scene) {
  std::vector<Site> sites;
  std::set<const Segment*> begun;
  for (Instruction* launch : scene.first_launches()) {
    const Task& task = scene.task(*launch);
    for (const Segment* segment : segments_of(scene, scene.node(task))) {
      if (begun.insert(segment).second || scene.may_be_unread(*segment)) continue;
      sites.push_back({fmt::format("lost/addend/{}/m{}.n{}.{}", scene.coordinate(), task.id.microbatch, task.node,
                                   segment->spec.name),
                       [scene, launch, segment] { forget_before(scene, *launch, *segment); }});
    }
  }
  return sites;
}

}  // namespace dml
