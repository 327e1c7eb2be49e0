// Matrix products by cublasLt, which thinks in columns: our row-major y = op(a) op(b) is its yᵀ = op(b)ᵀ op(a)ᵀ, so its
// first operand is b, and a bias per column of ours is one per row of its.
// M rows of y, N columns of y, K products per element.
#include "kernels/matmul.h"

#include <algorithm>
#include <array>
#include <bit>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "kernels/bf16.h"
#include "kernels/cuda/bias.h"
#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/handles.h"
#include "kernels/cuda/library.h"
#include "kernels/error.h"
#include "kernels/reduce.h"
#include "kernels/unary.h"

namespace dml::cuda {
namespace {

using Descriptor =
    std::unique_ptr<cublasLtMatmulDescOpaque_t, Destroy<cublas_lt, &CublasLt::cublasLtMatmulDescDestroy>>;
using Layout =
    std::unique_ptr<cublasLtMatrixLayoutOpaque_t, Destroy<cublas_lt, &CublasLt::cublasLtMatrixLayoutDestroy>>;
using Preference =
    std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, Destroy<cublas_lt, &CublasLt::cublasLtMatmulPreferenceDestroy>>;

template <typename T>
void set(const Descriptor& descriptor, cublasLtMatmulDescAttributes_t attribute, const T& value) {
  DML_CUBLAS_LT(cublasLtMatmulDescSetAttribute, descriptor.get(), attribute, &value, sizeof value);
}
template <typename T>
void set(const Layout& layout, cublasLtMatrixLayoutAttribute_t attribute, const T& value) {
  DML_CUBLAS_LT(cublasLtMatrixLayoutSetAttribute, layout.get(), attribute, &value, sizeof value);
}
template <typename T>
void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, const T& value) {
  DML_CUBLAS_LT(cublasLtMatmulPreferenceSetAttribute, preference.get(), attribute, &value, sizeof value);
}

cudaDataType_t type_of(const TensorView& view) { return view.dtype == DataType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

/// Where the matrices of one call begin, in elements.
struct Offsets {
  std::int64_t y = 0, a = 0, b = 0;
};

/// One strided batch of a call, and where the calls begin. Only the longest of several leading dims can be a batch.
struct Batches {
  std::int64_t count = 1;
  Offsets stride;
  std::vector<Offsets> calls = {Offsets{}};
};

/// Steps of each leading dim, 0 where the operand is broadcast.
std::vector<Offsets> steps_of(const MatMulProblem& problem) {
  std::vector<Offsets> steps(problem.y_leading.size());
  Offsets step{problem.m * problem.n, problem.m * problem.k, problem.k * problem.n};
  for (std::size_t dim = steps.size(); dim-- > 0;) {
    steps[dim] = {step.y, problem.a_leading[dim] == 1 ? 0 : step.a, problem.b_leading[dim] == 1 ? 0 : step.b};
    step.y *= problem.y_leading[dim];
    step.a *= problem.a_leading[dim];
    step.b *= problem.b_leading[dim];
  }
  return steps;
}

Batches batches_of(const MatMulProblem& problem) {
  Batches batches;
  if (problem.is_single()) return batches;
  const std::vector<Offsets> steps = steps_of(problem);
  const auto longest = std::max_element(problem.y_leading.begin(), problem.y_leading.end());
  const auto batch_dim = static_cast<std::size_t>(longest - problem.y_leading.begin());
  batches.count = *longest;
  batches.stride = steps[batch_dim];
  for (std::size_t dim = 0; dim < steps.size(); ++dim) {
    if (dim == batch_dim) continue;
    const std::vector<Offsets> before = std::exchange(batches.calls, {});
    for (const Offsets& call : before) {
      for (std::int64_t i = 0; i < problem.y_leading[dim]; ++i) {
        batches.calls.push_back({call.y + i * steps[dim].y, call.a + i * steps[dim].a, call.b + i * steps[dim].b});
      }
    }
  }
  return batches;
}

/// The greatest power of two up to 256 that divides the address of every call's matrices.
template <typename Offset>
std::uint32_t alignment_of(const TensorView& view, const Batches& batches, const Offset& offset) {
  auto bits = reinterpret_cast<std::uintptr_t>(view.data) | 256;
  for (const Offsets& call : batches.calls) bits |= static_cast<std::uintptr_t>(offset(call)) * size_of(view.dtype);
  return std::uint32_t{1} << std::countr_zero(bits);
}

/// `rows` × `columns` in cublasLt's order, a leading dimension of `rows`.
Layout layout_of(const TensorView& view, std::int64_t rows, std::int64_t columns, std::int64_t batches,
                 std::int64_t stride) {
  cublasLtMatrixLayout_t layout = nullptr;
  DML_CUBLAS_LT(cublasLtMatrixLayoutCreate, &layout, type_of(view), static_cast<std::uint64_t>(rows),
                static_cast<std::uint64_t>(columns), rows);
  Layout owned(layout);
  if (batches > 1) {
    set(owned, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<std::int32_t>(batches));
    set(owned, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, stride);
  }
  return owned;
}

/// What cublasLt does to sums before it stores them, or beside that.
struct Epilogue {
  cublasLtEpilogue_t kind = CUBLASLT_EPILOGUE_DEFAULT;
  TensorView vector = {};  ///< a bias that is added, or the gradient of one that is written
  TensorView aux = {};     ///< the operand of GELU, written or read
};

/// A product that is ready to be put on a queue.
class Product {
 public:
  Product(const MatMulProblem& problem, const TensorView& y, const TensorView& a, const TensorView& b,
          const Epilogue& epilogue, const MatMulOptions& options, const Queue& queue);

  /// False where cublasLt has no algorithm for it: it must not run.
  bool is_possible() const { return algorithm_.has_value(); }
  void run() const;

 private:
  std::optional<cublasLtMatmulAlgo_t> ask(const std::array<std::uint32_t, 3>& alignments) const;
  std::vector<std::int64_t> key(const MatMulProblem& problem, const MatMulOptions& options,
                                const std::array<std::uint32_t, 3>& alignments) const;

  TensorView y_, a_, b_;
  Epilogue epilogue_;
  const Queue* queue_;
  float alpha_, beta_;
  Batches batches_;
  Descriptor descriptor_;
  Layout y_layout_, a_layout_, b_layout_;
  std::optional<cublasLtMatmulAlgo_t> algorithm_;
};

Descriptor descriptor_of(const TensorView& a, const Epilogue& epilogue, const MatMulOptions& options, bool tf32) {
  cublasLtMatmulDesc_t descriptor = nullptr;
  const bool rounds = tf32 && a.dtype == DataType::f32;
  DML_CUBLAS_LT(cublasLtMatmulDescCreate, &descriptor, rounds ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                CUDA_R_32F);
  Descriptor owned(descriptor);
  set(owned, CUBLASLT_MATMUL_DESC_TRANSA, options.trans_b ? CUBLAS_OP_T : CUBLAS_OP_N);
  set(owned, CUBLASLT_MATMUL_DESC_TRANSB, options.trans_a ? CUBLAS_OP_T : CUBLAS_OP_N);
  if (epilogue.kind != CUBLASLT_EPILOGUE_DEFAULT) set(owned, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue.kind);
  if (epilogue.vector) {
    set(owned, CUBLASLT_MATMUL_DESC_BIAS_POINTER, epilogue.vector.data);
    set(owned, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, static_cast<std::int32_t>(type_of(epilogue.vector)));
  }
  if (epilogue.aux) {
    set(owned, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, epilogue.aux.data);
    set(owned, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, epilogue.aux.shape.back());
  }
  return owned;
}

Product::Product(const MatMulProblem& problem, const TensorView& y, const TensorView& a, const TensorView& b,
                 const Epilogue& epilogue, const MatMulOptions& options, const Queue& queue)
    : y_(y),
      a_(a),
      b_(b),
      epilogue_(epilogue),
      queue_(&queue),
      alpha_(options.alpha),
      beta_(options.accumulate ? 1.0F : 0.0F),
      batches_(batches_of(problem)),
      descriptor_(descriptor_of(a, epilogue, options, queue.tf32)) {
  const std::int64_t m = problem.m, n = problem.n, k = problem.k;
  const auto count = batches_.count;
  const auto& stride = batches_.stride;
  y_layout_ = layout_of(y, n, m, count, stride.y);
  a_layout_ = options.trans_a ? layout_of(a, m, k, count, stride.a) : layout_of(a, k, m, count, stride.a);
  b_layout_ = options.trans_b ? layout_of(b, k, n, count, stride.b) : layout_of(b, n, k, count, stride.b);
  const std::array alignments{alignment_of(y, batches_, [](const Offsets& call) { return call.y; }),
                              alignment_of(a, batches_, [](const Offsets& call) { return call.a; }),
                              alignment_of(b, batches_, [](const Offsets& call) { return call.b; })};
  const auto [entry, is_first] = queue.handles->products.try_emplace(key(problem, options, alignments));
  if (is_first) entry->second = ask(alignments);
  algorithm_ = entry->second;
}

/// Up to 16; 0 where there is no such operand.
std::uint32_t alignment_of(const TensorView& view) {
  return view ? std::uint32_t{1} << std::countr_zero(reinterpret_cast<std::uintptr_t>(view.data) | 16) : 0;
}

/// All that the choice of an algorithm depends on.
std::vector<std::int64_t> Product::key(const MatMulProblem& problem, const MatMulOptions& options,
                                       const std::array<std::uint32_t, 3>& alignments) const {
  return {problem.m,
          problem.n,
          problem.k,
          batches_.count,
          batches_.stride.y,
          batches_.stride.a,
          batches_.stride.b,
          options.trans_a ? 1 : 0,
          options.trans_b ? 1 : 0,
          options.accumulate ? 1 : 0,
          static_cast<std::int64_t>(a_.dtype),
          static_cast<std::int64_t>(y_.dtype),
          epilogue_.kind,
          alignment_of(epilogue_.vector),
          alignment_of(epilogue_.aux),
          alignments[0],
          alignments[1],
          alignments[2]};
}

std::optional<cublasLtMatmulAlgo_t> Product::ask(const std::array<std::uint32_t, 3>& alignments) const {
  cublasLtMatmulPreference_t made = nullptr;
  DML_CUBLAS_LT(cublasLtMatmulPreferenceCreate, &made);
  const Preference preference(made);
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, static_cast<std::uint64_t>(queue_->workspace_bytes));
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignments[2]);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignments[1]);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignments[0]);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignments[0]);
  // Where K is divided among blocks, their sums stay f32 and are added in order.
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      static_cast<std::uint32_t>(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  cublasLtMatmulHeuristicResult_t result = {};
  int found = 0;
  const cublasStatus_t status = cublas_lt().cublasLtMatmulAlgoGetHeuristic(
      queue_->handles->blas(), descriptor_.get(), b_layout_.get(), a_layout_.get(), y_layout_.get(), y_layout_.get(),
      preference.get(), 1, &result, &found);
  if (status == CUBLAS_STATUS_NOT_SUPPORTED) return std::nullopt;
  check_cublas_lt(status, "cublasLtMatmulAlgoGetHeuristic");
  if (found == 0 || result.state != CUBLAS_STATUS_SUCCESS) return std::nullopt;
  return result.algo;
}

