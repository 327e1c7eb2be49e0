// The functions of cublasLt that we call, in a library that is opened by the first call.
#pragma once

#include <cublasLt.h>

// Applied to the name of each function.
#define DML_CUBLAS_LT_FUNCTIONS(X)        \
  X(cublasLtCreate)                       \
  X(cublasLtDestroy)                      \
  X(cublasLtGetStatusString)              \
  X(cublasLtGetVersion)                   \
  X(cublasLtMatmul)                       \
  X(cublasLtMatmulAlgoGetHeuristic)       \
  X(cublasLtMatmulDescCreate)             \
  X(cublasLtMatmulDescDestroy)            \
  X(cublasLtMatmulDescSetAttribute)       \
  X(cublasLtMatmulPreferenceCreate)       \
  X(cublasLtMatmulPreferenceDestroy)      \
  X(cublasLtMatmulPreferenceSetAttribute) \
  X(cublasLtMatrixLayoutCreate)           \
  X(cublasLtMatrixLayoutDestroy)          \
  X(cublasLtMatrixLayoutSetAttribute)

namespace dml::cuda {

struct CublasLt {
#define DML_MEMBER(function) decltype(&::function) function = nullptr;  // NOLINT(bugprone-macro-parentheses)
  DML_CUBLAS_LT_FUNCTIONS(DML_MEMBER)
#undef DML_MEMBER
};

/// Throws DeviceError where the library is missing or of another major version than its headers.
const CublasLt& cublas_lt();

/// Throws DeviceError that names the call and the status unless it is success.
void check_cublas_lt(cublasStatus_t status, const char* call);

}  // namespace dml::cuda

/// Calls a function of cublasLt; throws DeviceError that names it where it fails.
#define DML_CUBLAS_LT(function, ...) \
  ::dml::cuda::check_cublas_lt(::dml::cuda::cublas_lt().function(__VA_ARGS__), #function)
