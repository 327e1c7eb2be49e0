// What the operation table does not show of matrix products: threads, repeated bits, errors.
#include "kernels/matmul.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <thread>

#include "tests/kernels/isa_fixture.h"

namespace dml {
namespace {

using testing::Guarded;
using testing::normal;

/// y[m, n] = op(a) b, of seeded operands.
struct Product {
  Product(std::int64_t m, std::int64_t n, std::int64_t k, bool trans_a)
      : a(normal(m * k, 1)), b(normal(k * n, 2)), bias(normal(n, 3)), y(m * n), m(m), n(n), k(k), trans_a(trans_a) {}

  std::function<void()> prepare() {
    return cpu::prepare_matmul(view(y, {m, n}), view(a, trans_a ? Shape{k, m} : Shape{m, k}), view(b, {k, n}), {},
                               {.trans_a = trans_a});
  }
  std::vector<double> reference() const {
    std::vector<double> result(static_cast<std::size_t>(m * n), 0.0);
    for (std::int64_t row = 0; row < m; ++row) {
      for (std::int64_t i = 0; i < k; ++i) {
        const auto factor = static_cast<double>(trans_a ? a[i * m + row] : a[row * k + i]);
        for (std::int64_t column = 0; column < n; ++column) {
          result[static_cast<std::size_t>(row * n + column)] += factor * static_cast<double>(b[i * n + column]);
        }
      }
    }
    return result;
  }

  Guarded<float> a, b, bias, y;
  std::int64_t m, n, k;
  bool trans_a;
};

/// The forms of a GPT of width 256 with few tokens (of both ways to multiply by a transposed a), and one that a single
/// thread takes.
std::vector<Product> products() {
  return {{128, 768, 256, false}, {256, 192, 512, true}, {1024, 96, 128, true}, {33, 17, 65, false}};
}

constexpr double kTolerance = 2e-4;  // 512 products of normal numbers

TEST(MatMul, EqualsTheReferenceOnOneAndTwoThreads) {
  for (Product& product : products()) {
    for (const int threads : {1, 2}) {
      testing::IsaTest::set_threads(threads);
      product.prepare()();
      testing::expect_close(product.y, product.reference(), kTolerance, 1e-5, "y");
    }
  }
}

TEST(MatMul, SameThreadsGiveSameBits) {
  for (Product& product : products()) {
    const auto multiply = product.prepare();
    multiply();
    const Guarded<float> first = product.y;
    for (int run = 0; run < 20; ++run) {
      multiply();
      ASSERT_TRUE(product.y == first) << product.m << "x" << product.n << "x" << product.k << " run " << run;
    }
  }
}

TEST(MatMul, RanksAreThreadsThatMultiplyAtOnce) {
  std::vector<std::thread> ranks;
  std::vector<Guarded<float>> results(4, Guarded<float>(0));
  for (std::size_t rank = 0; rank < results.size(); ++rank) {
    ranks.emplace_back([&, rank] {
      testing::IsaTest::set_threads(1);
      for (Product& product : products()) {
        const auto multiply = product.prepare();
        for (int run = 0; run < 5; ++run) multiply();
        results[rank] = product.y;
      }
    });
  }
  for (std::thread& rank : ranks) rank.join();
  for (const auto& result : results) EXPECT_TRUE(result == results[0]);
}

TEST(MatMul, OutlivesTheThreadThatPreparedIt) {
  Product product(64, 64, 300, false);
  std::function<void()> multiply;
  std::thread([&] { multiply = product.prepare(); }).join();
  multiply();
  testing::expect_close(product.y, product.reference(), kTolerance, 1e-5, "y");
}

TEST(MatMul, ErrorsCarryTheShapes) {
  Guarded<float> x(64);
  try {
    cpu::prepare_matmul(view(x, {4, 4}), view(x, {4, 3}), view(x, {2, 4}), {}, {});
    FAIL() << "no error";
  } catch (const std::invalid_argument& error) {
    EXPECT_STREQ(error.what(), "[matmul] K differs: y is 4x4, a is 4x3, b is 2x4");
  }
  EXPECT_THROW(cpu::prepare_matmul(view(x, {4, 5}), view(x, {4, 3}), view(x, {3, 4}), {}, {}), std::invalid_argument);
  EXPECT_THROW(cpu::prepare_matmul(view(x, {4, 4}), view(x, {4, 3}), view(x, {3, 4}), view(x, {3}), {}),
               std::invalid_argument);
  EXPECT_THROW(cpu::prepare_matmul(view(x, {4}), view(x, {4}), view(x, {4, 1}), {}, {}), std::invalid_argument);
}

}  // namespace
}  // namespace dml
