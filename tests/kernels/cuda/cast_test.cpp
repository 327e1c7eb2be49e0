#include "kernels/cast.h"

#include <limits>

#include "tests/kernels/cuda/device_fixture.h"

namespace dml {
namespace {

class CudaCast : public testing::DeviceTest {};

constexpr DataType kCastTypes[] = {DataType::f32, DataType::f64, DataType::f16, DataType::bf16,
                                   DataType::i64, DataType::i32, DataType::u8,  DataType::boolean};

/// Numbers at the borders of every type, of odd count.
std::vector<double> numbers() {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {0,         -0.0,    1,         -1,     0.5,          1.5,          2.5,
          -3.7,      255,     256,       -128,   65504,        65519,        65520,
          1e-8,      6e-8,    3e-5,      6.1e-5, 2147483647.0, 2147483648.0, -2147483649.0,
          9.3e18,    -9.3e18, kInfinity, 1e39,   1e-40,        -kInfinity,   std::numeric_limits<double>::quiet_NaN(),
          1.00390625};
}

TEST_F(CudaCast, EveryPairOfTypesEqualsTheCpu) {
  auto values = numbers();
  const auto n = static_cast<std::int64_t>(values.size());
  for (const DataType from : kCastTypes) {
    std::vector<std::uint8_t> x(values.size() * size_of(from));
    const TensorView source{x.data(), from, {n}};
    cpu::cast(source, {values.data(), DataType::f64, {n}});
    auto* const device_x = upload(x);
    for (const DataType to : kCastTypes) {
      std::vector<std::uint8_t> expected(values.size() * size_of(to));
      cpu::cast({expected.data(), to, {n}}, source);
      const auto bytes = static_cast<std::int64_t>(expected.size());
      auto* const y = allocate_elems<std::uint8_t>(bytes);
      cuda::cast({y, to, {n}}, {device_x, from, {n}}, queue());
      EXPECT_EQ(download(y, bytes), expected) << name_of(from) << " to " << name_of(to);
    }
  }
}

}  // namespace
}  // namespace dml
