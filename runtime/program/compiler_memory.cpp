// The second part of the Compiler: memory for what is planned, and what lies in it from the start.
#include <algorithm>

#include "kernels/error.h"
#include "models/index.h"
#include "models/op.h"
#include "runtime/program/compiler.h"

namespace dml {
namespace {

void read_constant(const Value& value, void* to) {
  if (value.dtype == DataType::f32) {
    value.source->read_all_f32(static_cast<float*>(to));
    return;
  }
  std::vector<std::int64_t> elements(static_cast<std::size_t>(value.shape.num_elements()));
  value.source->read_i64(elements.data());
  if (value.dtype == DataType::i64) {
    std::copy(elements.begin(), elements.end(), static_cast<std::int64_t*>(to));
    return;
  }
  DML_ASSERT(size_of(value.dtype) == 1, value.name);
  std::transform(elements.begin(), elements.end(), static_cast<std::uint8_t*>(to),
                 [](std::int64_t element) { return static_cast<std::uint8_t>(element); });
}

bool is_fed(const Value& value) { return value.role == Role::input || value.role == Role::label; }

}  // namespace

void Compiler::allocate() {
  program_.arena_ = Arena(in_.device, memory_.arena_bytes());
  program_.fixed_ = Arena(in_.device, memory_.fixed_bytes());
  const auto has_place = [&](ValueId id, int m) { return memory_.place(id, m).kind != BufferPlace::Kind::nowhere; };
  const Graph& g = graph(0);
  for (ValueId id = 0; id < g.num_values(); ++id) {
    const bool keeps = is_fed(g.value(id)) || id == g.loss || (in_.keeps_output && id == g.output);
    for (int m = 0; keeps && m < static_cast<int>(in_.graphs.size()); ++m) {
      if (has_place(id, m)) program_.kept_[{id, m}] = view(id, m);
    }
    if (g.value(id).role == Role::state && has_place(id, 0)) program_.states_[id] = view(id, 0);
  }
}

TensorView Compiler::view(ValueId value, int microbatch) {
  if (value == kNone) return {};
  const Value& v = graph(microbatch).value(value);
  const BufferPlace& at = memory_.place(value, microbatch);
  TensorView result{nullptr, v.dtype, v.shape};
  switch (at.kind) {
    case BufferPlace::Kind::nowhere: throw InternalError("value '" + v.name + "' has no place on this rank");
    case BufferPlace::Kind::arena: result.data = program_.arena_.data() + at.offset; break;
    case BufferPlace::Kind::fixed: result.data = program_.fixed_.data() + at.offset; break;
    case BufferPlace::Kind::parameter: result.data = in_.buffers.parameters + at.offset; break;
    case BufferPlace::Kind::gradient: result.data = in_.buffers.gradients + at.offset; break;
  }
  return result;
}

void Compiler::load_constants() {
  for (int m = 0; m < static_cast<int>(in_.graphs.size()); ++m) {
    const bool seen =
        std::find(in_.graphs.begin(), in_.graphs.begin() + m, in_.graphs[index(m)]) != in_.graphs.begin() + m;
    for (ValueId id = 0; id < graph(m).num_values(); ++id) {
      const Value& value = graph(m).value(id);
      if (value.source == nullptr || memory_.place(id, m).kind != BufferPlace::Kind::fixed || is_fed(value)) continue;
      if (seen || (value.role == Role::state && m > 0)) continue;
      const TensorView to = view(id, m);
      in_.device.write(to.data, to.num_bytes(), [&](void* host) {
        if (value.role == Role::state) {
          read_shard(static_cast<float*>(host), *value.source, in_.graphs[index(m)]->shards[index(id)], in_.place);
        } else {
          read_constant(value, host);
        }
      });
    }
  }
}

}  // namespace dml
