#include "runtime/model/gather.h"

#include <algorithm>

#include "kernels/error.h"

namespace dml {
namespace {

/// Beyond the channels of the pipeline's boundaries.
constexpr int kGatherChannel = 1 << 16;

/// Moves one rank's floats to rank 0, where `place` puts them; a call on every rank.
void collect(RankState& state, int owner, const float* mine, std::int64_t count,
             const std::function<void(const float*)>& place) {
  Communicator& world = *state.groups().world;
  if (count == 0) return;
  if (world.rank() == owner) {
    std::vector<float> room;
    const float* own = state.device().read(mine, count, room);
    if (owner == 0) {
      place(own);
    } else {
      world.wait(world.send({const_cast<float*>(own), DataType::f32, Shape{count}}, 0, kGatherChannel));
    }
  } else if (world.rank() == 0) {
    std::vector<float> buffer(static_cast<std::size_t>(count));
    world.wait(world.receive({buffer.data(), DataType::f32, Shape{count}}, owner, kGatherChannel));
    place(buffer.data());
  }
}

/// Assembles a divided tensor that pipeline position `position` holds in replica 0.
void collect_shards(RankState& state, const ShardSpec& spec, int position, const float* mine, const TensorSink& sink) {
  const Mesh& mesh = state.partition().mesh;
  GatheredTensor tensor{spec.name, spec.global_shape, {}};
  if (state.partition().rank == 0) tensor.elements.resize(static_cast<std::size_t>(spec.global_shape.num_elements()));
  const int parts = spec.sharding.is_shard() ? mesh.t() : 1;
  for (int t = 0; t < parts; ++t) {
    const TensorPlace place{t, mesh.t()};
    collect(state, mesh.rank({0, position, t}), mine, spec.local(place).num_elements(), [&](const float* part) {
      for (const ShardRun& run : shard_runs(spec.global_shape, spec.sharding, place)) {
        std::copy_n(part + run.local_begin, run.count, tensor.elements.data() + run.global_begin);
      }
    });
  }
  if (state.partition().rank == 0) sink(tensor);
}

}  // namespace

void gather_tensors(RankState& state, FlatBuffer buffer, const TensorSink& sink) {
  const Partition& partition = state.partition();
  const float* flat = state.flat(buffer);
  for (const auto& [parameter, gradient] : partition.split().graph.gradient_of) {
    const int segment = partition.layout.find(parameter);
    const float* mine =
        segment < 0 ? nullptr : flat + partition.layout.segments[static_cast<std::size_t>(segment)].begin;
    const ShardSpec& spec = partition.split().shards[static_cast<std::size_t>(parameter)];
    collect_shards(state, spec, partition.positions_of(parameter).front(), mine, sink);
  }
}

void gather_states(RankState& state, const TensorSink& sink) {
  const Partition& partition = state.partition();
  for (const auto& [id, next] : partition.split().graph.next_state) {
    const auto mine = state.program().states().find(id);
    const float* elements = mine == state.program().states().end() ? nullptr : mine->second.f32();
    const ShardSpec& spec = partition.split().shards[static_cast<std::size_t>(id)];
    collect_shards(state, spec, partition.positions_of(id).front(), elements, sink);
  }
}

void gather_output(RankState& state, const TensorSink& sink) {
  const Partition& partition = state.partition();
  const Graph& graph = partition.split().graph;
  const NodeId producer = graph.value(graph.output).producer;
  const int position = partition.placement.position(partition.stages[static_cast<std::size_t>(producer)]);
  GatheredTensor tensor{graph.value(graph.output).name, graph.shape(graph.output), {}};
  std::int64_t samples = 0;
  for (int d = 0; d < partition.mesh.d(); ++d) {
    const int owner = partition.mesh.rank({d, position, 0});
    const auto num_microbatches = static_cast<int>(partition.sizes.size());
    for (int m = 0; m < num_microbatches; ++m) {
      const TensorView mine = partition.rank == owner ? state.program().view(graph.output, m) : TensorView{};
      std::int64_t count = mine ? mine.num_elements() : 0;
      Communicator& world = *state.groups().world;
      world.wait(world.all_reduce({&count, DataType::i64, Shape{1}}));
      collect(state, owner, mine.f32(), count,
              [&](const float* part) { tensor.elements.insert(tensor.elements.end(), part, part + count); });
      samples += count;
    }
  }
  if (tensor.shape.rank() > 0) {
    tensor.shape[0] = 1;
    tensor.shape[0] = samples / std::max<std::int64_t>(1, tensor.shape.num_elements());
  }
  if (partition.rank == 0) sink(tensor);
}

}  // namespace dml
