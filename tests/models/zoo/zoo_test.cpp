#include "models/zoo/zoo.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <set>

#include "kernels/error.h"
#include "models/onnx/proto.h"
#include "models/zoo/initial_weights.h"

namespace dml {
namespace {

onnx::ModelProto parse(const std::string& source, const ZooOptions& options = {}) {
  onnx::ModelProto proto;
  EXPECT_TRUE(proto.ParseFromString(build_model(source, options)));
  return proto;
}

std::int64_t num_parameters(const onnx::ModelProto& proto) {
  std::int64_t total = 0;
  for (const auto& tensor : proto.graph().initializer()) {
    if (tensor.name().find("running_") != std::string::npos) continue;
    std::int64_t elements = 1;
    for (const std::int64_t extent : tensor.dims()) elements *= extent;
    total += elements;
  }
  return total;
}

std::string error_for(const std::string& source) {
  try {
    build_model(source, {});
  } catch (const ModelError& error) {
    return error.what();
  }
  return {};
}

TEST(Zoo, EveryModelParsesAndIsWellFormed) {
  for (const BuiltinModel& model : builtin_models()) {
    const auto proto = parse(model.name, {.weights = false});
    EXPECT_EQ(proto.ir_version(), 8);
    EXPECT_EQ(proto.opset_import(0).version(), 17);
    EXPECT_EQ(proto.graph().input_size(), 1);
    EXPECT_EQ(proto.graph().input(0).type().tensor_type().shape().dim(0).dim_param(), "batch");
    EXPECT_EQ(proto.graph().output(0).name(), "logits");
    std::set<std::string> known = {proto.graph().input(0).name()}, names;
    for (const auto& tensor : proto.graph().initializer()) EXPECT_TRUE(known.insert(tensor.name()).second);
    for (const auto& node : proto.graph().node()) {
      EXPECT_TRUE(names.insert(node.name()).second) << node.name();
      for (const auto& input : node.input()) EXPECT_TRUE(known.count(input)) << node.name() << " reads " << input;
      for (const auto& output : node.output()) EXPECT_TRUE(known.insert(output).second) << output;
    }
    EXPECT_TRUE(known.count("logits"));
  }
}

TEST(Zoo, ParameterCountsAreThePublishedOnes) {
  const ZooOptions planning{.weights = false};
  EXPECT_EQ(num_parameters(parse("gpt2-124m", planning)), 124'439'808);
  EXPECT_EQ(num_parameters(parse("gpt2-1558m", planning)), 1'557'611'200);
  EXPECT_EQ(num_parameters(parse("gpt3-175b", planning)), 174'604'259'328);
  EXPECT_EQ(num_parameters(parse("resnet18", planning)), 11'173'962);
  EXPECT_EQ(num_parameters(parse("resnet18:classes=1000,size=224", planning)), 11'689'512);
  EXPECT_EQ(num_parameters(parse("mlp", planning)), 64 * 128 + 128 + 128 * 128 + 128 + 128 * 10 + 10);
  // 4 layers of 12 C^2 + 13 C, two tables and a head, one last normalization.
  EXPECT_EQ(num_parameters(parse("gpt", planning)), 4 * (12 * 128 * 128 + 13 * 128) + (256 + 64 + 256) * 128 + 2 * 128);
}

TEST(Zoo, OptionsChangeTheGraph) {
  const auto has = [](const onnx::ModelProto& proto, const std::string& name) {
    for (const auto& tensor : proto.graph().initializer()) {
      if (tensor.name() == name) return true;
    }
    for (const auto& node : proto.graph().node()) {
      if (node.name() == name) return true;
    }
    return false;
  };
  const auto plain = parse("gpt:layers=1");
  EXPECT_TRUE(has(plain, "head.weight"));
  EXPECT_TRUE(has(plain, "blocks.0.attn.q.bias"));
  EXPECT_TRUE(has(plain, "/blocks.0/attn/q/MatMul"));
  EXPECT_FALSE(has(plain, "/Dropout"));
  const auto other = parse("gpt:layers=1,tied=1,bias=0,dropout=0.1");
  EXPECT_FALSE(has(other, "head.weight"));
  EXPECT_FALSE(has(other, "blocks.0.attn.q.bias"));
  EXPECT_TRUE(has(other, "blocks.0.ln1.bias"));
  EXPECT_TRUE(has(other, "/blocks.0/attn/Dropout"));
  EXPECT_TRUE(has(parse("resnet18:width=2,size=128"), "/maxpool/MaxPool"));
  EXPECT_EQ(num_parameters(parse("mlp:in=3,hidden=5,out=2")), 3 * 5 + 5 + 5 * 2 + 2);
}

TEST(Zoo, TellsModelsFromPaths) {
  for (const char* source : {"gpt", "gpt:layers=2", "gpt3-6.7b", "gpt3-6.7b:seq=8", "gpt:dropout=0.5", "resent18"}) {
    EXPECT_TRUE(is_builtin(source)) << source;
  }
  for (const char* source : {"model.onnx", "./gpt", "models/gpt", "C.onnx:x", ""})
    EXPECT_FALSE(is_builtin(source)) << source;
}

TEST(Zoo, SaysWhatIsUnknown) {
  const auto expect = [](const std::string& source, const std::string& part) {
    const std::string error = error_for(source);
    EXPECT_NE(error.find(part), std::string::npos) << source << ": " << error;
  };
  expect("resent18", "Did you mean resnet18?");
  expect("resent18", "Known: gpt, mlp, resnet18, gpt-tiny");
  expect("gpt:layer=4",
         "unknown option layer. Known: bias, dropout, heads, layers, seq, tied, vocab, width. Did you mean layers?");
  expect("gpt2-124m:depth=4", "unknown option depth");
  expect("gpt:layers", "'layers' is not key=value");
  expect("gpt:layers=0", "layers=0 is not a whole number from 1");
  expect("gpt:layers=two", "layers=two");
  expect("gpt:layers=", "layers= is not");
  expect("gpt:width=99999999999999999999", "width=99999999999999999999");
  expect("gpt:width=128,heads=3", "width=128 is not a multiple of heads=3");
  expect("gpt:dropout=1", "dropout=1 is not a number from 0 to below 1");
  expect("gpt:dropout=nan", "dropout=nan");
  expect("gpt:tied=2", "tied=2");
  expect("mlp:hidden=12x", "hidden=12x is not sizes");
  expect("mlp:hidden=", "hidden=");
  expect("gpt3-175b", "698.4 GB of weights");
}

TEST(Zoo, LoadsWithTheWeightsThatItExports) {
  const auto model = load_builtin("gpt-tiny", 7);
  const auto proto = parse("gpt-tiny", {.seed = 7});
  ASSERT_EQ(static_cast<int>(model->initializers().size()), proto.graph().initializer_size());
  for (int i = 0; i < proto.graph().initializer_size(); ++i) {
    const auto& tensor = proto.graph().initializer(i);
    const OnnxInitializer* loaded = model->find_initializer(tensor.name());
    ASSERT_NE(loaded, nullptr) << tensor.name();
    std::vector<float> elements(static_cast<std::size_t>(loaded->shape.num_elements()));
    loaded->source->read_all_f32(elements.data());
    ASSERT_EQ(tensor.raw_data().size(), elements.size() * sizeof(float));
    EXPECT_EQ(std::memcmp(tensor.raw_data().data(), elements.data(), tensor.raw_data().size()), 0) << tensor.name();
  }
}

TEST(Zoo, ExportsToFilesThatLoad) {
  std::string folder = (std::filesystem::temp_directory_path() / "dml_zoo_XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/m.onnx";
  export_model("mlp", path, {});
  EXPECT_EQ(OnnxModel::load(path)->initializers().size(), 6U);
  export_model("gpt3-175b", path, {.weights = false});
  EXPECT_LT(std::filesystem::file_size(path), 1U << 20);
  const auto planned = OnnxModel::load(path);
  float element = 0;
  EXPECT_THROW(planned->initializers()[0].source->read_f32(&element, Shape{0, 0}, Shape{1, 1}), IoError);
  EXPECT_THROW(export_model("mlp", folder + "/no/m.onnx", {}), IoError);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1) << "a partial file was left";
  std::filesystem::remove_all(folder);
}

std::vector<float> draw(const InitialWeights& rule, std::uint64_t seed, const std::string& name, std::int64_t first,
                        std::int64_t count) {
  std::vector<float> out(static_cast<std::size_t>(count));
  fill_weights(out, rule, seed, name, first);
  return out;
}

TEST(InitialWeights, EverySliceIsTheSliceOfTheWhole) {
  for (const auto& rule : {InitialWeights::normal(0.02), InitialWeights::uniform(0.1), InitialWeights::constant(3)}) {
    const auto whole = draw(rule, 5, "w", 0, 101);
    for (const std::int64_t first : {0, 1, 2, 3, 4, 63}) {
      for (const std::int64_t count : {0, 1, 3, 4, 5, 38}) {
        const auto slice = draw(rule, 5, "w", first, count);
        EXPECT_TRUE(std::equal(slice.begin(), slice.end(), whole.begin() + first)) << first << "+" << count;
      }
    }
  }
  const auto rule = InitialWeights::normal(1);
  EXPECT_NE(draw(rule, 5, "w", 0, 8), draw(rule, 6, "w", 0, 8));
  EXPECT_NE(draw(rule, 5, "w", 0, 8), draw(rule, 5, "v", 0, 8));
}

TEST(InitialWeights, BoxesOfASourceAreTheBoxesOfTheWhole) {
  const auto rule = InitialWeights::normal(1);
  const Shape shape{3, 4, 5};
  const auto source = make_weights(rule, 1, "w", shape);
  const auto whole = draw(rule, 1, "w", 0, 60);
  const Shape offset{1, 2, 3}, extent{2, 1, 2};
  std::vector<float> box(4);
  source->read_f32(box.data(), offset, extent);
  EXPECT_EQ(box, (std::vector<float>{whole[33], whole[34], whole[53], whole[54]}));
  float scalar = 0;
  make_weights(rule, 1, "w", Shape{})->read_f32(&scalar, Shape{}, Shape{});
  EXPECT_EQ(scalar, whole[0]);
}

/// Mean and deviation of n draws lie within 5 standard errors.
TEST(InitialWeights, HaveTheirDistribution) {
  constexpr std::int64_t kCount = 400'000;
  const auto moments = [](const std::vector<float>& values) {
    double sum = 0, squares = 0, largest = 0;
    for (const float value : values) {
      sum += value;
      squares += static_cast<double>(value) * value;
      largest = std::max(largest, std::abs(static_cast<double>(value)));
    }
    return std::array<double, 3>{sum / kCount, std::sqrt(squares / kCount), largest};
  };
  const double tolerance = 5 / std::sqrt(static_cast<double>(kCount));
  const auto normal = moments(draw(InitialWeights::normal(1), 0, "w", 0, kCount));
  EXPECT_NEAR(normal[0], 0, tolerance);
  EXPECT_NEAR(normal[1], 1, tolerance);
  EXPECT_GT(normal[2], 4);
  const auto uniform = moments(draw(InitialWeights::uniform(1), 0, "w", 0, kCount));
  EXPECT_NEAR(uniform[0], 0, tolerance);
  EXPECT_NEAR(uniform[1], 1 / std::sqrt(3.0), tolerance);
  EXPECT_LE(uniform[2], 1);
}

}  // namespace
}  // namespace dml
