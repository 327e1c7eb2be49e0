// Every product that cublasLt is asked for, against sums in double; and what it refuses.
#include <cublasLt.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "tests/device_emulator/library_checks/device_array.h"

namespace dml::emulator {
namespace {

constexpr std::size_t kWorkspaceBytes = 1 << 20;

struct Case {
  int m, n, k;
  bool trans_a = false, trans_b = false;
  int batches = 1;
  int pad = 0;  ///< of leading dimensions and batch strides
  float alpha = 1, beta = 0;
  cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  bool row_order = false;
  bool shared_b = false;  ///< one B for all batches
  bool device_scales = false;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.m << "x" << c.n << "x" << c.k << (c.trans_a ? " T" : " N") << (c.trans_b ? "T" : "N") << " batches "
       << c.batches << " pad " << c.pad << " alpha " << c.alpha << " beta " << c.beta << " epilogue " << c.epilogue
       << (c.row_order ? " rows" : "") << (c.shared_b ? " shared" : "") << (c.device_scales ? " device" : "");
}

/// A stored matrix and its layout; element(i, j) is where an element stands.
struct Stored {
  int rows, cols;
  bool row_order;
  int ld, stride, batches;
  cublasLtMatrixLayout_t layout = nullptr;

  Stored(int rows, int cols, bool row_order, int pad, int batches, bool shared, cudaDataType_t type)
      : rows(rows), cols(cols), row_order(row_order), ld((row_order ? cols : rows) + pad), batches(batches) {
    stride = shared ? 0 : ld * (row_order ? rows : cols) + 8 * (pad > 0);
    EXPECT_EQ(cublasLtMatrixLayoutCreate(&layout, type, rows, cols, ld), CUBLAS_STATUS_SUCCESS);
    const std::int32_t order = row_order ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL;
    const std::int64_t step = stride;
    cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order);
    cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batches, sizeof batches);
    cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &step, sizeof step);
  }
  ~Stored() { cublasLtMatrixLayoutDestroy(layout); }
  Stored(const Stored&) = delete;
  Stored& operator=(const Stored&) = delete;

  std::size_t elems() const {
    return static_cast<std::size_t>(stride * (batches - 1) + ld * (row_order ? rows : cols));
  }
  std::size_t at(int batch, int i, int j) const {
    return static_cast<std::size_t>(batch * stride + (row_order ? i * ld + j : j * ld + i));
  }
};

