#include "tests/device_emulator/cublas_lt/problem.h"

#include <algorithm>
#include <iterator>

#include "tests/device_emulator/emulator.h"

namespace dml::emulator::blas {

namespace {

constexpr auto kInvalid = CUBLAS_STATUS_INVALID_VALUE;
constexpr auto kUnsupported = CUBLAS_STATUS_NOT_SUPPORTED;

std::uint64_t op_rows(const Layout& layout, std::int32_t trans) {
  return trans == CUBLAS_OP_N ? layout.rows : layout.cols;
}
std::uint64_t op_cols(const Layout& layout, std::int32_t trans) {
  return trans == CUBLAS_OP_N ? layout.cols : layout.rows;
}

cublasStatus_t check_types(const Problem& p) {
  const Operation& op = p.operation;
  if (op.compute_type == CUBLAS_COMPUTE_32F_FAST_TF32 && !is_set("EMULATOR_ALLOW_TF32")) {
    violation(
        "cublasLtMatmul: CUBLAS_COMPUTE_32F_FAST_TF32 where TF32 is not allowed (EMULATOR_ALLOW_TF32=1 allows it)");
  }
  if (op.compute_type != CUBLAS_COMPUTE_32F && op.compute_type != CUBLAS_COMPUTE_32F_PEDANTIC &&
      op.compute_type != CUBLAS_COMPUTE_32F_FAST_TF32) {
    return refuse(kUnsupported, "compute type: float32 is emulated");
  }
  if (op.scale_type != CUDA_R_32F) return refuse(kUnsupported, "scale type: float32 goes with the compute type");
  if (element_bytes(p.a.type) == 0 || element_bytes(p.d.type) == 0) {
    return refuse(kUnsupported, "element types: float32 and bfloat16 are emulated");
  }
  if (p.a.type != p.b.type || p.c.type != p.d.type)
    return refuse(kUnsupported, "types of A and B, or of C and D, differ");
  if (p.a.type == CUDA_R_32F && p.d.type != CUDA_R_32F) return refuse(kUnsupported, "float32 operands, other result");
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_layout(const Layout& layout) {
  if (layout.order != CUBLASLT_ORDER_COL && layout.order != CUBLASLT_ORDER_ROW) {
    return refuse(kUnsupported, "order: column and row are emulated");
  }
  if (layout.rows == 0 || layout.cols == 0) return refuse(kInvalid, "a matrix without elements");
  const std::uint64_t lines = layout.order == CUBLASLT_ORDER_COL ? layout.rows : layout.cols;
  if (layout.ld < static_cast<std::int64_t>(lines)) return refuse(kInvalid, "leading dimension below the extent");
  if (layout.batch_count < 1) return refuse(kInvalid, "batch count below one");
  if (layout.plane_offset != 0) return refuse(kUnsupported, "planes of complex numbers");
  if (layout.batch_mode != 0) return refuse(kUnsupported, "batches by pointers");
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_extents(const Problem& p) {
  for (const Layout* layout : {&p.a, &p.b, &p.c, &p.d}) {
    if (const auto status = check_layout(*layout)) return status;
    if (layout->batch_count != p.d.batch_count) return refuse(kInvalid, "batch counts differ");
  }
  const Operation& op = p.operation;
  for (const std::int32_t trans : {op.trans_a, op.trans_b}) {
    if (trans != CUBLAS_OP_N && trans != CUBLAS_OP_T) return refuse(kUnsupported, "operation: N and T are emulated");
  }
  if (op.trans_c != CUBLAS_OP_N || op.fill_mode != CUBLAS_FILL_MODE_FULL) return refuse(kUnsupported, "C transposed");
  if (op_rows(p.a, op.trans_a) != p.d.rows || op_cols(p.b, op.trans_b) != p.d.cols ||
      op_cols(p.a, op.trans_a) != op_rows(p.b, op.trans_b) || p.c.rows != p.d.rows || p.c.cols != p.d.cols) {
    return refuse(kInvalid, "extents do not fit: D[m, n] = op(A)[m, k] op(B)[k, n]");
  }
  Layout one = p.d;
  one.batch_count = 1;
  if (p.d.batch_count > 1 && p.d.batch_stride < extent(one)) return refuse(kInvalid, "batches of D overlap");
  return CUBLAS_STATUS_SUCCESS;
}

bool is_known(std::uint32_t epilogue) {
  constexpr std::uint32_t kKnown[] = {
      CUBLASLT_EPILOGUE_DEFAULT,       CUBLASLT_EPILOGUE_RELU,   CUBLASLT_EPILOGUE_BIAS,
      CUBLASLT_EPILOGUE_RELU_BIAS,     CUBLASLT_EPILOGUE_GELU,   CUBLASLT_EPILOGUE_GELU_AUX,
      CUBLASLT_EPILOGUE_GELU_BIAS,     CUBLASLT_EPILOGUE_DGELU,  CUBLASLT_EPILOGUE_DGELU_BGRAD,
      CUBLASLT_EPILOGUE_GELU_AUX_BIAS, CUBLASLT_EPILOGUE_BGRADA, CUBLASLT_EPILOGUE_BGRADB,
  };
  return std::find(std::begin(kKnown), std::end(kKnown), epilogue) != std::end(kKnown);
}

cublasStatus_t check_epilogue(const Problem& p) {
  const Operation& op = p.operation;
  if (!is_known(op.epilogue)) return refuse(kUnsupported, "epilogue is not emulated");
  if (op.epilogue == CUBLASLT_EPILOGUE_DEFAULT) return CUBLAS_STATUS_SUCCESS;
  if (p.d.order != CUBLASLT_ORDER_COL) return refuse(kUnsupported, "an epilogue where D is not in column order");
  const Epilogue what = epilogue_of(p);
  const bool has_vector = what.bias || what.bias_grad || what.bias_grad_of_a || what.bias_grad_of_b;
  if (has_vector && bias_type(op, p.d) != p.d.type) return refuse(kUnsupported, "type of the bias is not that of D");
  if ((what.bias_grad || what.bias_grad_of_a || what.bias_grad_of_b) && p.d.batch_count > 1) {
    return refuse(kUnsupported, "bias gradients of batches");
  }
  if (!what.reads_aux && !what.writes_aux) return CUBLAS_STATUS_SUCCESS;
  if (aux_type(op, p.d) != p.d.type) return refuse(kUnsupported, "type of the auxiliary buffer is not that of D");
  if (op.aux_ld % 8 != 0 || op.aux_ld < p.rows()) {
    return refuse(kInvalid, "leading dimension of the auxiliary buffer: a multiple of 8, at least the rows of D");
  }
  if (op.aux_batch_stride % 8 != 0) return refuse(kInvalid, "batch stride of the auxiliary buffer: a multiple of 8");
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

std::int64_t Problem::depth() const { return static_cast<std::int64_t>(op_cols(a, operation.trans_a)); }

Epilogue epilogue_of(const Problem& problem) {
  const std::uint32_t bits = problem.operation.epilogue;
  const bool aux = (bits & 128) != 0;
  Epilogue what{};
  what.bias = (bits & CUBLASLT_EPILOGUE_BIAS) != 0;
  what.relu = (bits & CUBLASLT_EPILOGUE_RELU) != 0;
  what.gelu = (bits & CUBLASLT_EPILOGUE_GELU) != 0;
  what.gelu_grad = (bits & 64) != 0;
  what.writes_aux = aux && what.gelu;
  what.reads_aux = aux && what.gelu_grad;
  what.bias_grad = (bits & 16) != 0;
  what.bias_grad_of_a = bits == CUBLASLT_EPILOGUE_BGRADA;
  what.bias_grad_of_b = bits == CUBLASLT_EPILOGUE_BGRADB;
  return what;
}

cublasStatus_t read_problem(Problem& problem, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                            cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d) {
  if (operation == nullptr || a == nullptr || b == nullptr || c == nullptr || d == nullptr) {
    return refuse(kInvalid, "a descriptor is null");
  }
  problem = {*open(operation), *open(a), *open(b), *open(c), *open(d)};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t check_problem(const Problem& problem) {
  if (const auto status = check_types(problem)) return status;
  if (const auto status = check_extents(problem)) return status;
  if (problem.operation.pointer_mode != CUBLASLT_POINTER_MODE_HOST &&
      problem.operation.pointer_mode != CUBLASLT_POINTER_MODE_DEVICE) {
    return refuse(kUnsupported, "pointer mode: host and device are emulated");
  }
  return check_epilogue(problem);
}

std::uint32_t alignment_of(const Layout& layout, std::uint64_t base) {
  const std::uint64_t element = element_bytes(layout.type);
  std::uint64_t bits = base | static_cast<std::uint64_t>(layout.ld) * element | 256;
  if (layout.batch_count > 1) bits |= static_cast<std::uint64_t>(layout.batch_stride) * element;
  return static_cast<std::uint32_t>(bits & (~bits + 1));
}

std::uint64_t problem_key(const Problem& problem) {
  std::uint64_t key = 0xcbf29ce484222325;
  const auto mix = [&key](std::uint64_t value) { key = (key ^ value) * 0x100000001b3; };
  const Operation& op = problem.operation;
  for (const auto value : {op.compute_type, op.scale_type, op.pointer_mode, op.trans_a, op.trans_b}) mix(value);
  mix(op.epilogue);
  for (const Layout* layout : {&problem.a, &problem.b, &problem.c, &problem.d}) {
    for (const auto value : {layout->rows, layout->cols, static_cast<std::uint64_t>(layout->ld)}) mix(value);
    for (const auto value : {static_cast<std::int32_t>(layout->type), layout->order, layout->batch_count}) mix(value);
    if (layout->batch_count > 1) mix(static_cast<std::uint64_t>(layout->batch_stride));
  }
  return key;
}

std::int64_t extent(const Layout& layout) {
  const auto rows = static_cast<std::int64_t>(layout.rows), cols = static_cast<std::int64_t>(layout.cols);
  const bool by_col = layout.order == CUBLASLT_ORDER_COL;
  const std::int64_t one = layout.ld * ((by_col ? cols : rows) - 1) + (by_col ? rows : cols);
  return one + (layout.batch_count - 1) * layout.batch_stride;
}

Matrix matrix_of(const Layout& layout, const void* data, std::int64_t batch) {
  const auto rows = static_cast<std::int64_t>(layout.rows), cols = static_cast<std::int64_t>(layout.cols);
  const auto bytes = batch * layout.batch_stride * static_cast<std::int64_t>(element_bytes(layout.type));
  char* const first = static_cast<char*>(const_cast<void*>(data)) + bytes;
  if (layout.order == CUBLASLT_ORDER_COL) return {first, layout.type, rows, cols, 1, layout.ld};
  return {first, layout.type, rows, cols, layout.ld, 1};
}

}  // namespace dml::emulator::blas
