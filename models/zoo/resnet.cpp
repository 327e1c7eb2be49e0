// ResNet-18 (He et al., 2015) with batch statistics. Images below 128 pixels get the stem that is usual for CIFAR
// (3x3, stride 1), larger ones that of ImageNet (7x7, stride 2, max pool). Parameters are named as in torchvision.
#include <fmt/format.h>

#include <cmath>

#include "models/zoo/model_builder.h"

namespace dml {
namespace {

constexpr std::int64_t kLargeImage = 128;

class ResnetBuilder {
 public:
  ResnetBuilder(const std::string& name, std::int64_t classes, std::int64_t width, std::int64_t size)
      : b_(name), classes_(classes), width_(width), size_(size) {}

  ZooModel build() {
    std::string x = stem(b_.input("image", DataType::f32, {3, size_, size_}));
    std::int64_t in = width_;
    for (int stage = 0; stage < 4; ++stage) {
      const std::int64_t out = width_ << stage;
      for (int i = 0; i < 2; ++i) {
        x = block(fmt::format("/layer{}.{}", stage + 1, i), x, in, out, stage > 0 && i == 0 ? 2 : 1);
        in = out;
      }
    }
    x = b_.node("Flatten", "", {b_.node("GlobalAveragePool", "/avgpool", {x})});
    b_.output(b_.gemm("/fc", x, in, classes_), "logits", {classes_});
    return b_.take();
  }

 private:
  using Text = const std::string&;

  std::string stem(Text image) {
    const bool large = size_ >= kLargeImage;
    std::string x = convolution("/conv1", image, 3, width_, large ? 7 : 3, large ? 2 : 1);
    x = b_.node("Relu", "", {batch_norm("/bn1", x, width_)});
    if (!large) return x;
    x = b_.node("MaxPool", "/maxpool", {x});
    set_attribute(b_.last(), "kernel_shape", std::vector<std::int64_t>{3, 3});
    set_attribute(b_.last(), "strides", std::vector<std::int64_t>{2, 2});
    set_attribute(b_.last(), "pads", std::vector<std::int64_t>{1, 1, 1, 1});
    return x;
  }

  std::string block(Text scope, Text x, std::int64_t in, std::int64_t out, std::int64_t stride) {
    std::string y = batch_norm(scope + "/bn1", convolution(scope + "/conv1", x, in, out, 3, stride), out);
    y = b_.node("Relu", scope, {y});
    y = batch_norm(scope + "/bn2", convolution(scope + "/conv2", y, out, out, 3, 1), out);
    std::string shortcut = x;
    if (stride != 1 || in != out) {
      const std::string down = scope + "/downsample";
      shortcut = batch_norm(down + ".1", convolution(down + ".0", x, in, out, 1, stride), out);
    }
    return b_.node("Relu", scope, {b_.node("Add", scope, {y, shortcut})});
  }

  /// Padded to keep the size at stride 1; no bias. Kaiming's normal weights over the fan-out.
  std::string convolution(Text scope, Text x, std::int64_t in, std::int64_t out, std::int64_t kernel,
                          std::int64_t stride) {
    const auto rule = InitialWeights::normal(std::sqrt(2.0 / static_cast<double>(out * kernel * kernel)));
    std::string y = b_.node("Conv", scope, {x, b_.weight(scope, "weight", Shape{out, in, kernel, kernel}, rule)});
    const std::int64_t pad = kernel / 2;
    set_attribute(b_.last(), "dilations", std::vector<std::int64_t>{1, 1});
    set_attribute(b_.last(), "group", std::int64_t{1});
    set_attribute(b_.last(), "kernel_shape", std::vector<std::int64_t>{kernel, kernel});
    set_attribute(b_.last(), "pads", std::vector<std::int64_t>{pad, pad, pad, pad});
    set_attribute(b_.last(), "strides", std::vector<std::int64_t>{stride, stride});
    return y;
  }

  std::string batch_norm(Text scope, Text x, std::int64_t channels) {
    const auto zeros = InitialWeights::constant(0);
    const auto ones = InitialWeights::constant(1);
    const Shape shape{channels};
    const std::string scale = b_.weight(scope, "weight", shape, ones);
    const std::string bias = b_.weight(scope, "bias", shape, zeros);
    const std::string mean = b_.weight(scope, "running_mean", shape, zeros);
    const std::string variance = b_.weight(scope, "running_var", shape, ones);
    std::string y = b_.node("BatchNormalization", scope, {x, scale, bias, mean, variance}, 3);
    set_attribute(b_.last(), "epsilon", 1e-5F);
    set_attribute(b_.last(), "momentum", 0.9F);
    set_attribute(b_.last(), "training_mode", std::int64_t{1});
    return y;
  }

  ModelBuilder b_;
  std::int64_t classes_, width_, size_;
};

}  // namespace

ZooModel make_resnet18(const ModelSpec& spec) {
  const std::int64_t classes = spec.integer("classes", 1, 1 << 24);
  const std::int64_t width = spec.integer("width", 1, 1 << 14);
  const std::int64_t size = spec.integer("size", 8, 1 << 14);
  return ResnetBuilder(spec.name(), classes, width, size).build();
}

}  // namespace dml
