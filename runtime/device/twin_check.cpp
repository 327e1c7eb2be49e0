#include "runtime/device/twin_check.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/error.h"
#include "kernels/philox.h"
#include "models/index.h"
#include "models/op.h"
#include "parallel/memory/memory_plan.h"
#include "runtime/program/arena.h"

namespace dml {
namespace {

/// Integers are below this: fewer than the classes and rows of any model that is compared.
constexpr std::uint32_t kIntegers = 5;

/// Sums may cancel, as the gradient of a bias before a softmax does: then what is left is rounding of their terms.
constexpr double kOfOperands = 0.1;

/// Memory for every value of a graph on a device, and for what changes from step to step.
class GraphMemory {
 public:
  GraphMemory(Device& device, const Graph& graph) : device_(device), graph_(graph) {
    std::int64_t end = aligned_bytes(sizeof(StepState));
    for (const Value& value : graph.values()) {
      offsets_.push_back(end);
      end += aligned_bytes(value.num_bytes());
    }
    arena_ = Arena(device, end);
    StepState state;
    state.step = 1;
    state.seed = 7;
    state.loss_scale = 0.125F;
    device.upload(arena_.data(), &state, sizeof state);
    context_ = {reinterpret_cast<const StepState*>(arena_.data()), 0};
  }

  TensorView view(ValueId id) const {
    if (id == kNone) return {};
    return {arena_.data() + offsets_[index(id)], graph_.value(id).dtype, graph_.shape(id)};
  }

  void execute(const Node& node) {
    device_.bind(graph_, node, views(node.inputs), views(node.outputs), context_)();
    device_.synchronize();
  }

 private:
  std::vector<TensorView> views(const std::vector<ValueId>& ids) const {
    std::vector<TensorView> all;
    for (const ValueId id : ids) all.push_back(view(id));
    return all;
  }

  Device& device_;
  const Graph& graph_;
  std::vector<std::int64_t> offsets_;
  Arena arena_;
  KernelContext context_;
};

/// Uniform in [-1, 1), or a small whole number.
void draw(const TensorView& view, ValueId id) {
  for (std::int64_t i = 0; i < view.num_elements(); ++i) {
    const std::uint32_t word = philox4x32({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(id), 0, 0}, {})[0];
    switch (view.dtype) {
      case DataType::f32: view.f32()[i] = static_cast<float>(word) * 0x1p-31F - 1; break;
      case DataType::i64: view.as<std::int64_t>()[i] = word % kIntegers; break;
      case DataType::i32: view.as<std::int32_t>()[i] = static_cast<std::int32_t>(word % kIntegers); break;
      default: throw ModelError("inputs of type " + std::string(name_of(view.dtype)) + " cannot be drawn");
    }
  }
}

/// What no node computes.
void fill_source(const TensorView& view, const Value& value, ValueId id) {
  if (value.source == nullptr) return draw(view, id);
  if (value.dtype == DataType::f32) return value.source->read_all_f32(view.f32());
  std::vector<std::int64_t> elements(static_cast<std::size_t>(view.num_elements()));
  value.source->read_i64(elements.data());
  for (std::size_t i = 0; i < elements.size(); ++i) {
    switch (size_of(view.dtype)) {
      case 8: view.as<std::int64_t>()[i] = elements[i]; break;
      case 4: view.as<std::int32_t>()[i] = static_cast<std::int32_t>(elements[i]); break;
      default: view.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(elements[i]);
    }
  }
}

double largest_of(const TensorView& view) {
  double largest = 0;
  if (!view || view.dtype != DataType::f32) return largest;
  for (std::int64_t i = 0; i < view.num_elements(); ++i) {
    if (std::isfinite(view.f32()[i])) largest = std::max(largest, std::abs(static_cast<double>(view.f32()[i])));
  }
  return largest;
}

/// Of elements, by `scale`.
double difference(const TensorView& found, const TensorView& wanted, double scale) {
  constexpr double kDifferent = std::numeric_limits<double>::infinity();
  if (found.dtype != DataType::f32) {
    return std::memcmp(found.data, wanted.data, wanted.num_bytes()) == 0 ? 0 : kDifferent;
  }
  double off = 0;
  for (std::int64_t i = 0; i < wanted.num_elements(); ++i) {
    const double a = found.f32()[i], b = wanted.f32()[i];
    if (a == b) continue;
    if (!std::isfinite(a) || !std::isfinite(b)) return kDifferent;
    off = std::max(off, std::abs(a - b));
  }
  return off == 0 ? 0 : off / scale;
}

OperationDifference& entry_of(std::vector<OperationDifference>& differences, std::string_view operation) {
  const auto found = std::find_if(differences.begin(), differences.end(),
                                  [&](const OperationDifference& of) { return of.operation == operation; });
  if (found != differences.end()) return *found;
  OperationDifference& entry = differences.emplace_back();
  entry.operation = operation;
  return entry;
}

void add(std::vector<OperationDifference>& differences, std::string_view operation, int nodes, double worst,
         const std::string& where) {
  OperationDifference& entry = entry_of(differences, operation);
  entry.nodes += nodes;
  if (worst <= entry.worst) return;
  entry.worst = worst;
  entry.where = where;
}

}  // namespace

std::vector<OperationDifference> compare_operations(Device& device, Device& reference, const Graph& graph) {
  GraphMemory here(reference, graph), there(device, graph);
  for (ValueId id = 0; id < graph.num_values(); ++id) {
    if (graph.value(id).role != Role::activation) fill_source(here.view(id), graph.value(id), id);
  }
  std::vector<OperationDifference> differences;
  std::vector<std::byte> room;
  for (const Node& node : graph.nodes()) {
    here.execute(node);
    for (const ValueId id : node.inputs) {
      if (id != kNone) device.upload(there.view(id).data, here.view(id).data, here.view(id).num_bytes());
    }
    there.execute(node);
    double operands = 0;
    for (const ValueId id : node.inputs) operands = std::max(operands, largest_of(here.view(id)));
    for (const ValueId id : node.outputs) {
      TensorView found = here.view(id);
      room.resize(found.num_bytes());
      device.download(room.data(), there.view(id).data, room.size());
      found.data = room.data();
      const double scale = std::max(largest_of(here.view(id)), kOfOperands * operands);
      add(differences, node.op->name, id == node.outputs.front() ? 1 : 0, difference(found, here.view(id), scale),
          node.name);
    }
  }
  return differences;
}

std::vector<OperationDifference> compare_operations(Device& device, Device& reference, std::span<const Graph> graphs) {
  std::vector<OperationDifference> all;
  for (const Graph& graph : graphs) {
    for (const OperationDifference& one : compare_operations(device, reference, graph))
      add(all, one.operation, one.nodes, one.worst, one.where);
  }
  return all;
}

}  // namespace dml
