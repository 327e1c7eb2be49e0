#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>

#include "runtime/model/gather.h"

namespace dml {
namespace {

constexpr std::int64_t kBytes = 256;
constexpr double kTemperature = 0.7;

/// A draw from the softmax of `logits`.
int draw(const float* logits, std::mt19937_64& generator) {
  const float most = *std::max_element(logits, logits + kBytes);
  std::vector<double> until(kBytes);
  double sum = 0;
  for (std::size_t i = 0; i < kBytes; ++i) {
    sum += std::exp(static_cast<double>(logits[i] - most) / kTemperature);
    until[i] = sum;
  }
  const double at = static_cast<double>(generator() >> 11) * 0x1p-53 * sum;
  return static_cast<int>(
      std::min<std::ptrdiff_t>(std::upper_bound(until.begin(), until.end(), at) - until.begin(), kBytes - 1));
}

/// The optimizer that needs no state: nothing is trained here.
OptimizerConfig plain_sgd() {
  OptimizerConfig config;
  config.kind = OptimizerKind::sgd;
  return config;
}

/// The model on one rank, one sequence at a time; on the CPU wherever it was trained.
class Writer {
 public:
  Writer(const ModelSource& model, const std::map<std::string, std::vector<float>>& weights)
      : world_(std::move(make_thread_world(1, {}).front())),
        partition_(make_partition([&](std::int64_t samples) { return model.graph(samples, true); }, Mesh(1, 1, 1), 0,
                                  options())),
        device_(make_cpu_device()),
        state_(partition_, plain_sgd(), *world_, *device_) {
    for (const Segment& segment : partition_.layout.segments) {
      const auto& trained = weights.at(segment.spec.name);
      std::copy(trained.begin(), trained.end(), state_.flat(FlatBuffer::parameters) + segment.begin);
    }
  }

  /// Logits of the byte behind each position of `text`, which is padded to the model's length.
  const float* logits(const std::vector<std::int64_t>& text) {
    const Graph& graph = partition_.split().graph;
    const TensorView tokens = state_.program().view(graph.inputs[0], 0);
    std::fill_n(tokens.as<std::int64_t>(), tokens.num_elements(), 0);
    std::copy(text.begin(), text.end(), tokens.as<std::int64_t>());
    const TensorView labels = state_.program().view(graph.label, 0);
    std::fill_n(labels.as<std::int64_t>(), labels.num_elements(), 0);
    state_.begin_step();
    state_.run_step();
    state_.finish_step();
    return state_.program().view(graph.output, 0).f32();
  }

  std::int64_t length() const { return partition_.split().graph.shape(partition_.split().graph.inputs[0])[1]; }

 private:
  static PartitionOptions options() {
    PartitionOptions options;
    options.needs_output = true;
    options.forward_only = true;
    return options;
  }

  std::unique_ptr<Communicator> world_;
  Partition partition_;
  std::unique_ptr<Device> device_;
  RankState state_;
};

}  // namespace

bool writes_text(const ModelSource& model, const Dataset& data) {
  if (data.tokens_per_sample() == 0 || data.inputs().size() != 1 || model.file().inputs().size() != 1) return false;
  const Graph graph = model.forward_graph(1);
  const Shape& logits = graph.shape(graph.output);
  return graph.value(graph.inputs[0]).dtype == DataType::i64 && logits.rank() == 3 && logits[2] == kBytes &&
         data.description().find("text") != std::string::npos;
}

std::string write_text(const ModelSource& model, RankState& trained, const std::string& prompt, int num_bytes,
                       std::uint64_t seed) {
  std::map<std::string, std::vector<float>> weights;
  gather_tensors(trained, FlatBuffer::parameters,
                 [&](const GatheredTensor& tensor) { weights[tensor.name] = tensor.elements; });
  if (trained.partition().rank != 0) return {};
  Writer writer(model, weights);
  std::mt19937_64 generator(seed);
  std::string text = prompt;
  for (int i = 0; i < num_bytes; ++i) {
    const std::size_t seen = std::min(text.size(), static_cast<std::size_t>(writer.length()));
    std::vector<std::int64_t> window;
    for (std::size_t at = text.size() - seen; at < text.size(); ++at)
      window.push_back(static_cast<unsigned char>(text[at]));
    const float* logits = writer.logits(window);
    text += static_cast<char>(draw(logits + static_cast<std::ptrdiff_t>(seen - 1) * kBytes, generator));
  }
  return text;
}

}  // namespace dml