const void* at(const TensorView& view, std::int64_t elem) {
  return view.as<const std::byte>() + elem * static_cast<std::int64_t>(size_of(view.dtype));
}

void Product::run() const {
  DML_ASSERT(algorithm_.has_value(), "a product without an algorithm");
  for (const Offsets& call : batches_.calls) {
    void* const y = const_cast<void*>(at(y_, call.y));
    DML_CUBLAS_LT(cublasLtMatmul, queue_->handles->blas(), descriptor_.get(), &alpha_, at(b_, call.b), b_layout_.get(),
                  at(a_, call.a), a_layout_.get(), &beta_, y, y_layout_.get(), y, y_layout_.get(), &*algorithm_,
                  queue_->workspace, queue_->workspace_bytes, queue_->stream);
  }
}

void check_types(const TensorView& y, const TensorView& a, const TensorView& b, const TensorView& bias) {
  const bool stored = a.dtype == DataType::f32 || a.dtype == DataType::bf16;
  const bool fits = stored && b.dtype == a.dtype && (y.dtype == a.dtype || y.dtype == DataType::f32) &&
                    (!bias || bias.dtype == y.dtype);
  if (fits) return;
  fail_matmul(y, a, b, bias,
              fmt::format("y of {}, a of {}, b of {}{}", name_of(y.dtype), name_of(a.dtype), name_of(b.dtype),
                          bias ? fmt::format(", bias of {}", name_of(bias.dtype)) : ""));
}

