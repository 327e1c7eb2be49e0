// Convolutions and their gradients against sums in double over all six loops; and what is refused.
#include <cudnn.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/device_emulator/library_checks/device_array.h"

namespace dml::emulator {
namespace {

struct Case {
  int batch, channels, height, width;
  int filters, kernel_h, kernel_w;
  int pad_h = 0, pad_w = 0, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int groups = 1;
  float alpha = 1, beta = 0;
  cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;

  int out_h() const { return (height + 2 * pad_h - dilation_h * (kernel_h - 1) - 1) / stride_h + 1; }
  int out_w() const { return (width + 2 * pad_w - dilation_w * (kernel_w - 1) - 1) / stride_w + 1; }
  std::size_t x_elems() const { return static_cast<std::size_t>(batch * channels * height * width); }
  std::size_t w_elems() const { return static_cast<std::size_t>(filters * channels / groups * kernel_h * kernel_w); }
  std::size_t y_elems() const { return static_cast<std::size_t>(batch * filters * out_h() * out_w()); }
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.batch << "x" << c.channels << "x" << c.height << "x" << c.width << " filters " << c.filters << "x"
       << c.kernel_h << "x" << c.kernel_w << " pad " << c.pad_h << "," << c.pad_w << " stride " << c.stride_h << ","
       << c.stride_w << " dilation " << c.dilation_h << "," << c.dilation_w << " groups " << c.groups << " mode "
       << c.mode << " beta " << c.beta;
}

/// Calls visit(place in x, place in w, place in y) for every product of the convolution.
template <typename Visit>
void for_each_product(const Case& c, Visit visit) {
  const int C = c.channels / c.groups, K = c.filters / c.groups;
  for (int n = 0; n < c.batch; ++n)
    for (int k = 0; k < c.filters; ++k)
      for (int p = 0; p < c.out_h(); ++p)
        for (int q = 0; q < c.out_w(); ++q)
          for (int channel = 0; channel < C; ++channel)
            for (int r = 0; r < c.kernel_h; ++r)
              for (int s = 0; s < c.kernel_w; ++s) {
                const int h = p * c.stride_h - c.pad_h + r * c.dilation_h;
                const int w = q * c.stride_w - c.pad_w + s * c.dilation_w;
                if (h < 0 || w < 0 || h >= c.height || w >= c.width) continue;
                const bool turned = c.mode == CUDNN_CONVOLUTION;
                const int tap_r = turned ? c.kernel_h - 1 - r : r, tap_s = turned ? c.kernel_w - 1 - s : s;
                visit(((n * c.channels + k / K * C + channel) * c.height + h) * c.width + w,
                      ((k * C + channel) * c.kernel_h + tap_r) * c.kernel_w + tap_s,
                      ((n * c.filters + k) * c.out_h() + p) * c.out_w() + q);
              }
}

template <typename T>
struct Convolution {
  static constexpr cudnnDataType_t kType = sizeof(T) == 4 ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16;

