// What tests of vector kernels share: a run per instruction set that this processor has, buffers with guards around an
// unaligned middle, and the comparison against a reference in double.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "kernels/isa.h"
#include "kernels/tensor.h"

// Absent where OpenMP is.
extern "C" void omp_set_num_threads(int) __attribute__((weak));

namespace dml::testing {

/// Runs each test under every instruction set; those that the processor lacks are skipped.
class IsaTest : public ::testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (GetParam() > detected_isa()) GTEST_SKIP() << "this processor has no " << name_of(GetParam());
    cap_isa(GetParam());
  }
  void TearDown() override {
    cap_isa(Isa::avx512);
    set_threads(2);
  }

 public:
  static void set_threads(int threads) {
    if (omp_set_num_threads != nullptr) omp_set_num_threads(threads);
  }
};

#define DML_INSTANTIATE_ISA(suite)                                                                                    \
  INSTANTIATE_TEST_SUITE_P(Isa, suite, ::testing::Values(::dml::Isa::portable, ::dml::Isa::avx2, ::dml::Isa::avx512), \
                           [](const auto& info) { return std::string(::dml::name_of(info.param)); })

/// n elements, one element off any vector boundary, with a pattern on both sides that `intact` checks.
template <typename T>
class Guarded {
 public:
  explicit Guarded(std::int64_t n, T value = T{})
      : storage_(static_cast<std::size_t>(n + kBefore + kAfter), kPattern), n_(n) {
    std::fill_n(data(), static_cast<std::size_t>(n), value);
  }

  T* data() { return storage_.data() + kBefore; }
  const T* data() const { return storage_.data() + kBefore; }
  T* begin() { return data(); }
  T* end() { return data() + n_; }
  std::int64_t size() const { return n_; }
  T& operator[](std::int64_t i) { return data()[i]; }
  T operator[](std::int64_t i) const { return data()[i]; }

  bool intact() const {
    for (std::int64_t i = 0; i < kBefore; ++i) {
      if (storage_[static_cast<std::size_t>(i)] != kPattern) return false;
    }
    for (std::int64_t i = 0; i < kAfter; ++i) {
      if (storage_[static_cast<std::size_t>(kBefore + n_ + i)] != kPattern) return false;
    }
    return true;
  }

  friend bool operator==(const Guarded& a, const Guarded& b) {
    if (a.n_ != b.n_) return false;
    for (std::int64_t i = 0; i < a.n_; ++i) {
      if (a[i] != b[i]) return false;
    }
    return true;
  }

 private:
  static constexpr std::int64_t kBefore = 17;
  static constexpr std::int64_t kAfter = 67;
  static constexpr T kPattern = static_cast<T>(113);
  std::vector<T> storage_;
  std::int64_t n_;
};

inline TensorView view(Guarded<float>& x, const Shape& shape) { return {x.data(), DataType::f32, shape}; }

inline Guarded<float> normal(std::int64_t n, unsigned seed, float deviation = 1.0f) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution(0.0f, deviation);
  Guarded<float> x(n);
  for (float& value : x) value = distribution(generator);
  return x;
}

/// |found - wanted| ≤ atol + rtol·|wanted| everywhere, and guards untouched; the first failure is named.
inline void expect_close(const Guarded<float>& found, const std::vector<double>& wanted, double atol, double rtol,
                         const std::string& what) {
  ASSERT_EQ(found.size(), static_cast<std::int64_t>(wanted.size())) << what;
  for (std::int64_t i = 0; i < found.size(); ++i) {
    const double reference = wanted[static_cast<std::size_t>(i)];
    const double value = static_cast<double>(found[i]);
    if (value == reference || (std::isnan(value) && std::isnan(reference))) continue;
    ASSERT_LE(std::abs(value - reference), atol + rtol * std::abs(reference))
        << what << " element " << i << ": " << value << " instead of " << reference;
  }
  EXPECT_TRUE(found.intact()) << what << " wrote outside its result";
}

/// The result of `compute` on one and on two threads must be the same bits; returns it.
template <typename T>
Guarded<T> on_any_threads(const std::function<Guarded<T>()>& compute, const std::string& what) {
  IsaTest::set_threads(1);
  Guarded<T> one = compute();
  IsaTest::set_threads(2);
  const Guarded<T> two = compute();
  EXPECT_TRUE(one == two) << what << " depends on the number of threads";
  return one;
}

}  // namespace dml::testing
