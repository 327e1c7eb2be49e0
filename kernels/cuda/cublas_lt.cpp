#include "kernels/cuda/cublas_lt.h"

#include <fmt/format.h>

#include "kernels/cuda/library.h"
#include "kernels/error.h"

namespace dml::cuda {
namespace {

CublasLt open_cublas_lt() {
  const Library library("libcublasLt.so.13", "cuBLAS 13");
  CublasLt table;
#define DML_FIND(function) library.find(table.function, #function);
  DML_CUBLAS_LT_FUNCTIONS(DML_FIND)
#undef DML_FIND
  library.require_major(table.cublasLtGetVersion(), 10000, CUBLAS_VER_MAJOR);
  return table;
}

}  // namespace

const CublasLt& cublas_lt() {
  static const CublasLt table = open_cublas_lt();
  return table;
}

void check_cublas_lt(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw DeviceError(fmt::format("{} failed: {}", call, cublas_lt().cublasLtGetStatusString(status)));
}

}  // namespace dml::cuda
