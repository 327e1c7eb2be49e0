// Shards of weights, and parts that nodes take, one unit off.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "models/op.h"
#include "parallel/tensor/sharding.h"
#include "tests/faults/sites.h"

namespace dml {
namespace {

/// The tensor with the units of its divided dim moved down by one, the first behind the last.
std::vector<float> rotated(const TensorSource& source, const Sharding& sharding) {
  const Shape& shape = source.shape();
  std::vector<float> whole(static_cast<std::size_t>(shape.num_elements()));
  source.read_all_f32(whole.data());
  std::vector<float> result(whole.size());
  const std::int64_t unit = sharding.inner * shape.product(sharding.dim + 1, shape.rank());
  const std::int64_t block = unit * sharding.units;
  for (std::int64_t begin = 0; begin < shape.num_elements(); begin += block) {
    const auto from = whole.begin() + begin;
    std::rotate_copy(from, from + unit, from + block, result.begin() + begin);
  }
  return result;
}

/// This rank's part of the rotated tensor.
std::vector<float> shifted_shard(const FaultScene& scene, const Segment& segment) {
  const Value& value = scene.graph(0).value(segment.value);
  std::vector<float> shard(static_cast<std::size_t>(segment.count));
  const auto source = make_source(value.source->shape(), rotated(*value.source, segment.spec.sharding));
  read_shard(shard.data(), *source, segment.spec, scene.inputs.place);
  return shard;
}

/// The node's attributes with its part one unit off; empty where it takes no part.
Attributes shifted(const Node& node) {
  Attributes attrs = node.attrs;
  if (attrs.has("offset")) return attrs.set("offset", attrs.integer("offset") + 1);
  if (node.op->name != "ShardSlice") return {};
  const std::int64_t step = attrs.integer("end") < attrs.integer("units") ? 1 : -1;
  return attrs.set("begin", attrs.integer("begin") + step).set("end", attrs.integer("end") + step);
}

void bind_again(const FaultScene& scene, Instruction& instruction, const Attributes& attrs) {
  const Task& task = scene.task(instruction);
  const int m = task.id.microbatch;
  Node node = scene.node(task);
  node.attrs = attrs;
  std::vector<TensorView> inputs, outputs;
  for (const ValueId input : node.inputs) inputs.push_back(scene.place_of(input, m));
  for (const ValueId output : node.outputs) outputs.push_back(scene.place_of(output, m));
  instruction.run = scene.inputs.device.bind(scene.graph(m), node, inputs, outputs,
                                             scene.inputs.contexts[static_cast<std::size_t>(m)]);
}

}  // namespace

std::vector<Site> shifted_shards(const FaultScene& scene) {
  std::vector<Site> sites;
  if (scene.inputs.place.size == 1) return sites;
  for (const Segment& segment : scene.inputs.layout.segments) {
    if (!segment.spec.sharding.is_shard() || scene.may_be_unread(segment)) continue;
    float* weights = scene.inputs.buffers.parameters + segment.begin;
    std::vector<float> shard = shifted_shard(scene, segment);
    if (std::equal(shard.begin(), shard.end(), weights)) continue;  // such as a bias of zeros
    sites.push_back({fmt::format("shift/weight/{}/{}", scene.coordinate(), segment.spec.name),
                     [shard = std::move(shard), weights] { std::copy(shard.begin(), shard.end(), weights); }});
  }
  // Rows behind rank 0's may be such that no token and no label names them.
  if (scene.inputs.place.index > 0) return sites;
  for (Instruction* launch : scene.kernels()) {
    const Task& task = scene.task(*launch);
    Attributes attrs = shifted(scene.node(task));
    if (attrs.all().empty()) continue;
    sites.push_back({fmt::format("shift/part/{}/m{}.n{}.{}", scene.coordinate(), task.id.microbatch, task.node,
                                 scene.node(task).name),
                     [scene, launch, attrs = std::move(attrs)] { bind_again(scene, *launch, attrs); }});
  }
  return sites;
}

}  // namespace dml