  explicit Convolution(const Case& c)
      : c(c),
        x_values(random_values(c.x_elems(), 1)),
        w_values(random_values(c.w_elems(), 2)),
        y_values(random_values(c.y_elems(), 3)),
        x(x_values),
        w(w_values),
        y(y_values) {
    EXPECT_EQ(cudnnCreate(&handle), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudnnCreateTensorDescriptor(&x_layout), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudnnCreateTensorDescriptor(&y_layout), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudnnCreateFilterDescriptor(&w_layout), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudnnCreateConvolutionDescriptor(&convolution), CUDNN_STATUS_SUCCESS);
    const auto nchw = CUDNN_TENSOR_NCHW;
    EXPECT_EQ(cudnnSetTensor4dDescriptor(x_layout, nchw, kType, c.batch, c.channels, c.height, c.width),
              CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudnnSetTensor4dDescriptor(y_layout, nchw, kType, c.batch, c.filters, c.out_h(), c.out_w()),
              CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(
        cudnnSetFilter4dDescriptor(w_layout, kType, nchw, c.filters, c.channels / c.groups, c.kernel_h, c.kernel_w),
        CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudnnSetConvolution2dDescriptor(convolution, c.pad_h, c.pad_w, c.stride_h, c.stride_w, c.dilation_h,
                                              c.dilation_w, c.mode, CUDNN_DATA_FLOAT),
              CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudnnSetConvolutionGroupCount(convolution, c.groups), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudnnSetConvolutionMathType(convolution, CUDNN_FMA_MATH), CUDNN_STATUS_SUCCESS);
    EXPECT_EQ(cudaMalloc(&workspace, kWorkspaceBytes), cudaSuccess);
  }
  ~Convolution() {
    cudaFree(workspace);
    cudnnDestroyConvolutionDescriptor(convolution);
    cudnnDestroyFilterDescriptor(w_layout);
    cudnnDestroyTensorDescriptor(y_layout);
    cudnnDestroyTensorDescriptor(x_layout);
    cudnnDestroy(handle);
  }
  Convolution(const Convolution&) = delete;
  Convolution& operator=(const Convolution&) = delete;

  cudnnStatus_t forward(cudnnConvolutionFwdAlgo_t algorithm, std::size_t workspace_bytes = kWorkspaceBytes) {
    return cudnnConvolutionForward(handle, &c.alpha, x_layout, x.data(), w_layout, w.data(), convolution, algorithm,
                                   workspace, workspace_bytes, &c.beta, y_layout, y.data());
  }
  cudnnStatus_t backward_data(cudnnConvolutionBwdDataAlgo_t algorithm, std::size_t workspace_bytes = kWorkspaceBytes) {
    return cudnnConvolutionBackwardData(handle, &c.alpha, w_layout, w.data(), y_layout, y.data(), convolution,
                                        algorithm, workspace, workspace_bytes, &c.beta, x_layout, x.data());
  }
  cudnnStatus_t backward_filter(cudnnConvolutionBwdFilterAlgo_t algorithm,
                                std::size_t workspace_bytes = kWorkspaceBytes) {
    return cudnnConvolutionBackwardFilter(handle, &c.alpha, x_layout, x.data(), y_layout, y.data(), convolution,
                                          algorithm, workspace, workspace_bytes, &c.beta, w_layout, w.data());
  }

  /// NaN in a result that must not be read.
  void spoil(const DeviceArray<T>& result) const {
    if (c.beta != 0) return;
    EXPECT_EQ(cudaMemset(result.data(), 0xff, result.bytes()), cudaSuccess);
  }
  /// alpha · sum + beta · before
  std::vector<float> blend(const std::vector<double>& sums, const std::vector<float>& before) const {
    std::vector<float> values(sums.size());
    for (std::size_t i = 0; i < sums.size(); ++i) {
      values[i] = static_cast<float>(c.alpha * sums[i] + (c.beta == 0 ? 0 : c.beta * before[i]));
    }
    return values;
  }

  static constexpr std::size_t kWorkspaceBytes = 1 << 20;
  // Sums of up to 300 products in [-1, 1], rounded once: to float32, or to the 8 bits of bf16.
  static constexpr double kTolerance = sizeof(T) == 4 ? 1e-6 : 5e-3;

  Case c;
  std::vector<float> x_values, w_values, y_values;
  DeviceArray<T> x, w, y;
  cudnnHandle_t handle = nullptr;
  cudnnTensorDescriptor_t x_layout = nullptr, y_layout = nullptr;
  cudnnFilterDescriptor_t w_layout = nullptr;
  cudnnConvolutionDescriptor_t convolution = nullptr;
  void* workspace = nullptr;
};

template <typename T>
void expect_all_three(const Case& c) {
  using Sums = std::vector<double>;
  {
    Convolution<T> test(c);
    Sums sums(c.y_elems());
    for_each_product(c,
                     [&](int x, int w, int y) { sums[y] += static_cast<double>(test.x_values[x]) * test.w_values[w]; });
    test.spoil(test.y);
    ASSERT_EQ(test.forward(CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM), CUDNN_STATUS_SUCCESS);
    EXPECT_LE(distance(test.y.read(), test.blend(sums, test.y_values)), test.kTolerance);
  }
  {
    Convolution<T> test(c);
    Sums sums(c.x_elems());
    for_each_product(c,
                     [&](int x, int w, int y) { sums[x] += static_cast<double>(test.y_values[y]) * test.w_values[w]; });
    test.spoil(test.x);
    ASSERT_EQ(test.backward_data(CUDNN_CONVOLUTION_BWD_DATA_ALGO_1), CUDNN_STATUS_SUCCESS);
    EXPECT_LE(distance(test.x.read(), test.blend(sums, test.x_values)), test.kTolerance);
  }
  Convolution<T> test(c);
  Sums sums(c.w_elems());
  for_each_product(c,
                   [&](int x, int w, int y) { sums[w] += static_cast<double>(test.x_values[x]) * test.y_values[y]; });
  test.spoil(test.w);
  ASSERT_EQ(test.backward_filter(CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1), CUDNN_STATUS_SUCCESS);
  EXPECT_LE(distance(test.w.read(), test.blend(sums, test.w_values)), test.kTolerance);
}

class Cudnn : public testing::TestWithParam<Case> {};
TEST_P(Cudnn, convolutions_of_float32_are_the_sums_in_double) { expect_all_three<float>(GetParam()); }
TEST_P(Cudnn, convolutions_of_bf16_are_the_sums_in_double) { expect_all_three<bf16>(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Cases, Cudnn,
                         testing::Values(Case{1, 1, 1, 1, 1, 1, 1}, Case{2, 3, 7, 5, 4, 3, 3, 1, 1},
                                         Case{1, 2, 9, 8, 3, 3, 2, 2, 0, 2, 3},
                                         Case{2, 4, 10, 11, 6, 3, 3, 2, 2, 1, 2, 2, 1, 2},
                                         Case{1, 2, 1, 12, 2, 1, 5, 0, 2, 1, 2, 1, 2},
                                         Case{1, 3, 6, 6, 3, 3, 3, 1, 1, 1, 1, 1, 1, 3, 0.5f, 2.0f},
                                         Case{1, 2, 5, 6, 2, 2, 3, 0, 1, 1, 1, 1, 1, 1, 1, 0, CUDNN_CONVOLUTION}));

struct CudnnRefuses : testing::Test {
  Convolution<float> test{Case{2, 4, 8, 8, 4, 3, 3, 1, 1}};
};

TEST_F(CudnnRefuses, a_workspace_that_is_too_small) {
  std::size_t needed = 0;
  const auto forward = CUDNN_CONVOLUTION_FWD_ALGO_GEMM;
  ASSERT_EQ(cudnnGetConvolutionForwardWorkspaceSize(test.handle, test.x_layout, test.w_layout, test.convolution,
                                                    test.y_layout, forward, &needed),
            CUDNN_STATUS_SUCCESS);
  ASSERT_GT(needed, 0u);
  EXPECT_EQ(test.forward(forward, needed - 1), CUDNN_STATUS_BAD_PARAM);
  EXPECT_EQ(test.forward(forward, needed), CUDNN_STATUS_SUCCESS);
  EXPECT_EQ(test.backward_data(CUDNN_CONVOLUTION_BWD_DATA_ALGO_1, 0), CUDNN_STATUS_BAD_PARAM);
  EXPECT_EQ(test.backward_filter(CUDNN_CONVOLUTION_BWD_FILTER_ALGO_1, 0), CUDNN_STATUS_BAD_PARAM);
}

TEST_F(CudnnRefuses, dims_that_are_not_those_of_the_convolution) {
  ASSERT_EQ(cudnnSetTensor4dDescriptor(test.y_layout, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 2, 4, 8, 7),
            CUDNN_STATUS_SUCCESS);
  EXPECT_EQ(test.forward(CUDNN_CONVOLUTION_FWD_ALGO_GEMM), CUDNN_STATUS_BAD_PARAM);
  EXPECT_EQ(cudnnSetTensor4dDescriptor(test.y_layout, CUDNN_TENSOR_NCHW, CUDNN_DATA_FLOAT, 0, 4, 8, 8),
            CUDNN_STATUS_BAD_PARAM);
}

TEST_F(CudnnRefuses, groups_that_do_not_divide_the_channels) {
  ASSERT_EQ(cudnnSetConvolutionGroupCount(test.convolution, 2), CUDNN_STATUS_SUCCESS);
  EXPECT_EQ(test.forward(CUDNN_CONVOLUTION_FWD_ALGO_GEMM), CUDNN_STATUS_BAD_PARAM);
}

TEST_F(CudnnRefuses, descriptors_that_were_never_set) {
  cudnnTensorDescriptor_t blank = nullptr;
  ASSERT_EQ(cudnnCreateTensorDescriptor(&blank), CUDNN_STATUS_SUCCESS);
  std::swap(blank, test.x_layout);
  EXPECT_EQ(test.forward(CUDNN_CONVOLUTION_FWD_ALGO_GEMM), CUDNN_STATUS_BAD_PARAM);
  std::swap(blank, test.x_layout);
  cudnnDestroyTensorDescriptor(blank);
}

TEST_F(CudnnRefuses, algorithms_that_are_not_emulated) {
  EXPECT_EQ(test.forward(CUDNN_CONVOLUTION_FWD_ALGO_FFT), CUDNN_STATUS_NOT_SUPPORTED);
}

TEST_F(CudnnRefuses, nothing_that_the_query_lists_as_deterministic) {
  int count = 0;
  cudnnConvolutionBwdFilterAlgoPerf_t found[8];
  ASSERT_EQ(cudnnGetConvolutionBackwardFilterAlgorithm_v7(test.handle, test.x_layout, test.y_layout, test.convolution,
                                                          test.w_layout, 8, &count, found),
            CUDNN_STATUS_SUCCESS);
  int deterministic = 0;
  for (int i = 0; i < count; ++i) {
    EXPECT_EQ(found[i].mathType, CUDNN_FMA_MATH);
    if (found[i].determinism != CUDNN_DETERMINISTIC) continue;
    ++deterministic;
    EXPECT_EQ(test.backward_filter(found[i].algo, found[i].memory), CUDNN_STATUS_SUCCESS);
  }
  EXPECT_EQ(deterministic, 1);
  EXPECT_GT(count, deterministic);
}

using CudnnDeathTest = CudnnRefuses;

TEST_F(CudnnDeathTest, float32_without_fma_math) {
  ASSERT_EQ(cudnnSetConvolutionMathType(test.convolution, CUDNN_DEFAULT_MATH), CUDNN_STATUS_SUCCESS);
  EXPECT_EXIT(test.forward(CUDNN_CONVOLUTION_FWD_ALGO_GEMM), testing::ExitedWithCode(86), "TF32");
}

TEST_F(CudnnDeathTest, algorithms_that_are_not_deterministic) {
  EXPECT_EXIT(test.backward_filter(CUDNN_CONVOLUTION_BWD_FILTER_ALGO_0), testing::ExitedWithCode(86), "deterministic");
}

TEST_F(CudnnDeathTest, calls_that_are_not_emulated_by_name) {
  EXPECT_EXIT(cudnnSetTensor(test.handle, test.y_layout, test.y.data(), nullptr), testing::ExitedWithCode(86),
              "cudnnSetTensor");
}

}  // namespace
}  // namespace dml::emulator
