// The exporters' files in tests/data/fixtures: every one builds, at any batch size, into the same operations.
#include <fstream>
#include <set>

#include "tests/models/onnx/models.h"

namespace dml::test {
namespace {

struct Fixture {
  const char* file;
  std::int64_t trainable;  ///< table of tests/data's README
  Shape output;            ///< of three samples
};

const Fixture kFixtures[] = {
    {"edge_embed", 5, {3, 7}},
    {"edge_gemm", 7, {3, 5}},
    {"edge_matmul", 4, {3, 5}},
    {"edge_merged.dynamo", 21, {3, 16, 128}},
    {"edge_shared", 3, {3, 6}},
    {"edge_split.ts17", 29, {3, 16, 128}},
    {"gpt_sdpa.dynamo", 53, {3, 32, 256}},
    {"gpt_sdpa.ts17", 53, {3, 32, 256}},
    {"gpt_tiny.dynamo", 28, {3, 32, 256}},
    {"gpt_tiny.ts17", 28, {3, 32, 256}},
    {"mlp_digits.dynamo", 6, {3, 10}},
    {"mlp_digits.ts17", 6, {3, 10}},
    {"resnet_tiny.ts17", 62, {3, 10}},
};

class Fixtures : public testing::TestWithParam<Fixture> {
 protected:
  std::shared_ptr<const OnnxModel> load() const { return OnnxModel::load(fixture(GetParam().file) + ".onnx"); }
};

TEST_P(Fixtures, AreTheSameOperationsAtAnyBatch) {
  const auto model = load();
  const Graph three = model->build({.batch = 3, .dims = {}, .ties = {}, .unties = {}});
  EXPECT_EQ(three.shape(three.output), GetParam().output);
  const std::string structure = structure_of(three);
  for (const std::int64_t batch : {1, 2, 4, 8, 32}) {
    const Graph graph = model->build({.batch = batch, .dims = {}, .ties = {}, .unties = {}});
    EXPECT_EQ(structure_of(graph), structure) << "batch " << batch;
    EXPECT_EQ(graph.shape(graph.output)[0], batch);
  }
}

TEST_P(Fixtures, HaveTheirWeightsAsParameters) {
  const Graph graph = load()->build({});
  std::int64_t matrices = 0;
  for (const Value& value : graph.values()) {
    if (value.role != Role::parameter) continue;
    ASSERT_NE(value.source, nullptr) << value.name;
    EXPECT_EQ(value.source->shape(), value.shape) << value.name;
    if (value.shape.num_elements() > 1 || value.name == "b3") ++matrices;
  }
  EXPECT_EQ(matrices, GetParam().trainable);
}

TEST_P(Fixtures, NameAllOperationsAsSupported) {
  for (const OnnxOperation& operation : load()->operations()) EXPECT_TRUE(operation.is_supported) << operation.type;
}

INSTANTIATE_TEST_SUITE_P(Onnx, Fixtures, testing::ValuesIn(kFixtures), [](const auto& info) {
  std::string name = info.param.file;
  for (char& c : name) c = c == '.' ? '_' : c;
  return name;
});

Graph build_fixture(const std::string& file) { return OnnxModel::load(fixture(file))->build({}); }

TEST(OnnxFixtures, HaveScopes) {
  const Graph traced = build_fixture("gpt_tiny.ts17.onnx");
  const Graph dynamo = build_fixture("gpt_tiny.dynamo.onnx");
  std::set<std::string> traced_scopes;
  std::set<std::string> dynamo_scopes;
  for (const Node& node : traced.nodes()) traced_scopes.insert(node.scope);
  for (const Node& node : dynamo.nodes()) dynamo_scopes.insert(node.scope);
  EXPECT_TRUE(traced_scopes.contains("blocks.1/attn/qkv"));
  EXPECT_TRUE(dynamo_scopes.contains("blocks.1/attn/qkv"));
  EXPECT_TRUE(dynamo_scopes.contains("blocks.0/mlp/2"));
}

TEST(OnnxFixtures, FoldShapeArithmeticAway) {
  const Graph graph = build_fixture("gpt_sdpa.ts17.onnx");
  for (const Node& node : graph.nodes()) {
    EXPECT_NE(node.op->name, "Cast") << node.name;
    EXPECT_NE(node.op->name, "Concat") << node.name;
    EXPECT_NE(node.op->name, "Sqrt") << node.name;
  }
}

TEST(OnnxFixtures, KeepBatchNormStatisticsAsStates) {
  const Graph graph = build_fixture("resnet_tiny.ts17.onnx");
  EXPECT_EQ(graph.next_state.size(), 40U);
  for (const auto& [state, next] : graph.next_state) {
    EXPECT_EQ(graph.value(state).role, Role::state);
    EXPECT_EQ(graph.shape(state), graph.shape(next));
    EXPECT_NE(graph.value(next).producer, kNone);
  }
}

TEST(OnnxFixtures, DescribeTheirInputs) {
  const auto model = OnnxModel::load(fixture("gpt_tiny.dynamo.onnx"));
  EXPECT_EQ(model->opset(), 20);
  EXPECT_EQ(model->producer(), "pytorch 2.13.0+cpu");
  ASSERT_EQ(model->inputs().size(), 1U);
  EXPECT_EQ(model->inputs()[0].dtype, DataType::i64);
  EXPECT_EQ(model->inputs()[0].dims[0].name, "batch");
  EXPECT_EQ(model->inputs()[0].dims[1].extent, 32);
  EXPECT_EQ(model->written_batch(), 0);
  EXPECT_EQ(OnnxModel::load(fixture("edge_split.ts17.onnx"))->written_batch(), 4);
  const auto shared = OnnxModel::load(fixture("edge_shared.onnx"));
  EXPECT_EQ(shared->inputs().size(), 1U) << "a weight that is listed as an input is none";
  EXPECT_NE(shared->find_initializer("unread"), nullptr);
  EXPECT_EQ(shared->build({}).find_value("unread"), kNone);
}

// A read of damaged bytes ends with an Error or a model, never with anything else.
TEST(OnnxFixtures, SurviveDamage) {
  for (const char* file : {"edge_gemm.onnx", "edge_shared.onnx", "edge_split.ts17.onnx"}) {
    std::ifstream stream(fixture(file), std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(stream), {}};
    const std::size_t step = std::max<std::size_t>(1, whole.size() / 150);
    for (std::size_t at = 0; at < whole.size(); at += step) {
      std::string flipped = whole;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
      for (const std::string& bytes : {whole.substr(0, at), flipped}) {
        const std::string message = error_of(
            [&] { OnnxModel::parse(bytes, "damaged")->build({.batch = 2, .dims = {}, .ties = {}, .unties = {}}); });
        EXPECT_EQ(message.find('\n'), std::string::npos) << message;
      }
    }
  }
}

}  // namespace
}  // namespace dml::test
