#include "runtime/model/dump.h"

#include "runtime/data/safetensors.h"

namespace dml {

void Dump::keep(const std::string& prefix, const GatheredTensor& tensor) {
  tensors_.push_back(tensor);
  tensors_.back().name = prefix + tensor.name;
}

void Dump::first_step(RankState& state) {
  gather_output(state, [&](const GatheredTensor& t) { tensors_.push_back({"step0.logits", t.shape, t.elements}); });
  gather_tensors(state, FlatBuffer::gradients, [&](const GatheredTensor& t) { keep("step0.grad.", t); });
  gather_states(state, [&](const GatheredTensor& t) { keep("step0.state.", t); });
  if (state.partition().rank == 0) {
    tensors_.push_back({"step0.loss", {}, {static_cast<float>(state.totals().loss)}});
  }
}

void Dump::finish(RankState& state, const std::string& optimizer, const std::vector<double>& losses) {
  const std::string prefix = "final." + optimizer + ".";
  gather_tensors(state, FlatBuffer::parameters, [&](const GatheredTensor& t) { keep(prefix, t); });
  gather_states(state, [&](const GatheredTensor& t) { keep(prefix, t); });
  if (state.partition().rank != 0) return;
  tensors_.push_back(
      {"losses." + optimizer, Shape{static_cast<std::int64_t>(losses.size())}, {losses.begin(), losses.end()}});
  SafetensorsWriter writer(path_);
  for (const GatheredTensor& tensor : tensors_) writer.declare(tensor.name, DataType::f32, tensor.shape);
  for (const GatheredTensor& tensor : tensors_) writer.write(tensor.name, tensor.elements.data());
  writer.close();
}

}  // namespace dml
