#include "kernels/move.h"

#include <numeric>

#include "tests/kernels/cuda/device_fixture.h"

namespace dml {
namespace {

using testing::DeviceTest;

class CudaMove : public DeviceTest {
 protected:
  static std::vector<std::uint8_t> bytes_of(std::int64_t n) {
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(n));
    std::iota(bytes.begin(), bytes.end(), std::uint8_t{1});
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(bytes[i] ^ (i >> 8) * 37);
    return bytes;
  }
};

constexpr DataType kMovedTypes[] = {DataType::u8, DataType::bf16, DataType::f32, DataType::i64};

struct TransposeCase {
  Shape x;
  std::vector<std::int64_t> perm;
};

const std::vector<TransposeCase> kTransposeCases = {
    {{}, {}},
    {{7}, {0}},
    {{33, 65}, {1, 0}},
    {{2, 5, 3, 8}, {0, 2, 1, 3}},
    {{2, 5, 3, 6}, {0, 2, 3, 1}},
    {{3, 40, 2, 31}, {3, 1, 0, 2}},
    {{0, 4}, {1, 0}},
    {{2, 3, 2, 3, 2}, {4, 2, 0, 3, 1}},
};

TEST_F(CudaMove, TransposeEqualsTheCpu) {
  for (const TransposeCase& c : kTransposeCases) {
    for (const DataType type : kMovedTypes) {
      const std::size_t size = size_of(type);
      const std::int64_t bytes = c.x.num_elements() * static_cast<std::int64_t>(size);
      const auto x = bytes_of(bytes);
      std::vector<std::uint8_t> expected(x.size());
      const TransposePlan plan = plan_transpose(c.x, c.perm);
      cpu::transpose(expected.data(), x.data(), plan, size);
      auto* const y = allocate_elems<std::uint8_t>(bytes);
      cuda::transpose(y, upload(x), plan, size, queue());
      EXPECT_EQ(download(y, bytes), expected) << c.x.to_string() << " of " << name_of(type);
    }
  }
}

TEST_F(CudaMove, ExpandEqualsTheCpu) {
  for (const auto& [from, to] : std::vector<std::pair<Shape, Shape>>{
           {{1}, {37}}, {{5, 1, 4}, {2, 5, 3, 4}}, {{3, 1}, {3, 70}}, {{}, {2, 2}}, {{1, 8}, {9, 8}}}) {
    const auto x = bytes_of(from.num_elements() * 4);
    const std::int64_t bytes = to.num_elements() * 4;
    std::vector<std::uint8_t> expected(static_cast<std::size_t>(bytes));
    const BroadcastPlan plan = plan_broadcast(to, std::array{from});
    cpu::expand(expected.data(), x.data(), plan, 4);
    auto* const y = allocate_elems<std::uint8_t>(bytes);
    cuda::expand(y, upload(x), plan, 4, queue());
    EXPECT_EQ(download(y, bytes), expected) << from.to_string() << " to " << to.to_string();
  }
}

// Every width of word: strides and addresses allow 16 bytes here, one there.
TEST_F(CudaMove, PiecesAreCopiedAtAnyAlignment) {
  const auto x = bytes_of(4096);
  for (const std::int64_t shift : {0, 1, 2, 4, 8, 16}) {
    for (const std::int64_t elems : {1, 3, 16, 48, 100}) {
      const Pieces pieces{5, elems, 7 * elems, 3 * elems};
      std::vector<std::uint8_t> expected(4096);
      cpu::copy_pieces(expected.data() + shift, x.data() + 2 * shift, pieces, 1);
      auto* const y = upload(std::vector<std::uint8_t>(4096));
      cuda::copy_pieces(y + shift, upload(x) + 2 * shift, pieces, 1, queue());
      EXPECT_EQ(download(y, 4096), expected) << elems << " bytes, shifted by " << shift;
    }
  }
}

TEST_F(CudaMove, SlicesAndTheirGradientsTakeAnyStep) {
  const Shape whole{3, 11, 5};
  const auto x = bytes_of(whole.num_elements() * 4);
  for (const auto& [start, step, n] :
       {std::array{0, 1, 11}, {4, 1, 3}, {1, 3, 4}, {10, -1, 11}, {9, -4, 3}, {5, 2, 0}}) {
    const Shape part{3, n, 5};
    const std::int64_t bytes = part.num_elements() * 4;
    std::vector<std::uint8_t> expected(static_cast<std::size_t>(bytes)), expected_grad(x.size());
    auto source = x;
    cpu::slice({expected.data(), DataType::f32, part}, {source.data(), DataType::f32, whole}, 1, start, step);
    cpu::slice_grad({expected_grad.data(), DataType::f32, whole}, {expected.data(), DataType::f32, part}, 1, start,
                    step);
    auto* const y = allocate_elems<std::uint8_t>(bytes);
    auto* const dx = allocate_elems<std::uint8_t>(whole.num_elements() * 4);
    cuda::slice({y, DataType::f32, part}, {upload(x), DataType::f32, whole}, 1, start, step, queue());
    cuda::slice_grad({dx, DataType::f32, whole}, {y, DataType::f32, part}, 1, start, step, queue());
    EXPECT_EQ(download(y, bytes), expected) << "from " << start << " by " << step;
    EXPECT_EQ(download(dx, whole.num_elements() * 4), expected_grad) << "from " << start << " by " << step;
  }
}

}  // namespace
}  // namespace dml