void check_one_type(const TensorView& y, const TensorView& a, const TensorView& b, const TensorView& other) {
  check_types(y, a, b, other);
  if (y.dtype != a.dtype) fail_matmul(y, a, b, other, fmt::format("result of {}", name_of(y.dtype)));
}

/// The product with its epilogue, or null where cublasLt has none or GELU's operand does not lie as it wants it.
std::function<void()> product_with(const Epilogue& epilogue, const TensorView& y, const TensorView& a,
                                   const TensorView& b, const MatMulOptions& options, const Queue& queue) {
  constexpr std::int64_t kAuxUnit = 8;  // elements, of its leading dimension
  const MatMulProblem problem = plan_matmul(y, a, b, {}, options);
  const bool has_work = problem.num_elements() > 0 && problem.k > 0 && problem.is_single();
  if (!has_work || (epilogue.aux && problem.n % kAuxUnit != 0)) return nullptr;
  const auto product = std::make_shared<Product>(problem, y, a, b, epilogue, options, queue);
  if (!product->is_possible()) return nullptr;
  return [product] { product->run(); };
}

/// make(T{}) for the T that a tensor of this type is stored as.
template <typename Make>
std::function<void()> for_storage(DataType type, const Make& make) {
  return type == DataType::f32 ? make(float{}) : make(bf16{});
}

