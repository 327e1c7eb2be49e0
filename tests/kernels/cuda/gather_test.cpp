#include "kernels/gather.h"

#include "tests/kernels/cuda/device_fixture.h"

namespace dml {
namespace {

using testing::normal_floats;
using testing::uniform;

class CudaGather : public testing::DeviceTest {};

const std::vector<GatherShape> kShapes = {
    {1, 5, 3, 4, {}, 0},      {3, 7, 1, 9, {}, 0}, {1, 257, 130, 1000, {}, 0}, {2, 4, 65, 11, 0, 12},
    {1, 10, 64, 333, 20, 50}, {1, 3, 1, 0, {}, 0}, {1, 2000, 4, 300, {}, 0},
};

std::string text_of(const GatherShape& shape) {
  return std::to_string(shape.outer) + "x" + std::to_string(shape.rows) + "x" + std::to_string(shape.inner) + " by " +
         std::to_string(shape.indices);
}

std::vector<std::int64_t> indices_of(const GatherShape& shape) {
  const auto rows = static_cast<double>(shape.rows_to_index());
  return uniform<std::int64_t>(shape.indices, -rows, rows - 0.5, 5);
}

TEST_F(CudaGather, RowsAreTheCpus) {
  for (const GatherShape& shape : kShapes) {
    const auto x = normal_floats(shape.outer * shape.rows * shape.inner, 1);
    const auto indices = indices_of(shape);
    const std::int64_t n = shape.outer * shape.indices * shape.inner;
    std::vector<float> expected(static_cast<std::size_t>(n));
    cpu::gather(expected.data(), x.data(), indices.data(), shape, sizeof(float));
    auto* const y = allocate_elems<float>(n);
    cuda::gather(y, upload(x), upload(indices), shape, sizeof(float), queue());
    EXPECT_EQ(download(y, n), expected) << text_of(shape);
    EXPECT_EQ(fault().kind, cuda::Fault::none);
  }
}

// The same bits: both add in the order of the indices.
TEST_F(CudaGather, GradientsAreTheCpus) {
  for (const GatherShape& shape : kShapes) {
    const auto dy = normal_floats(shape.outer * shape.indices * shape.inner, 2);
    const auto indices = indices_of(shape);
    const std::vector<std::int32_t> narrow(indices.begin(), indices.end());
    const std::int64_t n = shape.outer * shape.rows * shape.inner;
    std::vector<float> expected(static_cast<std::size_t>(n));
    cpu::gather_grad(expected.data(), dy.data(), indices.data(), shape);
    auto* const dx = allocate_elems<float>(n);
    cuda::gather_grad(dx, upload(dy), upload(indices), shape, queue());
    EXPECT_EQ(download(dx, n), expected) << text_of(shape);
    auto* const dx_narrow = allocate_elems<float>(n);
    cuda::gather_grad(dx_narrow, upload(dy), upload(narrow), shape, queue());
    EXPECT_EQ(download(dx_narrow, n), expected) << text_of(shape);
  }
}

TEST_F(CudaGather, AnIndexOutOfRangeIsAFaultAndGivesZeros) {
  const GatherShape shape{1, 4, 2, 3, {}, 0};
  auto* const y = allocate_elems<float>(6);
  cuda::gather(y, upload(std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8}), upload(std::vector<std::int64_t>{1, 4, -4}),
               shape, sizeof(float), queue());
  EXPECT_EQ(download(y, 6), (std::vector<float>{3, 4, 0, 0, 1, 2}));
  EXPECT_EQ(fault().kind, cuda::Fault::index);
  EXPECT_EQ(fault().place, 1);
  EXPECT_EQ(fault().value, 4);
  EXPECT_EQ(fault().limit, 4);
}

TEST_F(CudaGather, AnIndexBelowTheTableIsAFault) {
  const GatherShape shape{1, 4, 1, 2, {}, 0};
  auto* const y = allocate_elems<float>(2);
  cuda::gather(y, upload(std::vector<float>{1, 2, 3, 4}), upload(std::vector<std::int64_t>{-5, 2}), shape,
               sizeof(float), queue());
  EXPECT_EQ(download(y, 2), (std::vector<float>{0, 3}));
  EXPECT_EQ(fault().kind, cuda::Fault::index);
  EXPECT_EQ(fault().value, -5);
}

}  // namespace
}  // namespace dml
