// The fourth part of the Compiler: a product whose result is gathered at once, as in tensor mode `gather`. On devices
// whose communication proceeds by itself both go in parts of the rows: each part is gathered while the next is computed
// (Wang et al. 2023, "Overlap Communication with Dependent Computation via Decomposition in Large Deep Learning
// Models").
#include <algorithm>
#include <memory>

#include "models/op.h"
#include "runtime/program/compiler.h"

namespace dml {
namespace {

/// Rows of a matrix product; a row of y needs that row of a alone.
bool is_by_rows(const Node& product, const TensorView& b) {
  return product.op->name == "MatMul" && product.attrs.integer("trans_a") == 0 && b.shape.rank() == 2;
}

bool overlap(const TensorView& a, const TensorView& b) {
  const auto* const a_begin = a.as<const std::byte>();
  const auto* const b_begin = b.as<const std::byte>();
  return a_begin < b_begin + b.num_bytes() && b_begin < a_begin + a.num_bytes();
}

/// Rows [begin, end) of all leading dims of `view` as one.
TensorView rows_of(const TensorView& view, std::int64_t begin, std::int64_t end) {
  const std::int64_t width = view.shape.back();
  const auto bytes = static_cast<std::int64_t>(size_of(view.dtype));
  return {view.as<std::byte>() + begin * width * bytes, view.dtype, Shape{end - begin, width}};
}

}  // namespace

/// In how many parts the product of this slot and the all-gather of the next one go; 1: apart.
int Compiler::parts_of_gathered_product(std::size_t at) {
  const std::span<const Slot> slots = sequence_.slots();
  if (at + 1 >= slots.size()) return 1;
  const Slot& launch = slots[at];
  const Slot& post = slots[at + 1];
  if (launch.kind != SlotKind::launch || launch.part != SlotPart::main || post.kind != SlotKind::post) return 1;
  const Task& product = task(launch.task);
  const Task& gather = task(post.task);
  const bool are_nodes = product.node != kNone && gather.node != kNone && gather.kind == TaskKind::all_gather;
  if (!are_nodes || product.id.microbatch != gather.id.microbatch) return 1;
  const int m = product.id.microbatch;
  const Node& node = graph(m).node(product.node);
  const Node& gathering = graph(m).node(gather.node);
  if (node.inputs.size() < 2 || !is_by_rows(node, view(node.inputs[1], m))) return 1;
  const bool is_its_result = sequence_.root(gathering.inputs[0]) == sequence_.root(node.outputs[0]);
  if (!is_its_result || sequence_.writes_gradient(node.outputs[0])) return 1;
  // The plan gives the whole result a place from the all-gather on; here it is written while the product still reads.
  const TensorView whole = view(gathering.outputs[0], m);
  const auto is_written = [&](ValueId input) { return input != kNone && overlap(whole, view(input, m)); };
  if (std::any_of(node.inputs.begin(), node.inputs.end(), is_written)) return 1;
  return group_of(gather)->gather_parts(static_cast<std::int64_t>(whole.num_bytes()));
}

/// The product in parts of whole rows that hold the elements of Communicator::all_gather_parts.
std::vector<Kernel> Compiler::bind_product_parts(const Task& t, std::int64_t count, int parts) {
  const int m = t.id.microbatch;
  const Node& node = graph(m).node(t.node);
  std::vector<TensorView> inputs;
  for (const ValueId input : node.inputs) inputs.push_back(view(input, m));
  const TensorView a = inputs[0];
  const TensorView y = view(node.outputs[0], m);
  const std::int64_t width = y.shape.back();
  std::vector<Kernel> kernels;
  std::int64_t begin = 0;
  for (int part = 0; part < parts; ++part) {
    const std::int64_t end = width == 0 ? 0 : (part_begin(count, parts, part + 1) + width - 1) / width;
    inputs[0] = rows_of(a, begin, end);
    const TensorView output = rows_of(y, begin, end);
    kernels.push_back(
        in_.device.bind(graph(m), node, inputs, std::span(&output, 1), in_.contexts[static_cast<std::size_t>(m)]));
    begin = end;
  }
  return kernels;
}

void Compiler::bind_gathered_product(std::size_t at, int parts) {
  const std::int32_t launched = sequence_.slots()[at].task;
  const std::int32_t posted = sequence_.slots()[at + 1].task;
  const Task& gather = task(posted);
  const Node& node = graph(gather.id.microbatch).node(gather.node);
  const TensorView out = view(node.outputs[0], gather.id.microbatch);
  const TensorView in = view(node.inputs[0], gather.id.microbatch);
  const auto given = node.attrs.integers("counts");
  const std::vector<std::int64_t> counts(given.begin(), given.end());
  Communicator* const group = group_of(gather);
  const auto ticket = std::make_shared<Ticket>(0);
  const auto kernels = bind_product_parts(task(launched), in.num_elements(), parts);
  const auto run = [group, ticket, kernels, out, in, counts, parts] {
    *ticket = group->all_gather_parts(out, in, counts, parts,
                                      [&kernels](int part) { kernels[static_cast<std::size_t>(part)](); });
  };
  program_.instructions_.push_back({SlotKind::launch, launched, run, {}, group});
  program_.instructions_.push_back({SlotKind::post, posted, {}, [ticket] { return *ticket; }, group, true});
}

}  // namespace dml