std::function<void()> bias_of_rows(const MatMulProblem& problem, const TensorView& y, const TensorView& bias,
                                   bool accumulate, const Queue& queue) {
  return for_storage(y.dtype, [&]<typename T>(T) -> std::function<void()> {
    return [y = y.as<T>(), bias = bias.as<const T>(), rows = problem.num_elements() / problem.n, n = problem.n,
            accumulate, &queue] { put_bias(y, bias, rows, n, 1, accumulate, queue); };
  });
}

[[noreturn]] void fail_without_algorithm(const MatMulProblem& problem, const TensorView& a, const Queue& queue) {
  throw DeviceError(
      fmt::format("cublasLt has no algorithm for a {} product of M {}, N {}, K {} with {} bytes of workspace",
                  name_of(a.dtype), problem.m, problem.n, problem.k, queue.workspace_bytes));
}

}  // namespace

std::function<void()> prepare_matmul(TensorView y, TensorView a, TensorView b, TensorView bias,
                                     const MatMulOptions& options, const Queue& queue) {
  const MatMulProblem problem = plan_matmul(y, a, b, bias, options);
  check_types(y, a, b, bias);
  if (problem.num_elements() == 0) return [] {};
  if (problem.k == 0) return bias_of_rows(problem, y, bias, options.accumulate, queue);
  const Epilogue epilogue = bias ? Epilogue{CUBLASLT_EPILOGUE_BIAS, bias} : Epilogue{};
  auto product = std::make_shared<Product>(problem, y, a, b, epilogue, options, queue);
  if (product->is_possible()) return [product] { product->run(); };
  if (!bias) fail_without_algorithm(problem, a, queue);
  MatMulOptions onto = options;  // the bias lies in y before
  onto.accumulate = true;
  product = std::make_shared<Product>(problem, y, a, b, Epilogue{}, onto, queue);
  if (!product->is_possible()) fail_without_algorithm(problem, a, queue);
  return [product, put_bias = bias_of_rows(problem, y, bias, options.accumulate, queue)] {
    put_bias();
    product->run();
  };
}

