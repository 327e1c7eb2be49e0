// Sources of initializers and constants: bytes that lie somewhere, converted box by box while they are read.
#include <bit>
#include <cmath>
#include <cstring>

#include "kernels/error.h"
#include "models/graph.h"

namespace dml {
namespace {

template <typename T>
T load(const std::byte* from) {
  T element;
  std::memcpy(&element, from, sizeof(T));
  return element;
}

float float_of_half(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16;
  const std::uint32_t exponent = (half >> 10) & 0x1FU;
  const std::uint32_t mantissa = half & 0x3FFU;
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint32_t wide = exponent == 31 ? 255U : exponent + 112U;
  return std::bit_cast<float>(sign | (wide << 23) | (mantissa << 13));
}

float float_at(const std::byte* at, DataType type) {
  switch (type) {
    case DataType::f32: return load<float>(at);
    case DataType::f64: return static_cast<float>(load<double>(at));
    case DataType::f16: return float_of_half(load<std::uint16_t>(at));
    case DataType::bf16: return std::bit_cast<float>(static_cast<std::uint32_t>(load<std::uint16_t>(at)) << 16);
    case DataType::i64: return static_cast<float>(load<std::int64_t>(at));
    case DataType::i32: return static_cast<float>(load<std::int32_t>(at));
    case DataType::u8: return static_cast<float>(load<std::uint8_t>(at));
    case DataType::boolean: return load<std::uint8_t>(at) != 0 ? 1.0F : 0.0F;
  }
  return 0;
}

std::int64_t integer_at(const std::byte* at, DataType type) {
  switch (type) {
    case DataType::i64: return load<std::int64_t>(at);
    case DataType::i32: return load<std::int32_t>(at);
    case DataType::u8: return load<std::uint8_t>(at);
    case DataType::boolean: return load<std::uint8_t>(at) != 0 ? 1 : 0;
    default: throw IoError("[source] a tensor of " + std::string(name_of(type)) + " is read as integers");
  }
}

void convert(float* out, const std::byte* from, DataType type, std::int64_t count) {
  if (type == DataType::f32) {
    std::memcpy(out, from, static_cast<std::size_t>(count) * sizeof(float));
    return;
  }
  const std::size_t stride = size_of(type);
  for (std::int64_t i = 0; i < count; ++i) out[i] = float_at(from + static_cast<std::size_t>(i) * stride, type);
}

void check_box(const Shape& shape, const Shape& offset, const Shape& extent) {
  bool fits = offset.rank() == shape.rank() && extent.rank() == shape.rank();
  for (int dim = 0; fits && dim < shape.rank(); ++dim) {
    fits = offset[dim] >= 0 && extent[dim] >= 0 && offset[dim] + extent[dim] <= shape[dim];
  }
  if (!fits) {
    throw std::invalid_argument("[source] box at " + offset.to_string() + " of " + extent.to_string() +
                                " leaves the tensor " + shape.to_string());
  }
}

class ByteSource final : public TensorSource {
 public:
  ByteSource(DataType type, Shape shape, const std::byte* bytes, std::shared_ptr<const void> owner)
      : type_(type), shape_(shape), bytes_(bytes), owner_(std::move(owner)) {}

  DataType stored_type() const override { return type_; }
  const Shape& shape() const override { return shape_; }

  // The dims from `first` on are contiguous in the box; those before it are counted through.
  void read_f32(float* out, const Shape& offset, const Shape& extent) const override {
    check_box(shape_, offset, extent);
    if (extent.num_elements() == 0) return;
    const auto strides = strides_of(shape_);
    int first = shape_.rank();
    while (first > 0 && extent[first - 1] == shape_[first - 1]) --first;
    if (first > 0) --first;
    const std::int64_t run = extent.product(first, extent.rank());
    const std::int64_t num_runs = extent.product(0, first);
    for (std::int64_t index = 0; index < num_runs; ++index) {
      std::int64_t rest = index;
      std::int64_t at = 0;
      for (int dim = shape_.rank() - 1; dim >= 0; --dim) {
        const std::int64_t coordinate = dim < first ? rest % extent[dim] : 0;
        if (dim < first) rest /= extent[dim];
        at += (offset[dim] + coordinate) * strides[static_cast<std::size_t>(dim)];
      }
      convert(out + index * run, bytes_ + static_cast<std::size_t>(at) * size_of(type_), type_, run);
    }
  }

  void read_i64(std::int64_t* out) const override {
    const std::size_t stride = size_of(type_);
    for (std::int64_t i = 0; i < shape_.num_elements(); ++i) {
      out[i] = integer_at(bytes_ + static_cast<std::size_t>(i) * stride, type_);
    }
  }

 private:
  DataType type_;
  Shape shape_;
  const std::byte* bytes_;
  std::shared_ptr<const void> owner_;
};

void check_count(const Shape& shape, std::size_t count) {
  if (shape.num_elements() != static_cast<std::int64_t>(count)) {
    throw std::invalid_argument("[source] " + std::to_string(count) + " elements for the shape " + shape.to_string());
  }
}

template <typename T>
std::shared_ptr<const TensorSource> own(DataType type, Shape shape, std::vector<T> elements) {
  check_count(shape, elements.size());
  const auto owner = std::make_shared<const std::vector<T>>(std::move(elements));
  return make_source(type, shape, reinterpret_cast<const std::byte*>(owner->data()), owner);
}

template <typename T>
std::vector<T> narrowed(const std::vector<std::int64_t>& elements) {
  std::vector<T> result;
  result.reserve(elements.size());
  for (const std::int64_t element : elements) result.push_back(static_cast<T>(element));
  return result;
}

}  // namespace

void TensorSource::read_all_f32(float* out) const {
  Shape origin = shape();
  for (int dim = 0; dim < origin.rank(); ++dim) origin[dim] = 0;
  read_f32(out, origin, shape());
}

std::shared_ptr<const TensorSource> make_source(DataType type, Shape shape, const std::byte* bytes,
                                                std::shared_ptr<const void> owner) {
  return std::make_shared<ByteSource>(type, shape, bytes, std::move(owner));
}

std::shared_ptr<const TensorSource> make_source(Shape shape, std::vector<float> elements) {
  return own(DataType::f32, shape, std::move(elements));
}

std::shared_ptr<const TensorSource> make_source(Shape shape, std::vector<std::int64_t> elements, DataType type) {
  switch (type) {
    case DataType::i64: return own(type, shape, std::move(elements));
    case DataType::i32: return own(type, shape, narrowed<std::int32_t>(elements));
    case DataType::u8: return own(type, shape, narrowed<std::uint8_t>(elements));
    case DataType::boolean: {
      for (std::int64_t& element : elements) element = element != 0 ? 1 : 0;
      return own(type, shape, narrowed<std::uint8_t>(elements));
    }
    default: throw std::invalid_argument("[source] integers given for a tensor of " + std::string(name_of(type)));
  }
}

}  // namespace dml
