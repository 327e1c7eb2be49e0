// Any layout trains as one rank does, and one rank as the definitions in double say.
#include <gtest/gtest.h>

#include "tests/runtime/training_world.h"

namespace dml::test {
namespace {

Training zoo_training(const std::string& source) {
  Training training;
  training.graph_of = [source](std::int64_t samples) { return zoo_graph(source, samples); };
  return training;
}

const Training& mlp() {
  static const Training training = zoo_training("mlp:in=7,hidden=10x9,out=5");
  return training;
}
const Training& gpt() {
  static const Training training = zoo_training("gpt:layers=2,width=12,heads=3,seq=5,vocab=11");
  return training;
}
const Training& tied_gpt() {
  static const Training training = zoo_training("gpt:layers=2,width=12,heads=3,seq=5,vocab=11,tied=1,dropout=0.2");
  return training;
}

/// 1e-5 of the largest: float32 sums in another order over three steps.
void expect_close(const std::vector<float>& found, const std::vector<float>& wanted, const std::string& what) {
  ASSERT_EQ(found.size(), wanted.size()) << what;
  float largest = 1e-2F;
  for (const float element : wanted) largest = std::max(largest, std::abs(element));
  for (std::size_t i = 0; i < wanted.size(); ++i) ASSERT_NEAR(found[i], wanted[i], 1e-5F * largest) << what << " " << i;
}

void expect_close(const Trained& found, const Trained& wanted) {
  for (std::size_t step = 0; step < wanted.losses.size(); ++step) {
    EXPECT_NEAR(found.losses[step], wanted.losses[step], 1e-5 * wanted.losses[step]) << "step " << step;
    EXPECT_NEAR(found.norms[step], wanted.norms[step], 2e-5 * wanted.norms[step]) << "step " << step;
  }
  ASSERT_EQ(found.weights.size(), wanted.weights.size());
  for (const auto& [name, weights] : wanted.weights) expect_close(found.weights.at(name), weights, name);
  for (const auto& [name, state] : wanted.states) expect_close(found.states.at(name), state, name);
}

std::string text_of(const TrainedLayout& l) {
  return "d=" + std::to_string(l.d) + " p=" + std::to_string(l.p) + " t=" + std::to_string(l.t) +
         " m=" + std::to_string(l.microbatches) + " " + l.schedule + " " + l.order +
         (l.mode == SplitMode::gather ? " gather" : " megatron");
}

void expect_same_as_one_rank(const Training& training, const std::vector<TrainedLayout>& layouts) {
  const Trained wanted = train_on_threads(training, {});
  for (const TrainedLayout& layout : layouts) {
    SCOPED_TRACE(text_of(layout));
    expect_close(train_on_threads(training, layout), wanted);
  }
}

const std::vector<TrainedLayout>& layouts() {
  static const std::vector<TrainedLayout> all{
      {1, 1, 1, 3},          {2, 1, 1, 1},
      {3, 1, 1, 2},          {1, 2, 1, 4},
      {1, 2, 1, 3, "gpipe"}, {1, 3, 1, 2},
      {1, 1, 2, 1},          {1, 1, 3, 2, "1f1b", SplitMode::gather},
      {2, 2, 2, 3},          {2, 2, 2, 2, "gpipe", SplitMode::gather, {}, "tpd"},
      {5, 1, 1, 1},
  };
  return all;
}

TEST(PartitionTraining, Mlp) { expect_same_as_one_rank(mlp(), layouts()); }
TEST(PartitionTraining, Gpt) { expect_same_as_one_rank(gpt(), layouts()); }
TEST(PartitionTraining, TiedGptWithDropout) { expect_same_as_one_rank(tied_gpt(), layouts()); }

TEST(PartitionTraining, AdamW) {
  Training training = mlp();
  training.optimizer = OptimizerConfig();
  training.optimizer.learning_rate = 3e-3;
  training.optimizer.epsilon = 1e-3;  // rounding of small gradients does not decide a direction
  expect_same_as_one_rank(training, {{2, 2, 1, 2}, {1, 2, 2, 2}});
}

// Batch statistics follow the microbatches: only layouts with one of them are alike.
TEST(PartitionTraining, Resnet) {
  Training training = zoo_training("resnet18:classes=5,width=4,size=16");
  training.batch = 6;
  training.optimizer = sgd(0.01);
  training.steps = 2;
  expect_same_as_one_rank(training, {{1, 1, 2}, {1, 1, 3, 1, "1f1b", SplitMode::gather}, {1, 3, 1}, {1, 2, 2}});
}

TEST(PartitionTraining, TheSameLayoutTwiceIsTheSameBits) {
  for (const TrainedLayout& layout :
       {TrainedLayout{1, 2, 1, 3}, TrainedLayout{2, 2, 2, 2}, TrainedLayout{3, 1, 1, 1}}) {
    SCOPED_TRACE(text_of(layout));
    const Trained once = train_on_threads(tied_gpt(), layout);
    const Trained again = train_on_threads(tied_gpt(), layout);
    EXPECT_EQ(once.losses, again.losses);
    EXPECT_EQ(once.weights, again.weights);
  }
}

TEST(PartitionTraining, SchedulesDifferInNoBit) {
  const Trained alternating = train_on_threads(gpt(), {2, 2, 1, 3, "1f1b"});
  const Trained gpipe = train_on_threads(gpt(), {2, 2, 1, 3, "gpipe"});
  EXPECT_EQ(alternating.losses, gpipe.losses);
  EXPECT_EQ(alternating.weights, gpipe.weights);
}

/// A parameter with elements of its own.
ValueId filled(SmallGraph& g, const std::string& name, const Shape& shape) {
  std::vector<float> elements(static_cast<std::size_t>(shape.num_elements()));
  std::mt19937 generator(static_cast<unsigned>(g.graph.num_values()));
  for (float& element : elements) element = std::uniform_real_distribution<float>(-0.6F, 0.6F)(generator);
  return g.parameter(name, shape, std::move(elements));
}

Training small_training(std::function<void(SmallGraph&, std::int64_t)> fill) {
  Training training;
  training.graph_of = [fill = std::move(fill)](std::int64_t samples) {
    SmallGraph g;
    fill(g, samples);
    return with_gradients(std::move(g.graph), "mse");
  };
  training.optimizer.learning_rate = 0.02;
  return training;
}

// A sum over the ranks whose addend travels on to the next stage: neither may overwrite the other.
TEST(PartitionTraining, AddendsThatCrossStages) {
  const Training training = small_training([](SmallGraph& g, std::int64_t samples) {
    const ValueId x = g.input("x", {samples, 8});
    const ValueId h = g.add("Relu", {g.add("MatMul", {x, filled(g, "w1", {8, 8})})});
    const ValueId y = g.graph.add("MatMul", {h, filled(g, "w2", {8, 6})}, {}, "y");
    const ValueId doubled = g.add("Mul", {y, g.constant(2.0F)});
    const ValueId both = g.add("Add", {g.add("Relu", {y}), doubled});
    g.graph.output = g.add("MatMul", {both, filled(g, "w3", {6, 3})});
  });
  TrainedLayout layout{1, 2, 2, 2};
  layout.cut = {"y"};
  expect_same_as_one_rank(training, {{1, 1, 2}, layout});
}

// A bias of both stages whose gradient is summed on the first alone.
TEST(PartitionTraining, SharedBiasWithDividedGradients) {
  const Training training = small_training([](SmallGraph& g, std::int64_t samples) {
    ValueId x = g.input("x", {samples, 8});
    const ValueId bias = filled(g, "bias", {8});
    for (int layer = 0; layer < 3; ++layer) {
      const std::string name = "layer" + std::to_string(layer);
      const ValueId h = g.add("Relu", {g.add("MatMul", {x, filled(g, name + ".up", {8, 8})})});
      x = g.add("MatMul", {h, filled(g, name + ".down", {8, 8})});
      if (layer < 2) x = g.graph.add("Add", {x, bias}, {}, name);
    }
    g.graph.output = x;
  });
  TrainedLayout layout{1, 2, 2, 2};
  layout.cut = {"layer0"};
  expect_same_as_one_rank(training, {{1, 1, 2}, layout, {2, 2, 1, 2, "1f1b", SplitMode::megatron, {"layer0"}}});
}

// h = u + v and v + v: one value is an addend of two gradients, and of one gradient twice.
Training sums_of_weights() {
  return small_training([](SmallGraph& g, std::int64_t samples) {
    const ValueId x = g.input("x", {samples, 4});
    const ValueId u = filled(g, "u", {4, 4});
    const ValueId v = filled(g, "v", {4, 4});
    const ValueId h = g.add("Add", {u, v});
    const ValueId both = g.add("Add", {g.add("MatMul", {x, h}), g.add("MatMul", {x, u})});
    g.graph.output = g.add("MatMul", {both, g.add("Add", {v, v})});
  });
}

TEST(PartitionTraining, SumsOfWeights) { expect_same_as_one_rank(sums_of_weights(), {{2, 1, 1}, {1, 2, 1, 2}}); }

/// What the reference is given: weights as stored, and the data set's samples.
reference::Values first_batch(const Graph& graph, const Dataset& data, std::span<const std::int64_t> ids) {
  reference::Values content;
  for (std::size_t i = 0; i <= graph.inputs.size(); ++i) {
    const ValueId id = i < graph.inputs.size() ? graph.inputs[i] : graph.label;
    reference::Tensor64 tensor = reference::Tensor64::zeros(graph.shape(id));
    if (graph.value(id).dtype == DataType::f32) {
      std::vector<float> elements(tensor.elements.size());
      data.read(ids, static_cast<int>(i), elements.data());
      tensor.elements.assign(elements.begin(), elements.end());
    } else {
      std::vector<std::int64_t> elements(tensor.elements.size());
      data.read(ids, static_cast<int>(i), elements.data());
      tensor.elements.assign(elements.begin(), elements.end());
    }
    content[id] = std::move(tensor);
  }
  return content;
}

/// Loss and every gradient of the first step, in three microbatches, against the definitions.
void expect_first_step(const Training& training) {
  on_all_ranks(training, {1, 1, 1, 3}, [&](RankState& state, const Dataset& data) {
    run_step(state, data, training, 0);
    std::vector<std::int64_t> ids(static_cast<std::size_t>(training.batch));
    data.batch_ids(0, training.batch, ids);
    const Graph graph = training.graph_of(training.batch);
    reference::Step step;
    step.state.loss_scale = 1.0F / static_cast<float>(data.counted_targets(ids));
    step.state.seed = 5;
    const reference::Values values = reference::evaluate_graph(graph, first_batch(graph, data, ids), step);
    EXPECT_NEAR(state.totals().loss, values.at(graph.loss).elements[0], 1e-6);
    for (const Segment& segment : state.partition().layout.segments) {
      const auto& wanted = values.at(graph.gradient_of.at(segment.value)).elements;
      for (std::size_t i = 0; i < wanted.size(); ++i) {
        ASSERT_NEAR(state.flat(FlatBuffer::gradients)[segment.begin + static_cast<std::int64_t>(i)], wanted[i], 2e-6)
            << segment.spec.name;
      }
    }
  });
}

TEST(PartitionTraining, TheFirstStepIsWhatTheDefinitionsSay) {
  for (const Training& training : {mlp(), gpt(), tied_gpt(), sums_of_weights()}) expect_first_step(training);
}

}  // namespace
}  // namespace dml::test
