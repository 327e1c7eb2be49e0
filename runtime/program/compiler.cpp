#include "runtime/program/compiler.h"

#include "kernels/error.h"

namespace dml {

Program::Program(const ProgramInputs& inputs) { Compiler(inputs, *this).compile(); }

TensorView Program::view(ValueId value, int microbatch) const {
  const auto found = kept_.find({value, microbatch});
  return found == kept_.end() ? TensorView{} : found->second;
}

Compiler::Compiler(const ProgramInputs& inputs, Program& program)
    : in_(inputs), program_(program), sequence_(inputs), memory_(inputs, sequence_) {}

void Compiler::compile() {
  allocate();
  load_constants();
  bind();
}

Communicator* Compiler::group_of(const Task& t) const {
  if (t.kind == TaskKind::send || t.kind == TaskKind::receive) {
    return in_.groups.channels.empty() ? in_.groups.devices : in_.groups.channels.at(t.channel).get();
  }
  if (t.axis == Axis::world) return in_.groups.devices;
  if (t.axis == Axis::tensor) return in_.groups.tensor.get();
  if (t.axis == Axis::data) return in_.groups.data.get();
  for (const Bucket& bucket : in_.layout.buckets) {
    if (bucket.begin == in_.tasks.work_of(t).begin) return in_.groups.tied.at(bucket.tied_stages).get();
  }
  throw InternalError("no group for " + t.id.to_string());
}

}  // namespace dml
