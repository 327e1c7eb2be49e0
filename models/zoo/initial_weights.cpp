#include "models/zoo/initial_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "kernels/error.h"
#include "kernels/philox.h"

namespace dml {
namespace {

constexpr std::int64_t kPerBlock = 4;  ///< elements that one random block yields

/// FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/): short, and the same everywhere.
std::uint64_t hash_of(const std::string& name) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

/// In (0, 1), never an end of it.
double unit(std::uint32_t bits) { return (static_cast<double>(bits) + 0.5) * 0x1p-32; }

/// Four standard normal numbers (Box and Muller, 1958), in double so that they do not hang on a libm's last bit.
std::array<double, 4> normal_block(const PhiloxBlock& bits) {
  std::array<double, 4> out{};
  for (std::size_t i = 0; i < 4; i += 2) {
    const double radius = std::sqrt(-2 * std::log(unit(bits[i])));
    const double angle = 2 * std::numbers::pi * unit(bits[i + 1]);
    out[i] = radius * std::cos(angle);
    out[i + 1] = radius * std::sin(angle);
  }
  return out;
}

std::array<double, 4> uniform_block(const PhiloxBlock& bits) {
  std::array<double, 4> out{};
  for (std::size_t i = 0; i < 4; ++i) out[i] = 2 * unit(bits[i]) - 1;
  return out;
}

void fill(std::span<float> out, const InitialWeights& rule, std::uint64_t seed, std::uint64_t hash,
          std::int64_t first) {
  if (rule.kind == InitialWeights::Kind::constant) {
    std::fill(out.begin(), out.end(), static_cast<float>(rule.scale));
    return;
  }
  const PhiloxKey key = {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)};
  const std::int64_t end = first + static_cast<std::int64_t>(out.size());
  for (std::int64_t at = first; at < end;) {
    const std::int64_t block = at / kPerBlock;
    const PhiloxBlock bits = philox4x32({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32),
                                         static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(hash >> 32)},
                                        key);
    const auto values = rule.kind == InitialWeights::Kind::normal ? normal_block(bits) : uniform_block(bits);
    for (const std::int64_t stop = std::min(end, (block + 1) * kPerBlock); at < stop; ++at) {
      out[static_cast<std::size_t>(at - first)] =
          static_cast<float>(rule.scale * values[static_cast<std::size_t>(at % kPerBlock)]);
    }
  }
}

class WeightSource final : public TensorSource {
 public:
  WeightSource(const InitialWeights& rule, std::uint64_t seed, const std::string& name, const Shape& shape)
      : rule_(rule), seed_(seed), hash_(hash_of(name)), shape_(shape), name_(name) {}

  DataType stored_type() const override { return DataType::f32; }
  const Shape& shape() const override { return shape_; }

  void read_f32(float* out, const Shape& offset, const Shape& extent) const override {
    if (extent.num_elements() > 0) read_box(out, offset, extent, 0, 0);
  }

  void read_i64(std::int64_t*) const override {
    throw InternalError(fmt::format("initial weights {} are read as integers", name_));
  }

 private:
  /// Returns where the next box element goes.
  float* read_box(float* out, const Shape& offset, const Shape& extent, int dim, std::int64_t row) const {
    if (dim >= shape_.rank() - 1) {
      const bool scalar = shape_.rank() == 0;
      const std::int64_t count = scalar ? 1 : extent[dim];
      const std::int64_t first = scalar ? 0 : row * shape_[dim] + offset[dim];
      fill({out, static_cast<std::size_t>(count)}, rule_, seed_, hash_, first);
      return out + count;
    }
    for (std::int64_t i = 0; i < extent[dim]; ++i) {
      out = read_box(out, offset, extent, dim + 1, row * shape_[dim] + offset[dim] + i);
    }
    return out;
  }

  InitialWeights rule_;
  std::uint64_t seed_;
  std::uint64_t hash_;
  Shape shape_;
  std::string name_;
};

}  // namespace

void fill_weights(std::span<float> out, const InitialWeights& rule, std::uint64_t seed, const std::string& name,
                  std::int64_t first) {
  fill(out, rule, seed, hash_of(name), first);
}

std::shared_ptr<const TensorSource> make_weights(const InitialWeights& rule, std::uint64_t seed,
                                                 const std::string& name, const Shape& shape) {
  return std::make_shared<WeightSource>(rule, seed, name, shape);
}

}  // namespace dml
