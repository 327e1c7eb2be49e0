// cublasLtMatmul and the queries before it, with the checks that depend on pointers.
#include <cublasLt.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "tests/device_emulator/cublas_lt/algorithms.h"
#include "tests/device_emulator/cublas_lt/problem.h"
#include "tests/device_emulator/cublas_lt/product.h"
#include "tests/device_emulator/emulator.h"

struct cublasLtContext {
  int device;
};

namespace dml::emulator::blas {

namespace {

constexpr auto kInvalid = CUBLAS_STATUS_INVALID_VALUE;
constexpr auto kUnsupported = CUBLAS_STATUS_NOT_SUPPORTED;

/// All that a product needs when it runs.
struct Product {
  Problem problem;
  Algorithm algorithm;
  const void* a;
  const void* b;
  const void* c;
  void* d;
  void* workspace;
  const void* alpha_at;  ///< device memory, or null: the values are below
  const void* beta_at;
  float alpha;
  float beta;
};

/// The tanh form, as the library's documentation has it, and its derivative.
float gelu(float x) { return 0.5f * x * (1 + std::tanh(0.7978845608f * (x + 0.044715f * x * x * x))); }
float gelu_grad(float x) {
  const float t = std::tanh(0.7978845608f * (x + 0.044715f * x * x * x));
  return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.7978845608f * (1 + 3 * 0.044715f * x * x);
}

/// sums[m, n] over the parts of the depth, one after the other, by way of the workspace.
void multiply(std::vector<float>& sums, const Product& p, const Matrix& a, const Matrix& b) {
  const int splits = splits_of(p.algorithm);
  if (splits == 1) return product(sums.data(), a, b);
  auto* const parts = static_cast<float*>(p.workspace);
  for (int s = 0; s < splits; ++s) {
    const std::int64_t first = a.cols * s / splits, depth = a.cols * (s + 1) / splits - first;
    const auto element = static_cast<std::int64_t>(element_bytes(a.type));
    Matrix a_part = a, b_part = b;
    a_part.data = static_cast<char*>(a.data) + first * a.col_step * element;
    b_part.data = static_cast<char*>(b.data) + first * b.row_step * element;
    a_part.cols = b_part.rows = depth;
    product(parts + s * sums.size(), a_part, b_part);
  }
  for (std::size_t i = 0; i < sums.size(); ++i) {
    sums[i] = 0;
    for (int s = 0; s < splits; ++s) sums[i] += parts[s * sums.size() + i];
  }
}

Matrix aux_matrix(const Problem& problem, std::int64_t batch) {
  const Operation& op = problem.operation;
  const auto element = static_cast<std::int64_t>(element_bytes(problem.d.type));
  return {static_cast<char*>(op.aux) + batch * op.aux_batch_stride * element,
          problem.d.type,
          problem.rows(),
          problem.cols(),
          1,
          op.aux_ld};
}

/// One element of D after the scaling, through the epilogue.
float finish(float value, const Product& p, const Epilogue& what, const Matrix& aux, std::int64_t batch, std::int64_t i,
             std::int64_t j) {
  const Operation& op = p.problem.operation;
  if (what.bias) value += load(op.bias, p.problem.d.type, batch * op.bias_batch_stride + i);
  if (what.writes_aux) aux.set(i, j, value);
  if (what.relu) return value > 0 ? value : 0;
  if (what.gelu) return gelu(value);
  if (what.gelu_grad) return value * gelu_grad(aux.get(i, j));
  return value;
}

/// Sums of the lines of a matrix, in double, into the bias vector.
void store_row_sums(const Problem& problem, const Matrix& matrix) {
  for (std::int64_t i = 0; i < matrix.rows; ++i) {
    double sum = 0;
    for (std::int64_t j = 0; j < matrix.cols; ++j) sum += matrix.get(i, j);
    store(problem.operation.bias, problem.d.type, i, static_cast<float>(sum));
  }
}

void run_batch(const Product& p, std::int64_t batch) {
  const Problem& problem = p.problem;
  const Operation& op = problem.operation;
  const Epilogue what = epilogue_of(problem);
  Matrix a = matrix_of(problem.a, p.a, batch), b = matrix_of(problem.b, p.b, batch);
  a.is_tf32 = b.is_tf32 = op.compute_type == CUBLAS_COMPUTE_32F_FAST_TF32;
  if (op.trans_a == CUBLAS_OP_T) a = a.transposed();
  if (op.trans_b == CUBLAS_OP_T) b = b.transposed();
  std::vector<float> sums(static_cast<std::size_t>(problem.rows() * problem.cols()));
  multiply(sums, p, a, b);
  const float alpha = p.alpha_at == nullptr ? p.alpha : *static_cast<const float*>(p.alpha_at);
  const float beta = p.beta_at == nullptr ? p.beta : *static_cast<const float*>(p.beta_at);
  const Matrix c = matrix_of(problem.c, p.c, batch), d = matrix_of(problem.d, p.d, batch);
  const Matrix aux = aux_matrix(problem, batch);
  for (std::int64_t j = 0; j < d.cols; ++j) {
    for (std::int64_t i = 0; i < d.rows; ++i) {
      float& value = sums[static_cast<std::size_t>(j * d.rows + i)];
      value *= alpha;
      if (beta != 0) value += beta * c.get(i, j);  // beta = 0 reads nothing: C may hold NaN
      value = finish(value, p, what, aux, batch, i, j);
      d.set(i, j, value);
    }
  }
  if (what.bias_grad) store_row_sums(problem, {sums.data(), CUDA_R_32F, d.rows, d.cols, 1, d.rows});
  if (what.bias_grad_of_a) store_row_sums(problem, a);
  if (what.bias_grad_of_b) store_row_sums(problem, b.transposed());
}

std::size_t bytes_of(const Layout& layout) {
  return static_cast<std::size_t>(extent(layout)) * element_bytes(layout.type);
}

/// Bytes of the bias vector, or of its gradient.
std::size_t bias_bytes(const Problem& problem, const Epilogue& what) {
  const std::int64_t elems = what.bias_grad_of_b ? problem.cols() : problem.rows();
  const std::int64_t steps = (problem.batches() - 1) * problem.operation.bias_batch_stride;
  return static_cast<std::size_t>(elems + steps) * element_bytes(problem.d.type);
}

std::size_t aux_bytes(const Problem& problem) {
  const Operation& op = problem.operation;
  const std::int64_t one = op.aux_ld * (problem.cols() - 1) + problem.rows();
  return static_cast<std::size_t>(one + (problem.batches() - 1) * op.aux_batch_stride) * element_bytes(problem.d.type);
}

std::vector<Range> ranges_of(const Product& p) {
  const Problem& problem = p.problem;
  const Epilogue what = epilogue_of(problem);
  std::vector<Range> ranges{reads(p.a, bytes_of(problem.a)), reads(p.b, bytes_of(problem.b)),
                            writes(p.d, bytes_of(problem.d))};
  if (p.beta_at != nullptr || p.beta != 0) ranges.push_back(reads(p.c, bytes_of(problem.c)));
  if (p.alpha_at != nullptr) ranges.push_back(reads(p.alpha_at, sizeof(float)));
  if (p.beta_at != nullptr) ranges.push_back(reads(p.beta_at, sizeof(float)));
  if (p.algorithm.workspace_bytes > 0) ranges.push_back(writes(p.workspace, p.algorithm.workspace_bytes));
  const bool writes_bias = what.bias_grad || what.bias_grad_of_a || what.bias_grad_of_b;
  if (what.bias || writes_bias) ranges.push_back({problem.operation.bias, bias_bytes(problem, what), writes_bias});
  if (what.writes_aux || what.reads_aux) {
    ranges.push_back({problem.operation.aux, aux_bytes(problem), what.writes_aux});
  }
  return ranges;
}

bool overlap(const void* x, std::size_t x_bytes, const void* y, std::size_t y_bytes) {
  const auto a = reinterpret_cast<std::uintptr_t>(x), b = reinterpret_cast<std::uintptr_t>(y);
  return a < b + y_bytes && b < a + x_bytes;
}

cublasStatus_t check_pointers(const Product& p) {
  const Problem& problem = p.problem;
  if (p.a == nullptr || p.b == nullptr || p.c == nullptr || p.d == nullptr) return refuse(kInvalid, "a matrix is null");
  const Epilogue what = epilogue_of(problem);
  const bool needs_bias = what.bias || what.bias_grad || what.bias_grad_of_a || what.bias_grad_of_b;
  if (needs_bias && problem.operation.bias == nullptr) return refuse(kInvalid, "the epilogue's bias is null");
  if ((what.writes_aux || what.reads_aux) && problem.operation.aux == nullptr) {
    return refuse(kInvalid, "the epilogue's auxiliary buffer is null");
  }
  if (p.c == p.d && (problem.c.ld != problem.d.ld || problem.c.order != problem.d.order ||
                     problem.c.batch_stride != problem.d.batch_stride)) {
    return refuse(kInvalid, "in place, but the layouts of C and D differ");
  }
  if (overlap(p.d, bytes_of(problem.d), p.a, bytes_of(problem.a)) ||
      overlap(p.d, bytes_of(problem.d), p.b, bytes_of(problem.b))) {
    violation("cublasLtMatmul: D overlaps an operand");
  }
  return CUBLAS_STATUS_SUCCESS;
}

/// An algorithm holds for the problem it was found for, and for operands aligned as was promised to the heuristic.
cublasStatus_t check_algorithm(const Product& p, std::size_t workspace_bytes) {
  const Algorithm& algorithm = p.algorithm;
  if (algorithm.seal != Algorithm::kSeal) return refuse(kInvalid, "the algorithm is not one of the heuristic's");
  if (algorithm.problem != problem_key(p.problem))
    return refuse(kInvalid, "the algorithm was found for another product");
  if (workspace_bytes < algorithm.workspace_bytes || (algorithm.workspace_bytes > 0 && p.workspace == nullptr)) {
    return refuse(kInvalid, "the workspace is smaller than the algorithm needs");
  }
  if (reinterpret_cast<std::uintptr_t>(p.workspace) % 256 != 0) return refuse(kInvalid, "workspace: 256 bytes aligned");
  const void* const pointers[] = {p.a, p.b, p.c, p.d, p.problem.operation.bias, p.problem.operation.aux};
  for (const void* pointer : pointers) {
    if (reinterpret_cast<std::uintptr_t>(pointer) % algorithm.alignment != 0) {
      return refuse(kInvalid, "an operand is not aligned as the heuristic was told");
    }
  }
  return CUBLAS_STATUS_SUCCESS;
}

/// What the library picks by itself where no algorithm is given: by the pointers at hand.
cublasStatus_t pick_algorithm(Product& p, std::size_t workspace_bytes) {
  Preference preference{CUBLASLT_SEARCH_BEST_FIT, CUBLASLT_REDUCTION_SCHEME_MASK, workspace_bytes, {}, 0, ~0ull};
  const void* const pointers[] = {p.a, p.b, p.c, p.d};
  for (int i = 0; i < 4; ++i) {
    const auto bits = reinterpret_cast<std::uintptr_t>(pointers[i]) | 256;
    preference.min_alignment[i] = static_cast<std::uint32_t>(bits & (~bits + 1));
  }
  const auto found = find_algorithms(p.problem, preference);
  if (found.empty()) return refuse(kUnsupported, "no algorithm for this product");
  p.algorithm = found.front();
  return CUBLAS_STATUS_SUCCESS;
}

/// By pointer mode: host values now, device values when the product runs.
cublasStatus_t read_scales(Product& p, const void* alpha, const void* beta) {
  if (alpha == nullptr || beta == nullptr) return refuse(kInvalid, "alpha or beta is null");
  if (p.problem.operation.pointer_mode == CUBLASLT_POINTER_MODE_DEVICE) {
    p.alpha_at = alpha;
    p.beta_at = beta;
    return CUBLAS_STATUS_SUCCESS;
  }
  if (is_device_memory(alpha) || is_device_memory(beta)) violation("cublasLtMatmul: alpha or beta in device memory");
  p.alpha = *static_cast<const float*>(alpha);
  p.beta = *static_cast<const float*>(beta);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t submit(const Product& p, cudaStream_t stream) {
  if (p.problem.operation.compute_type == CUBLAS_COMPUTE_32F_FAST_TF32) count("cublasLtMatmul.tf32");
  const auto work = [p] {
    for (std::int64_t batch = 0; batch < p.problem.batches(); ++batch) run_batch(p, batch);
  };
  const cudaError_t code = enqueue(stream, operation("cublasLtMatmul", ranges_of(p), work));
  return code == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

cublasStatus_t prepare(Product& p, const void* alpha, const void* beta, const cublasLtMatmulAlgo_t* algorithm,
                       std::size_t workspace_bytes) {
  if (const auto status = check_problem(p.problem)) return status;
  if (const auto status = read_scales(p, alpha, beta)) return status;
  if (const auto status = check_pointers(p)) return status;
  if (algorithm == nullptr) {
    if (const auto status = pick_algorithm(p, workspace_bytes)) return status;
  } else {
    p.algorithm = *open(algorithm);
  }
  return check_algorithm(p, workspace_bytes);
}

void write_results(const std::vector<Algorithm>& found, int wanted, cublasLtMatmulHeuristicResult_t* results,
                   int* count) {
  *count = 0;
  for (const Algorithm& algorithm : found) {
    if (*count == wanted) return;
    cublasLtMatmulHeuristicResult_t& result = results[(*count)++];
    result = {};
    *open(&result.algo) = algorithm;
    result.workspaceSize = algorithm.workspace_bytes;
    result.state = CUBLAS_STATUS_SUCCESS;
    result.wavesCount = 1;
  }
}

}  // namespace

}  // namespace dml::emulator::blas

using namespace dml::emulator::blas;

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  EMULATOR_ENTRY(cublasStatus_t);
  if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *handle = new cublasLtContext{dml::emulator::current_device()};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  EMULATOR_ENTRY(cublasStatus_t);
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion() { return CUBLAS_VERSION; }
size_t cublasLtGetCudartVersion() { return CUDART_VERSION; }

cublasStatus_t cublasLtGetProperty(libraryPropertyType type, int* value) {
  if (value == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *value = type == MAJOR_VERSION ? CUBLAS_VER_MAJOR : type == MINOR_VERSION ? CUBLAS_VER_MINOR : CUBLAS_VER_PATCH;
  return CUBLAS_STATUS_SUCCESS;
}

const char* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED: return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH: return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR: return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR: return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "CUBLAS_STATUS_UNKNOWN";
  }
}

const char* cublasLtGetStatusString(cublasStatus_t status) { return cublasLtGetStatusName(status); }

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int* count) {
  EMULATOR_ENTRY(cublasStatus_t);
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (preference == nullptr || results == nullptr || count == nullptr || wanted < 1) return kInvalid;
  Problem problem;
  if (const auto status = read_problem(problem, operation, a, b, c, d)) return status;
  if (const auto status = check_problem(problem)) return status;
  write_results(find_algorithms(problem, *open(preference)), wanted, results, count);
  return *count == 0 ? refuse(kUnsupported, "no algorithm for this product") : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algorithm, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
  EMULATOR_ENTRY(cublasStatus_t);
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (handle->device != dml::emulator::device_of(stream)) {
    dml::emulator::violation("cublasLtMatmul: the handle was made for another device than the stream's");
  }
  Product p{};
  if (const auto status = read_problem(p.problem, operation, a_layout, b_layout, c_layout, d_layout)) return status;
  p.a = a;
  p.b = b;
  p.c = c;
  p.d = d;
  p.workspace = workspace;
  if (const auto status = prepare(p, alpha, beta, algorithm, workspace_bytes)) return status;
  return submit(p, dml::emulator::stream_of_call("cublasLtMatmul", stream));
}

}  // extern "C"
