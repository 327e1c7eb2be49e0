// Writing a model again: names, types and places of the weights stay, values change.
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "tests/models/onnx/models.h"

namespace dml::test {
namespace {

namespace fs = std::filesystem;

class OnnxSave : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("dml_save_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::shared_ptr<const OnnxModel> saved(const OnnxModel& model, const WeightLookup& trained,
                                         const BuildOptions& options = {}) {
    const std::string path = folder_ / "saved.onnx";
    model.save(path, trained, options);
    return OnnxModel::load(path);
  }

  std::vector<float> elements(const OnnxModel& model, const std::string& name) {
    return elements_of(*model.find_initializer(name)->source);
  }

  fs::path folder_;
};

std::optional<std::vector<float>> untrained(const std::string&) { return std::nullopt; }

TEST_F(OnnxSave, KeepsWhatDidNotMove) {
  for (const char* file : {"edge_embed.onnx", "edge_gemm.onnx", "gpt_tiny.dynamo.onnx", "edge_shared.onnx"}) {
    const auto model = OnnxModel::load(fixture(file));
    const auto again = saved(*model, untrained);
    ASSERT_EQ(again->initializers().size(), model->initializers().size());
    for (std::size_t i = 0; i < model->initializers().size(); ++i) {
      const OnnxInitializer& before = model->initializers()[i];
      const OnnxInitializer& after = again->initializers()[i];
      EXPECT_EQ(after.name, before.name);
      EXPECT_EQ(after.dtype, before.dtype);
      EXPECT_EQ(elements_of(*after.source), elements_of(*before.source)) << before.name;
    }
    EXPECT_EQ(structure_of(again->build({})), structure_of(model->build({})));
  }
}

TEST_F(OnnxSave, WritesTrainedWeightsInTheirStoredType) {
  const auto model = OnnxModel::load(fixture("edge_embed.onnx"));
  const auto again = saved(*model, [&](const std::string& name) -> std::optional<std::vector<float>> {
    if (name == "w") return std::vector<float>(256, 1.0F / 3.0F);
    if (name == "b") return std::vector<float>(16, 1.0F / 3.0F);
    return std::nullopt;
  });
  EXPECT_EQ(again->find_initializer("w")->dtype, DataType::f16);
  EXPECT_EQ(elements(*again, "w"), std::vector<float>(256, 0.333251953125F));
  EXPECT_EQ(elements(*again, "b"), std::vector<float>(16, 1.0F / 3.0F));
  EXPECT_TRUE(fs::exists(folder_ / "saved.onnx.data"));
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 2) << "nothing else is left behind";
}

TEST_F(OnnxSave, RoundsToNearestHalf) {
  onnx::ModelProto proto = small_model();
  onnx::TensorProto& w = add_initializer(*proto.mutable_graph(), "w", DataType::f16, {8});
  w.set_raw_data(std::string(16, '\0'));
  add_node(*proto.mutable_graph(), "Mul", "m", {"x", "w"}, {"y"});
  std::vector<float> values{1.00048828125F, 1.00146484375F, 65519, 65520, -1e-8F, 5.9604645e-08F, 6.1035156e-05F, -2};
  const std::vector<float> halves{1.0F, 1.001953125F, 65504, INFINITY, -0.0F, 5.9604645e-08F, 6.1035156e-05F, -2};
  const auto again = saved(*make_model(proto, "m"), [&](const std::string&) { return std::optional(values); });
  const auto result = elements(*again, "w");
  EXPECT_EQ(result, halves);
}

TEST_F(OnnxSave, GivesTiedWeightsTheirValue) {
  const auto model = OnnxModel::load(fixture("edge_split.ts17.onnx"));
  const BuildOptions options{.batch = 0, .dims = {}, .ties = {{"tok.weight", "onnx::MatMul_327"}}, .unties = {}};
  std::vector<float> trained(128 * 16);
  for (std::size_t i = 0; i < trained.size(); ++i) trained[i] = static_cast<float>(i);
  const auto again = saved(
      *model,
      [&](const std::string& name) -> std::optional<std::vector<float>> {
        EXPECT_NE(name, "onnx::MatMul_327");
        if (name == "tok.weight") return trained;
        return std::nullopt;
      },
      options);
  const auto head = elements(*again, "onnx::MatMul_327");
  EXPECT_EQ(head[0], 0);
  EXPECT_EQ(head[1], 16) << "its second element is the second row's first";
  EXPECT_EQ(again->notes(), model->notes());
}

TEST_F(OnnxSave, SeparatesUntiedWeights) {
  const auto model = OnnxModel::load(fixture("edge_merged.dynamo.onnx"));
  const BuildOptions options{.batch = 0, .dims = {}, .ties = {}, .unties = {"blocks.0.ln1.weight"}};
  const auto again = saved(
      *model,
      [&](const std::string& name) -> std::optional<std::vector<float>> {
        if (name == "blocks.0.ln1.weight#2") return std::vector<float>(16, 0.5F);
        return std::nullopt;
      },
      options);
  EXPECT_EQ(again->initializers().size(), model->initializers().size() + 4);
  EXPECT_EQ(elements(*again, "blocks.0.ln1.weight#2"), std::vector<float>(16, 0.5F));
  EXPECT_EQ(elements(*again, "blocks.0.ln1.weight#1"), elements(*model, "blocks.0.ln1.weight"));
  const Graph graph = again->build({});
  EXPECT_EQ(graph.value(graph.find_value("blocks.0.ln1.weight#4")).role, Role::parameter);
}

TEST_F(OnnxSave, WritesComputedWeights) {
  onnx::ModelProto proto = small_model();
  add_initializer(*proto.mutable_graph(), "w", DataType::f32, {8});
  add_node(*proto.mutable_graph(), "Mul", "m", {"x", "w"}, {"y"});
  const std::vector<float> values{1, 2, 3, 4, 5, 6, 7, 8};
  const auto with = make_model(proto, "m", {{"w", make_source({8}, values)}});
  EXPECT_EQ(elements(*saved(*with, nullptr), "w"), values);
  const auto without = saved(*make_model(proto, "m"), nullptr);
  EXPECT_FALSE(without->find_initializer("w")->has_elements);
  EXPECT_EQ(operations_of(without->build({})), "Mul");
  EXPECT_THROW(elements(*without, "w"), IoError);
}

TEST_F(OnnxSave, FailsWithTheReason) {
  const auto model = OnnxModel::load(fixture("edge_gemm.onnx"));
  EXPECT_THROW(model->save("/nonexistent/folder/m.onnx", untrained), IoError);
  EXPECT_THROW(saved(*model, [](const std::string&) { return std::vector<float>(3); }), ModelError);
}

}  // namespace
}  // namespace dml::test
