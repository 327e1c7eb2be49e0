#include <gtest/gtest.h>

#include "kernels/error.h"
#include "runtime/data/builtin.h"
#include "runtime/data/dataset.h"
#include "tests/runtime/data/in_order.h"
#include "tests/runtime/data/temporary_folder.h"

namespace dml {
namespace {

ModelInputs image_model(const Shape& shape, std::int64_t classes = 0, DataType dtype = DataType::f32) {
  return {{{"image", dtype, shape}}, classes, 0};
}

std::vector<float> pixels_of(const Dataset& data, const std::vector<std::int64_t>& ids) {
  const std::int64_t elements = data.inputs()[0].sample_shape.num_elements();
  std::vector<float> out(ids.size() * static_cast<std::size_t>(elements));
  data.read(ids, 0, out.data());
  return out;
}

std::vector<std::int64_t> labels_of(const Dataset& data, const std::vector<std::int64_t>& ids) {
  std::vector<std::int64_t> out(ids.size());
  data.read(ids, 1, out.data());
  return out;
}

/// An IDX file of bytes with these extents.
std::string idx(const std::vector<unsigned>& extents, const std::string& content) {
  std::string bytes{0, 0, 8, static_cast<char>(extents.size())};
  for (const unsigned extent : extents) {
    for (int shift = 24; shift >= 0; shift -= 8)
      bytes += static_cast<char>(static_cast<unsigned char>(extent >> shift));
  }
  return bytes + content;
}

TEST(Digits, AreScaledAndReshaped) {
  const auto data = open_in_order("builtin:digits", image_model(Shape{-1, 64}, 10));
  EXPECT_EQ(data->num_classes(), 10);
  EXPECT_EQ(data->tokens_per_sample(), 0);
  EXPECT_EQ(data->inputs()[0].sample_shape, Shape{64});
  EXPECT_EQ(data->label().sample_shape, Shape{});
  const auto pixels = pixels_of(*data, {0});
  EXPECT_EQ(pixels[2], 5.0F / 16);  // the first image of the set begins 0 0 5 13 9 1
  EXPECT_EQ(pixels[3], 13.0F / 16);
  EXPECT_EQ(labels_of(*data, {0, 1, 9, 10}), (std::vector<std::int64_t>{0, 1, 9, 0}));
  EXPECT_EQ(data->counted_targets(std::vector<std::int64_t>{4, 5}), 2);
  EXPECT_EQ(builtin_digits().size(), 1797U * 65);
  EXPECT_EQ(open_in_order("builtin:digits", image_model(Shape{-1, 1, 8, 8}))->inputs()[0].sample_shape,
            (Shape{1, 8, 8}));
  EXPECT_EQ(open_in_order("builtin:digits", image_model(Shape{-1, 1, -1, -1}))->inputs()[0].sample_shape,
            (Shape{1, 8, 8}));
}

TEST(Images, SayWhatDoesNotFitTheModel) {
  EXPECT_NE(error_for("builtin:digits", image_model(Shape{-1, 3, 32, 32}))
                .find("shape 1x8x8, the model's input image has shape -1x3x32x32"),
            std::string::npos);
  EXPECT_NE(
      error_for("builtin:digits", image_model(Shape{-1, 64}, 9)).find("label 9 of sample 9 is not one of 9 classes"),
      std::string::npos);
  EXPECT_NE(error_for("builtin:digits", image_model(Shape{-1, 64}, 0, DataType::i64)).find("is i64"),
            std::string::npos);
  EXPECT_NE(error_for("builtin:digits", image_model(Shape{})).find("shape scalar"), std::string::npos);
  EXPECT_NE(error_for("builtin:digits", image_model(Shape{-1, -1})).find("shape -1x-1"), std::string::npos);
}

TEST(Idx, ReadsImagesAndFindsTheirLabels) {
  const TemporaryFolder folder;
  const std::string images =
      folder.write("train-images-idx3-ubyte", idx({2, 2, 3}, std::string("\0\1\2\3\4\5\377\376\375\374\373\372", 12)));
  folder.write("train-labels-idx1-ubyte", idx({2}, "\7\3"));
  for (const std::string& source :
       {images, "idx:" + images, "idx:" + images + "," + folder.path("train-labels-idx1-ubyte")}) {
    const auto data = open_in_order(source, image_model(Shape{-1, 6}));
    EXPECT_EQ(data->num_samples(), 2);
    EXPECT_EQ(data->num_classes(), 8);
    EXPECT_EQ(labels_of(*data, {1, 0}), (std::vector<std::int64_t>{3, 7}));
    const auto pixels = pixels_of(*data, {1, 0});
    EXPECT_EQ(pixels[0], 1.0F);
    EXPECT_EQ(pixels[5], 250.0F / 255);
    EXPECT_EQ(pixels[11], 5.0F / 255);
  }
}

TEST(Idx, SaysWhatIsBroken) {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& images, const std::string& labels) {
    return error_for("idx:" + folder.write("i", images) + "," + folder.write("l", labels), image_model(Shape{-1, 1}));
  };
  const std::string image = idx({1, 1, 1}, "x");
  const std::string label = idx({1}, "\1");
  EXPECT_EQ(error(image, label), "");
  EXPECT_NE(error("", label).find("0 bytes"), std::string::npos);
  EXPECT_NE(error(image.substr(0, 9), label).find("truncated in its header"), std::string::npos);
  EXPECT_NE(error(image.substr(0, 16), label).find("shape 1x1x1 is announced, 0 bytes follow"), std::string::npos);
  EXPECT_NE(error(idx({~0U, ~0U, ~0U}, "x"), label).find("truncated"), std::string::npos);
  EXPECT_NE(error(label, label).find("begins with 00000801"), std::string::npos);
  EXPECT_NE(error("\x1f\x8b\x08\x03", label).find("gunzip"), std::string::npos);
  EXPECT_NE(error(image, idx({2}, "\1\1")).find("1 images"), std::string::npos);
  EXPECT_NE(error(idx({0, 1, 1}, ""), idx({0}, "")).find("no sample"), std::string::npos);
  EXPECT_NE(error_for("idx:" + folder.write("images-alone", image), image_model(Shape{-1, 1})).find("labels-alone"),
            std::string::npos);
  EXPECT_NE(error_for("idx:" + folder.write("pixels", image), image_model(Shape{-1, 1})).find("idx:IMAGES,LABELS"),
            std::string::npos);
  EXPECT_NE(error_for("idx:a,b,c", image_model(Shape{-1, 1})).find("3 files"), std::string::npos);
}

/// `count` records of CIFAR-10 whose pixels all are the record's label + `first`.
std::string cifar(int first, int count) {
  std::string bytes;
  for (int i = 0; i < count; ++i) {
    bytes += static_cast<char>(i);
    bytes += std::string(3072, static_cast<char>(first + i));
  }
  return bytes;
}

TEST(Cifar10, ReadsFilesAndFoldersInOrder) {
  const TemporaryFolder folder;
  const std::string one = folder.write("data_batch_1.bin", cifar(0, 3));
  const std::string two = folder.write("data_batch_2.bin", cifar(100, 2));
  folder.write("test_batch.bin", cifar(200, 1));
  for (const std::string& source : {folder.path(""), "cifar10:" + folder.path(""), "cifar10:" + one + "," + two}) {
    const auto data = open_in_order(source, image_model(Shape{-1, 3, 32, 32}, 10));
    EXPECT_EQ(data->num_samples(), 5);
    EXPECT_EQ(labels_of(*data, {0, 2, 3, 4}), (std::vector<std::int64_t>{0, 2, 0, 1}));
    const auto pixels = pixels_of(*data, {4, 1});
    EXPECT_EQ(pixels[0], 101.0F / 255);
    EXPECT_EQ(pixels[3071], 101.0F / 255);
    EXPECT_EQ(pixels[3072], 1.0F / 255);
  }
  EXPECT_EQ(open_in_order(one, image_model(Shape{-1, 3, 32, 32}))->num_samples(), 3);
}

TEST(Cifar10, SaysWhatIsBroken) {
  const TemporaryFolder folder;
  const auto inputs = image_model(Shape{-1, 3, 32, 32});
  EXPECT_NE(error_for("cifar10:" + folder.path(""), inputs).find("without data_batch_"), std::string::npos);
  EXPECT_NE(error_for("cifar10:" + folder.write("a", cifar(0, 1).substr(1)), inputs).find("3072 bytes"),
            std::string::npos);
  EXPECT_NE(error_for("cifar10:" + folder.write("a", ""), inputs).find("0 bytes"), std::string::npos);
  EXPECT_NE(error_for("cifar10:" + folder.write("a", cifar(0, 11)), inputs).find("label 10 of sample 10"),
            std::string::npos);
}

}  // namespace
}  // namespace dml