double gelu(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
double gelu_grad(double x) { return (gelu(x + 1e-4) - gelu(x - 1e-4)) / 2e-4; }

template <typename T>
class Product {
 public:
  static constexpr cudaDataType_t kType = sizeof(T) == 4 ? CUDA_R_32F : CUDA_R_16BF;

  explicit Product(const Case& c)
      : c_(c),
        a_(c.trans_a ? c.k : c.m, c.trans_a ? c.m : c.k, c.row_order, c.pad, c.batches, false, kType),
        b_(c.trans_b ? c.n : c.k, c.trans_b ? c.k : c.n, c.row_order, c.pad, c.batches, c.shared_b, kType),
        d_(c.m, c.n, c.row_order, c.pad, c.batches, false, kType),
        a_values_(random_values(a_.elems(), 1)),
        b_values_(random_values(b_.elems(), 2)),
        d_values_(random_values(d_.elems(), 3)),
        bias_values_(random_values(static_cast<std::size_t>(std::max(c.m, c.n)), 4)),
        aux_ld_((c.m + 7) / 8 * 8),
        aux_values_(random_values(static_cast<std::size_t>(aux_ld_ * c.n), 5)),
        a(a_values_),
        b(b_values_),
        d(d_values_),
        bias(bias_values_),
        aux(aux_values_) {
    if (c.beta == 0) d_values_.assign(d_values_.size(), NAN);  // must not be read
    cudaMemset(d.data(), c.beta == 0 ? 0xff : 0, c.beta == 0 ? d.bytes() : 0);
    EXPECT_EQ(cublasLtCreate(&handle), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F), CUBLAS_STATUS_SUCCESS);
    const std::int32_t trans_a = c.trans_a ? CUBLAS_OP_T : CUBLAS_OP_N, trans_b = c.trans_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    set(CUBLASLT_MATMUL_DESC_TRANSA, trans_a);
    set(CUBLASLT_MATMUL_DESC_TRANSB, trans_b);
    set(CUBLASLT_MATMUL_DESC_EPILOGUE, c.epilogue);
    set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<void*>(bias.data()));
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, static_cast<void*>(aux.data()));
    set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, static_cast<std::int64_t>(aux_ld_));
    if (c.device_scales) set(CUBLASLT_MATMUL_DESC_POINTER_MODE, std::int32_t{CUBLASLT_POINTER_MODE_DEVICE});
    EXPECT_EQ(cublasLtMatmulPreferenceCreate(&preference), CUBLAS_STATUS_SUCCESS);
    prefer(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, std::uint64_t{kWorkspaceBytes});
    EXPECT_EQ(cudaMalloc(&workspace, kWorkspaceBytes), cudaSuccess);
  }
  ~Product() {
    cudaFree(workspace);
    cublasLtMatmulPreferenceDestroy(preference);
    cublasLtMatmulDescDestroy(operation);
    cublasLtDestroy(handle);
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  template <typename Value>
  void set(cublasLtMatmulDescAttributes_t name, Value value) {
    ASSERT_EQ(cublasLtMatmulDescSetAttribute(operation, name, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
  }
  template <typename Value>
  void prefer(cublasLtMatmulPreferenceAttributes_t name, Value value) {
    ASSERT_EQ(cublasLtMatmulPreferenceSetAttribute(preference, name, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
  }

  cublasStatus_t heuristic(std::vector<cublasLtMatmulHeuristicResult_t>& results) {
    results.resize(8);
    int count = 0;
    const auto status = cublasLtMatmulAlgoGetHeuristic(handle, operation, a_.layout, b_.layout, d_.layout, d_.layout,
                                                       preference, 8, results.data(), &count);
    results.resize(static_cast<std::size_t>(count));
    return status;
  }

  cublasStatus_t run(const cublasLtMatmulAlgo_t* algorithm, std::size_t workspace_bytes = kWorkspaceBytes) {
    const DeviceArray<float> scales({c_.alpha, c_.beta});
    const void* const alpha = c_.device_scales ? scales.data() : &c_.alpha;
    const void* const beta = c_.device_scales ? scales.data() + 1 : &c_.beta;
    const auto status =
        cublasLtMatmul(handle, operation, alpha, a.data() + shift, a_.layout, b.data(), b_.layout, beta, d.data(),
                       d_.layout, d.data(), d_.layout, algorithm, workspace, workspace_bytes, nullptr);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    return status;
  }

  /// What D, the bias vector and the auxiliary buffer must be.
  void expect_result() const {
    std::vector<float> d_expected = c_.beta == 0 ? d.read() : d_values_;  // what lies between columns is not judged
    std::vector<float> bias_expected = bias_values_, aux_expected = aux_values_;
    std::vector<double> row_sums(static_cast<std::size_t>(c_.m));
    for (int batch = 0; batch < c_.batches; ++batch) {
      for (int j = 0; j < c_.n; ++j) {
        for (int i = 0; i < c_.m; ++i) {
          const std::size_t aux_at = static_cast<std::size_t>(j * aux_ld_ + i);
          double value = c_.alpha * sum(batch, i, j);
          if (c_.beta != 0) value += c_.beta * d_values_[d_.at(batch, i, j)];
          if (c_.epilogue & CUBLASLT_EPILOGUE_BIAS) value += bias_values_[static_cast<std::size_t>(i)];
          const bool writes_aux = (c_.epilogue & CUBLASLT_EPILOGUE_GELU_AUX) == CUBLASLT_EPILOGUE_GELU_AUX;
          if (writes_aux) aux_expected[aux_at] = static_cast<float>(value);
          if (c_.epilogue & CUBLASLT_EPILOGUE_GELU) value = gelu(value);
          if (c_.epilogue & CUBLASLT_EPILOGUE_RELU) value = std::max(value, 0.0);
          if (c_.epilogue & 64) value *= gelu_grad(aux_values_[aux_at]);
          d_expected[d_.at(batch, i, j)] = static_cast<float>(value);
          row_sums[static_cast<std::size_t>(i)] += value;
        }
      }
    }
    if (c_.epilogue == CUBLASLT_EPILOGUE_DGELU_BGRAD) {
      for (int i = 0; i < c_.m; ++i) {
        bias_expected[static_cast<std::size_t>(i)] = static_cast<float>(row_sums[static_cast<std::size_t>(i)]);
      }
    }
    fill_operand_sums(bias_expected);
    // float32: rounding of K ≤ 300 terms in [-1, 1]. bf16: one rounding of the result (8 bits).
    const double tolerance = sizeof(T) == 4 ? 1e-5 : 5e-3;
    EXPECT_LE(distance(d.read(), d_expected), tolerance);
    EXPECT_LE(distance(bias.read(), bias_expected), tolerance);
    EXPECT_LE(distance(aux.read(), aux_expected), tolerance);
  }

 private:
  double element_of_a(int batch, int i, int k) const {
    return a_values_[c_.trans_a ? a_.at(batch, k, i) : a_.at(batch, i, k)];
  }
  double element_of_b(int batch, int k, int j) const {
    return b_values_[c_.trans_b ? b_.at(batch, j, k) : b_.at(batch, k, j)];
  }
  double sum(int batch, int i, int j) const {
    double total = 0;
    for (int k = 0; k < c_.k; ++k) total += element_of_a(batch, i, k) * element_of_b(batch, k, j);
    return total;
  }
  void fill_operand_sums(std::vector<float>& sums) const {
    const bool of_a = c_.epilogue == CUBLASLT_EPILOGUE_BGRADA;
    if (!of_a && c_.epilogue != CUBLASLT_EPILOGUE_BGRADB) return;
    for (int line = 0; line < (of_a ? c_.m : c_.n); ++line) {
      double total = 0;
      for (int k = 0; k < c_.k; ++k) total += of_a ? element_of_a(0, line, k) : element_of_b(0, k, line);
      sums[static_cast<std::size_t>(line)] = static_cast<float>(total);
    }
  }

  Case c_;
  Stored a_, b_, d_;
  std::vector<float> a_values_, b_values_, d_values_, bias_values_;
  int aux_ld_;
  std::vector<float> aux_values_;

 public:
  DeviceArray<T> a, b, d, bias, aux;
  int shift = 0;  ///< elements that A is moved by
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  void* workspace = nullptr;
};

class CublasLt : public testing::TestWithParam<Case> {};

/// With every algorithm that the heuristic offers, and with none.
template <typename T>
void expect_product(const Case& c) {
  std::vector<cublasLtMatmulHeuristicResult_t> found;
  ASSERT_EQ(Product<T>(c).heuristic(found), CUBLAS_STATUS_SUCCESS);
  ASSERT_GE(found.size(), 1u);
  for (std::size_t i = 0; i <= found.size(); ++i) {
    SCOPED_TRACE("choice " + std::to_string(i));
    Product<T> product(c);
    // Pointers of the epilogue stand in the operation, which is another one now: what was found holds for it.
    ASSERT_EQ(product.run(i < found.size() ? &found[i].algo : nullptr), CUBLAS_STATUS_SUCCESS);
    product.expect_result();
  }
}

TEST_P(CublasLt, product_of_float32_is_the_sum_in_double) { expect_product<float>(GetParam()); }
TEST_P(CublasLt, product_of_bf16_is_the_sum_in_double) { expect_product<bf16>(GetParam()); }

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const bool trans_a : {false, true}) {
    for (const bool trans_b : {false, true}) {
      for (const bool row_order : {false, true}) {
        Case c{33, 13, 300, trans_a, trans_b};
        c.row_order = row_order;
        all.push_back(c);
      }
    }
  }
  all.push_back({1, 1, 1});
  all.push_back({64, 48, 32, false, false, 3});
  all.push_back({7, 5, 9, true, false, 3, 3, 0.5f, 2.0f});
  Case shared{16, 8, 24, false, true, 4};
  shared.shared_b = true;
  all.push_back(shared);
  Case device{9, 8, 7, false, false, 2, 0, 3, -1};
  device.device_scales = true;
  all.push_back(device);
  for (const auto epilogue :
       {CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_RELU_BIAS, CUBLASLT_EPILOGUE_GELU,
        CUBLASLT_EPILOGUE_GELU_AUX, CUBLASLT_EPILOGUE_GELU_BIAS, CUBLASLT_EPILOGUE_GELU_AUX_BIAS,
        CUBLASLT_EPILOGUE_DGELU, CUBLASLT_EPILOGUE_DGELU_BGRAD, CUBLASLT_EPILOGUE_BGRADA, CUBLASLT_EPILOGUE_BGRADB}) {
    Case c{19, 11, 6, true, false, 1, 1};
    c.epilogue = epilogue;
    all.push_back(c);
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(Cases, CublasLt, testing::ValuesIn(cases()));

/// A product to be spoiled in one point.
struct CublasLtRefuses : testing::Test {
  Product<float> product{Case{16, 16, 16}};
  cublasStatus_t heuristic() {
    std::vector<cublasLtMatmulHeuristicResult_t> found;
    return product.heuristic(found);
  }
  cublasLtMatmulHeuristicResult_t first(bool with_workspace) {
    std::vector<cublasLtMatmulHeuristicResult_t> found;
    EXPECT_EQ(product.heuristic(found), CUBLAS_STATUS_SUCCESS);
    for (const auto& result : found) {
      if ((result.workspaceSize > 0) == with_workspace) return result;
    }
    ADD_FAILURE() << "no such algorithm";
    return {};
  }
};

TEST_F(CublasLtRefuses, null_descriptors_and_scales) {
  EXPECT_EQ(cublasLtMatmul(nullptr, product.operation, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                           nullptr, nullptr, nullptr, nullptr, nullptr, 0, nullptr),
            CUBLAS_STATUS_NOT_INITIALIZED);
  EXPECT_EQ(cublasLtMatmul(product.handle, product.operation, nullptr, nullptr, nullptr, nullptr, nullptr, nullptr,
                           nullptr, nullptr, nullptr, nullptr, nullptr, nullptr, 0, nullptr),
            CUBLAS_STATUS_INVALID_VALUE);
}

TEST_F(CublasLtRefuses, attributes_of_another_size_or_unknown) {
  const std::int64_t wide = 0;
  EXPECT_EQ(cublasLtMatmulDescSetAttribute(product.operation, CUBLASLT_MATMUL_DESC_TRANSA, &wide, sizeof wide),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(cublasLtMatmulDescSetAttribute(product.operation, CUBLASLT_MATMUL_DESC_TRANSA, nullptr, 4),
            CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(cublasLtMatmulDescSetAttribute(product.operation, CUBLASLT_MATMUL_DESC_FAST_ACCUM, &wide, 1),
            CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST_F(CublasLtRefuses, extents_that_do_not_fit) {
  product.set(CUBLASLT_MATMUL_DESC_TRANSA, std::int32_t{CUBLAS_OP_T});
  EXPECT_EQ(heuristic(), CUBLAS_STATUS_SUCCESS) << "square matrices fit either way";
  Product<float> other(Case{4, 5, 6});
  other.set(CUBLASLT_MATMUL_DESC_TRANSA, std::int32_t{CUBLAS_OP_T});
  EXPECT_EQ(other.run(nullptr), CUBLAS_STATUS_INVALID_VALUE);
}

TEST_F(CublasLtRefuses, compute_and_scale_types_that_are_not_emulated) {
  product.set(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, std::int32_t{CUBLAS_COMPUTE_64F});
  EXPECT_EQ(heuristic(), CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST_F(CublasLtRefuses, epilogues_without_what_they_need) {
  product.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS);
  product.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, static_cast<void*>(nullptr));
  EXPECT_EQ(product.run(nullptr), CUBLAS_STATUS_INVALID_VALUE);
  product.set(CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_GELU_AUX);
  product.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{17});
  EXPECT_EQ(heuristic(), CUBLAS_STATUS_INVALID_VALUE) << "no multiple of 8";
  product.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{8});
  EXPECT_EQ(heuristic(), CUBLAS_STATUS_INVALID_VALUE) << "fewer than the rows of D";
  product.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, std::int64_t{16});
  product.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, static_cast<void*>(nullptr));
  EXPECT_EQ(product.run(nullptr), CUBLAS_STATUS_INVALID_VALUE);
}

TEST_F(CublasLtRefuses, an_epilogue_in_row_order) {
  Case c{8, 8, 8};
  c.row_order = true;
  c.epilogue = CUBLASLT_EPILOGUE_BIAS;
  std::vector<cublasLtMatmulHeuristicResult_t> found;
  EXPECT_EQ(Product<float>(c).heuristic(found), CUBLAS_STATUS_NOT_SUPPORTED);
}

TEST_F(CublasLtRefuses, a_workspace_that_is_too_small_or_not_aligned) {
  const auto result = first(true);
  EXPECT_EQ(product.run(&result.algo, result.workspaceSize - 1), CUBLAS_STATUS_INVALID_VALUE);
  EXPECT_EQ(product.run(&result.algo, result.workspaceSize), CUBLAS_STATUS_SUCCESS);
  product.workspace = static_cast<char*>(product.workspace) + 16;
  EXPECT_EQ(product.run(&result.algo, result.workspaceSize), CUBLAS_STATUS_INVALID_VALUE);
  product.workspace = static_cast<char*>(product.workspace) - 16;
}

TEST_F(CublasLtRefuses, an_algorithm_that_was_found_for_another_product) {
  const auto result = first(false);
  Product<float> other(Case{16, 16, 8});
  EXPECT_EQ(other.run(&result.algo), CUBLAS_STATUS_INVALID_VALUE);
  const cublasLtMatmulAlgo_t blank{};
  EXPECT_EQ(product.run(&blank), CUBLAS_STATUS_INVALID_VALUE);
}

TEST_F(CublasLtRefuses, operands_aligned_worse_than_the_heuristic_was_told) {
  Product<float> larger(Case{16, 16, 20});
  Product<float> moved(Case{16, 16, 16});
  std::vector<cublasLtMatmulHeuristicResult_t> promised, honest;
  ASSERT_EQ(moved.heuristic(promised), CUBLAS_STATUS_SUCCESS);
  moved.prefer(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, std::uint32_t{4});
  ASSERT_EQ(moved.heuristic(honest), CUBLAS_STATUS_SUCCESS);
  EXPECT_LT(honest.size(), promised.size());
  // A is read from another array, one element in.
  const float one = 1, zero = 0;
  cublasLtMatrixLayout_t layout = nullptr;
  ASSERT_EQ(cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 16, 16, 16), CUBLAS_STATUS_SUCCESS);
  int refused = 0;
  for (const auto& result : promised) {
    const auto status = cublasLtMatmul(moved.handle, moved.operation, &one, larger.a.data() + 1, layout, moved.b.data(),
                                       layout, &zero, moved.d.data(), layout, moved.d.data(), layout, &result.algo,
                                       moved.workspace, kWorkspaceBytes, nullptr);
    refused += status == CUBLAS_STATUS_INVALID_VALUE ? 1 : 0;
  }
  for (const auto& result : honest) {
    EXPECT_EQ(cublasLtMatmul(moved.handle, moved.operation, &one, larger.a.data() + 1, layout, moved.b.data(), layout,
                             &zero, moved.d.data(), layout, moved.d.data(), layout, &result.algo, moved.workspace,
                             kWorkspaceBytes, nullptr),
              CUBLAS_STATUS_SUCCESS);
  }
  EXPECT_EQ(refused, 2);
  cublasLtMatrixLayoutDestroy(layout);
}

TEST_F(CublasLtRefuses, all_when_the_workspace_and_the_implementation_are_excluded) {
  product.prefer(CUBLASLT_MATMUL_PREF_IMPL_MASK, std::uint64_t{CUBLASLT_NUMERICAL_IMPL_FLAGS_HMMA});
  EXPECT_EQ(heuristic(), CUBLAS_STATUS_NOT_SUPPORTED);
}

using CublasLtDeathTest = CublasLtRefuses;

TEST_F(CublasLtDeathTest, tf32_where_it_is_not_allowed) {
  product.set(CUBLASLT_MATMUL_DESC_COMPUTE_TYPE, std::int32_t{CUBLAS_COMPUTE_32F_FAST_TF32});
  EXPECT_EXIT(heuristic(), testing::ExitedWithCode(86), "TF32");
}

TEST_F(CublasLtDeathTest, a_result_that_overlaps_an_operand) {
  const float one = 1, zero = 0;
  cublasLtMatrixLayout_t layout = nullptr;
  ASSERT_EQ(cublasLtMatrixLayoutCreate(&layout, CUDA_R_32F, 8, 8, 8), CUBLAS_STATUS_SUCCESS);
  EXPECT_EXIT(cublasLtMatmul(product.handle, product.operation, &one, product.a.data(), layout, product.b.data(),
                             layout, &zero, product.a.data() + 8, layout, product.a.data() + 8, layout, nullptr,
                             product.workspace, kWorkspaceBytes, nullptr),
              testing::ExitedWithCode(86), "overlaps");
  cublasLtMatrixLayoutDestroy(layout);
}

}  // namespace
}  // namespace dml::emulator
