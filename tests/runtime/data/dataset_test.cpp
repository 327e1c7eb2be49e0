// What all sources share: order, parts of batches, hold-out, limits, and how a source is told from another.
#include "runtime/data/dataset.h"

#include <gtest/gtest.h>

#include <set>

#include "kernels/error.h"
#include "tests/runtime/data/temporary_folder.h"

namespace dml {
namespace {

ModelInputs text_model(std::int64_t length) { return {{{"tokens", DataType::i64, Shape{-1, length}}}, 256, 256}; }
ModelInputs picture_model(const Shape& shape) { return {{{"image", DataType::f32, shape}}, 10, 0}; }

DataConfig source(const std::string& name) {
  DataConfig config;
  config.source = name;
  return config;
}

std::vector<std::int64_t> ids_of(const Dataset& data, std::int64_t step, std::int64_t batch, std::int64_t first = 0,
                                 std::int64_t count = -1) {
  std::vector<std::int64_t> ids(static_cast<std::size_t>(count < 0 ? batch : count));
  data.batch_ids(step, batch, ids, first);
  return ids;
}

TEST(Dataset, BatchesFollowOneAnotherAndCrossEpochs) {
  const TemporaryFolder folder;
  DataConfig config = source("text:" + folder.write("t", std::string(2 * 20 + 1, 'x')));
  config.samples = 10;
  const auto data = open_dataset(config, text_model(2), 1);
  ASSERT_EQ(data->num_samples(), 10);
  std::vector<std::int64_t> all;
  for (std::int64_t step = 0; step < 5; ++step) {
    for (const std::int64_t id : ids_of(*data, step, 4)) all.push_back(id);
  }
  EXPECT_EQ(std::set(all.begin(), all.begin() + 10).size(), 10U) << "the first epoch, of which batch 2 is the border";
  EXPECT_EQ(std::set(all.begin() + 10, all.end()).size(), 10U);
  EXPECT_NE(std::vector(all.begin(), all.begin() + 10), std::vector(all.begin() + 10, all.end()));
}

TEST(Dataset, PartsOfABatchMakeTheBatch) {
  const auto data = open_dataset(source("builtin:digits"), picture_model(Shape{-1, 64}), 3);
  const auto whole = ids_of(*data, 7, 11);
  auto parts = ids_of(*data, 7, 11, 0, 5);
  for (const std::int64_t id : ids_of(*data, 7, 11, 5, 6)) parts.push_back(id);
  EXPECT_EQ(parts, whole);
  EXPECT_THROW(ids_of(*data, 7, 11, 6, 6), std::invalid_argument);
  EXPECT_THROW(ids_of(*data, -1, 11), std::invalid_argument);
}

TEST(Dataset, TheLastTenthValidates) {
  const auto model = picture_model(Shape{-1, 64});
  const auto train = open_dataset(source("builtin:digits"), model, 0);
  const auto validation = open_dataset(source("builtin:digits"), model, 0, true);
  EXPECT_EQ(train->num_samples(), 1797 - 179);
  EXPECT_EQ(validation->num_samples(), 179);
  EXPECT_EQ(ids_of(*validation, 0, 3), (std::vector<std::int64_t>{1618, 1619, 1620}));
  for (const std::int64_t id : ids_of(*train, 0, 1618)) EXPECT_LT(id, 1618);
  std::int64_t label = 0;
  EXPECT_THROW(train->read(std::vector<std::int64_t>{1618}, 1, &label), std::invalid_argument);
  EXPECT_THROW(train->read(std::vector<std::int64_t>{-1}, 1, &label), std::invalid_argument);
  EXPECT_THROW(train->read(std::vector<std::int64_t>{0}, 2, &label), std::invalid_argument);
}

TEST(Dataset, AValidationSourceLeavesAllToTraining) {
  const TemporaryFolder folder;
  DataConfig config = source("builtin:text");
  const auto alone = open_dataset(config, text_model(64), 0);
  config.validation = "text:" + folder.write("v.txt", std::string(201, 'v'));
  const auto train = open_dataset(config, text_model(64), 0);
  const auto validation = open_dataset(config, text_model(64), 0, true);
  EXPECT_EQ(train->num_samples(), (633239 - 1) / 64);
  EXPECT_EQ(alone->num_samples(), train->num_samples() - train->num_samples() / 10);
  EXPECT_EQ(validation->num_samples(), 3);
}

TEST(Dataset, LimitsSamplesAndKeepsTheOrderWhereAsked) {
  DataConfig config = source("builtin:digits");
  config.samples = 5;
  config.shuffle = false;
  const auto data = open_dataset(config, picture_model(Shape{-1, 64}), 0);
  EXPECT_EQ(data->num_samples(), 5);
  EXPECT_EQ(ids_of(*data, 0, 7), (std::vector<std::int64_t>{0, 1, 2, 3, 4, 0, 1}));
}

TEST(Dataset, SaysWhatIsWrongWithASource) {
  const TemporaryFolder folder;
  const auto model = text_model(4);
  const auto model_error = [&](const std::string& name) {
    return error_of<ModelError>([&] { open_dataset(source(name), model, 0); });
  };
  const auto io_error = [&](const std::string& name) {
    return error_of<IoError>([&] { open_dataset(source(name), model, 0); });
  };
  EXPECT_NE(model_error("").find("--data"), std::string::npos);
  EXPECT_NE(model_error("builtin:nothing").find("text, digits"), std::string::npos);
  EXPECT_NE(model_error(folder.write("odd.dat", "abc")).find("cannot tell"), std::string::npos);
  EXPECT_NE(io_error(folder.write("images.gz", "\x1f\x8b...")).find("gunzip"), std::string::npos);
  for (const char* name :
       {"text:", "missing.txt", "missing.bin", "missing.safetensors", "idx:missing", "cifar10:missing"}) {
    EXPECT_NE(io_error(folder.path("") + name).find("missing"), name == std::string("text:") ? 0U : std::string::npos);
  }
  EXPECT_THROW(open_dataset(source("text:" + folder.path("missing")), model, 0), IoError);
  EXPECT_THROW(open_dataset(source("builtin:text"), ModelInputs{}, 0), ModelError);
}

TEST(Dataset, TooFewForAHoldOutIsAnErrorOfValidationAlone) {
  const TemporaryFolder folder;
  const DataConfig config = source("text:" + folder.write("t", std::string(9, 'x')));
  EXPECT_EQ(open_dataset(config, text_model(2), 0)->num_samples(), 4);
  EXPECT_NE(error_of<ModelError>([&] { open_dataset(config, text_model(2), 0, true); }).find("--val"),
            std::string::npos);
}

}  // namespace
}  // namespace dml
