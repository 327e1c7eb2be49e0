#include <gtest/gtest.h>

#include "kernels/error.h"
#include "runtime/data/dataset.h"
#include "runtime/data/safetensors.h"
#include "tests/runtime/data/in_order.h"
#include "tests/runtime/data/temporary_folder.h"

namespace dml {
namespace {

struct Array {
  std::string name;
  DataType dtype;
  Shape shape;
  std::vector<double> values;
};

template <typename T>
void write_as(SafetensorsWriter& writer, const Array& array) {
  const std::vector<T> values(array.values.begin(), array.values.end());
  writer.write(array.name, values.data());
}

std::string write_arrays(const std::string& path, const std::vector<Array>& arrays) {
  SafetensorsWriter writer(path);
  for (const Array& array : arrays) writer.declare(array.name, array.dtype, array.shape);
  for (const Array& array : arrays) {
    switch (array.dtype) {
      case DataType::f32: write_as<float>(writer, array); break;
      case DataType::f64: write_as<double>(writer, array); break;
      case DataType::i64: write_as<std::int64_t>(writer, array); break;
      case DataType::i32: write_as<std::int32_t>(writer, array); break;
      default: write_as<std::uint8_t>(writer, array); break;
    }
  }
  writer.close();
  return path;
}

ModelInputs array_model(const Shape& shape, std::int64_t classes = 0, DataType dtype = DataType::f32) {
  return {{{"x", dtype, shape}}, classes, 0};
}

std::string array_error(const std::vector<Array>& arrays, const ModelInputs& inputs) {
  const TemporaryFolder folder;
  const std::string path = write_arrays(folder.path("d.safetensors"), arrays);
  return error_of<Error>([&] { open_in_order(path, inputs); });
}

using Ids = std::vector<std::int64_t>;

TEST(Arrays, FeedInputsByNameAndConvert) {
  const TemporaryFolder folder;
  const std::string path =
      write_arrays(folder.path("d.safetensors"), {{"label", DataType::u8, Shape{3, 2}, {0, 1, 2, 3, 4, 5}},
                                                  {"x", DataType::f64, Shape{3, 2}, {0.5, 1, 1.5, 2, 2.5, 3}},
                                                  {"n", DataType::i32, Shape{3}, {7, 8, 9}},
                                                  {"unused", DataType::f32, Shape{1}, {0}}});
  const ModelInputs inputs{{{"n", DataType::i64, Shape{-1}}, {"x", DataType::f32, Shape{-1, -1}}}, 6, 0};
  const auto data = open_in_order(path, inputs);
  EXPECT_EQ(data->num_samples(), 3);
  EXPECT_EQ(data->num_classes(), 6);
  EXPECT_EQ(data->tokens_per_sample(), 2);
  EXPECT_FALSE(data->is_given_batches());
  EXPECT_EQ(data->inputs()[1].sample_shape, Shape{2});
  std::vector<std::int64_t> n(2);
  data->read(Ids{2, 0}, 0, n.data());
  EXPECT_EQ(n, (Ids{9, 7}));
  std::vector<float> x(4);
  data->read(Ids{2, 0}, 1, x.data());
  EXPECT_EQ(x, (std::vector<float>{2.5F, 3, 0.5F, 1}));
  std::vector<std::int64_t> label(4);
  data->read(Ids{2, 0}, 2, label.data());
  EXPECT_EQ(label, (Ids{4, 5, 0, 1}));
}

TEST(Arrays, MinusHundredIsNotCounted) {
  const TemporaryFolder folder;
  const std::string path = write_arrays(
      folder.path("d.safetensors"),
      {{"x", DataType::f32, Shape{2, 1}, {0, 0}}, {"label", DataType::i64, Shape{2, 3}, {0, -100, 2, -100, -100, 1}}});
  const auto data = open_in_order(path, array_model(Shape{-1, 1}, 3));
  EXPECT_EQ(data->counted_targets(Ids{0}), 2);
  EXPECT_EQ(data->counted_targets(Ids{0, 1, 1}), 4);
}

TEST(Arrays, FloatLabelsAndNoLabels) {
  const TemporaryFolder folder;
  const Array x{"x", DataType::f32, Shape{2, 1}, {0, 1}};
  const std::string regression =
      write_arrays(folder.path("r.safetensors"), {x, {"label", DataType::f32, Shape{2, 3}, {0, 1, 2, 3, 4, 5}}});
  const auto data = open_in_order(regression, array_model(Shape{-1, 1}, 3));
  EXPECT_EQ(data->label().dtype, DataType::f32);
  EXPECT_EQ(data->counted_targets(Ids{0, 1}), 6);
  EXPECT_EQ(data->tokens_per_sample(), 0);
  const auto bare = open_in_order(write_arrays(folder.path("n.safetensors"), {x}), array_model(Shape{-1, 1}));
  EXPECT_EQ(bare->label().name, "");
  EXPECT_EQ(bare->counted_targets(Ids{0, 1}), 2);
  float out = 0;
  EXPECT_THROW(bare->read(Ids{0}, 1, &out), std::invalid_argument);
}

TEST(Arrays, SayWhatDoesNotFit) {
  const Array x{"x", DataType::f32, Shape{2, 2}, {0, 1, 2, 3}};
  const auto label = [](std::vector<double> values, DataType dtype = DataType::i64) {
    return Array{"label", dtype, Shape{static_cast<std::int64_t>(values.size())}, std::move(values)};
  };
  const auto expect = [](const std::string& error, const char* part) {
    EXPECT_NE(error.find(part), std::string::npos) << error;
  };
  EXPECT_EQ(array_error({x, label({0, 1})}, array_model(Shape{-1, 2}, 2)), "");
  expect(array_error({label({0, 1})}, array_model(Shape{-1, 2})), "no tensor x");
  expect(array_error({x, label({0, 1})}, array_model(Shape{-1, 3})),
         "samples of shape 2, the model's input has shape -1x3");
  expect(array_error({x, label({0, 1})}, array_model(Shape{-1})), "samples of shape 2, the model's input has shape -1");
  expect(array_error({x, label({0, 1})}, array_model(Shape{-1, 2}, 0, DataType::i64)),
         "x is f32, the model's input is i64");
  expect(array_error({x, label({0, 1, 1})}, array_model(Shape{-1, 2})), "label has 3 samples, x has 2");
  expect(array_error({x, label({0, 2})}, array_model(Shape{-1, 2}, 2)),
         "label 2 of sample 1 is out of range for 2 classes");
  expect(array_error({x, label({-1, 0})}, array_model(Shape{-1, 2})), "label -1 of sample 0 is out of range");
  expect(array_error({{"x", DataType::f32, Shape{}, {1}}}, array_model(Shape{-1})), "x is a scalar");
  expect(array_error({{"x", DataType::f32, Shape{0, 2}, {}}}, array_model(Shape{-1, 2})), "no sample");
  const ModelInputs tokens{{{"x", DataType::i64, Shape{-1, 2}}}, 0, 5};
  expect(array_error({{"x", DataType::i64, Shape{1, 2}, {4, 5}}}, tokens),
         "token 5 of sample 0 is out of range for 5 entries");
  expect(array_error({{"x", DataType::i64, Shape{1, 2}, {-6, 0}}}, tokens), "token -6 of sample 0");
}

std::vector<Array> given_batches(int count) {
  std::vector<Array> arrays;
  for (int k = 0; k < count; ++k) {
    const std::string step = "step" + std::to_string(k);
    arrays.push_back({step + ".input.x", DataType::f32, Shape{2, 1}, {10.0 * k, 10.0 * k + 1}});
    arrays.push_back({step + ".label", DataType::i64, Shape{2}, {0, 1}});
  }
  return arrays;
}

TEST(GivenBatches, AreUsedInTurnAndNeverShuffled) {
  const TemporaryFolder folder;
  DataConfig config;
  config.source = write_arrays(folder.path("d.safetensors"), given_batches(12));
  const auto data = open_dataset(config, array_model(Shape{-1, 1}, 2), 5);
  EXPECT_TRUE(data->is_given_batches());
  EXPECT_EQ(data->given_batch_size(), 2);
  EXPECT_EQ(data->num_samples(), 24);
  std::vector<std::int64_t> ids(2);
  std::vector<float> x(2);
  for (const std::int64_t step : {0, 1, 11, 12, 30}) {
    data->batch_ids(step, 2, ids);
    data->read(ids, 0, x.data());
    EXPECT_EQ(x[0], static_cast<float>(10 * (step % 12)));
    EXPECT_EQ(x[1], static_cast<float>(10 * (step % 12) + 1));
  }
  EXPECT_THROW(data->batch_ids(0, 1, std::span(ids).first(1)), std::invalid_argument);
  config.samples = 5;
  EXPECT_EQ(open_dataset(config, array_model(Shape{-1, 1}, 2), 5)->num_samples(), 4);
  config.samples = 1;
  EXPECT_THROW(open_dataset(config, array_model(Shape{-1, 1}, 2), 5), ModelError);
}

TEST(GivenBatches, ValidateOnlyFromASourceOfTheirOwn) {
  const TemporaryFolder folder;
  DataConfig config;
  config.source = write_arrays(folder.path("d.safetensors"), given_batches(2));
  const auto inputs = array_model(Shape{-1, 1});
  EXPECT_NE(error_of<ModelError>([&] { open_dataset(config, inputs, 0, true); }).find("--val"), std::string::npos);
  config.validation = config.source;
  EXPECT_EQ(open_dataset(config, inputs, 0, true)->num_samples(), 4);
}

TEST(GivenBatches, MustBeAlikeAndComplete) {
  auto arrays = given_batches(2);
  arrays[2].shape = Shape{1, 1};
  arrays[2].values = {1};
  EXPECT_NE(array_error(arrays, array_model(Shape{-1, 1})).find("must be alike"), std::string::npos);
  arrays = given_batches(2);
  arrays.pop_back();
  EXPECT_NE(array_error(arrays, array_model(Shape{-1, 1})).find("step1.label"), std::string::npos);
}

TEST(GivenBatches, OfTheFixtures) {
  DataConfig config;
  config.source = DML_TEST_DATA "/fixtures/gpt_tiny.ts17.safetensors";
  const ModelInputs inputs{{{"tokens", DataType::i64, Shape{-1, 32}}}, 256, 256};
  const auto data = open_dataset(config, inputs, 0);
  EXPECT_EQ(data->given_batch_size(), 4);
  EXPECT_EQ(data->num_samples(), 80);
  EXPECT_EQ(data->tokens_per_sample(), 32);
  const SafetensorsFile file(config.source);
  std::vector<std::int64_t> ids(4), tokens(128), labels(128);
  data->batch_ids(23, 4, ids);
  data->read(ids, 0, tokens.data());
  data->read(ids, 1, labels.data());
  EXPECT_TRUE(std::equal(tokens.begin(), tokens.end(), file.get("step3.input.tokens").as<std::int64_t>()));
  EXPECT_TRUE(std::equal(labels.begin(), labels.end(), file.get("step3.label").as<std::int64_t>()));
  EXPECT_EQ(data->counted_targets(ids), 128);
}

}  // namespace
}  // namespace dml