std::function<void()> prepare_linear_param_grad(TensorView dw, TensorView dbias, TensorView x, TensorView dy,
                                                const MatMulOptions& options, const Queue& queue) {
  check_linear(dbias, {dy.shape.back()}, "dbias");
  check_one_type(dw, x, dy, dbias);
  const TensorView& a = options.trans_b ? dy : x;
  const TensorView& b = options.trans_b ? x : dy;
  const MatMulOptions product{.trans_a = true, .accumulate = options.accumulate};
  const auto sums_of_rows = options.trans_b ? CUBLASLT_EPILOGUE_BGRADB : CUBLASLT_EPILOGUE_BGRADA;  // its A is our b
  if (auto whole = product_with({sums_of_rows, dbias}, dw, a, b, product, queue)) return whole;
  return for_storage(dy.dtype, [&]<typename T>(T) -> std::function<void()> {
    return [multiply = prepare_matmul(dw, a, b, {}, product, queue), plan = plan_sum_to(dbias.shape, dy.shape),
            sums = dbias.as<T>(), rows = dy.as<const T>(), &queue] {
      multiply();
      reduce_sum(sums, rows, plan, 1.0, queue);
    };
  });
}

std::function<void()> prepare_linear_gelu(TensorView y, TensorView pre, TensorView x, TensorView w, TensorView bias,
                                          const MatMulOptions& options, const Queue& queue) {
  check_linear(y, pre.shape, "y");
  check_linear(bias, {pre.shape.back()}, "bias");
  check_one_type(y, x, w, bias);
  const MatMulOptions product{.trans_b = options.trans_b};
  if (auto whole = product_with({CUBLASLT_EPILOGUE_GELU_AUX_BIAS, bias, pre}, y, x, w, product, queue)) return whole;
  return for_storage(y.dtype, [&]<typename T>(T) -> std::function<void()> {
    return [multiply = prepare_matmul(pre, x, w, bias, product, queue), to = y.as<T>(), from = pre.as<const T>(),
            n = y.num_elements(), &queue] {
      multiply();
      unary(UnaryOp::gelu_tanh, to, from, n, queue);
    };
  });
}

std::function<void()> prepare_linear_gelu_grad(TensorView dpre, TensorView dy, TensorView w, TensorView pre,
                                               const MatMulOptions& options, const Queue& queue) {
  check_linear(pre, dpre.shape, "pre");
  check_one_type(dpre, dy, w, pre);
  const MatMulOptions product{.trans_b = options.trans_b};
  if (auto whole = product_with({CUBLASLT_EPILOGUE_DGELU, {}, pre}, dpre, dy, w, product, queue)) return whole;
  return for_storage(dpre.dtype, [&]<typename T>(T) -> std::function<void()> {
    return [multiply = prepare_matmul(dpre, dy, w, {}, product, queue), gradient = dpre.as<T>(), at = pre.as<const T>(),
            n = dpre.num_elements(), &queue] {
      multiply();
      unary_grad(InputGradOp::gelu_tanh, gradient, gradient, at, n, queue);
    };
  });
}

}  // namespace dml::cuda
