#include "kernels/cuda/cudnn.h"

#include <fmt/format.h>

#include "kernels/cuda/library.h"
#include "kernels/error.h"

namespace dml::cuda {
namespace {

Cudnn open_cudnn() {
  const Library library("libcudnn.so.9", "cuDNN 9");
  Cudnn table;
#define DML_FIND(function) library.find(table.function, #function);
  DML_CUDNN_FUNCTIONS(DML_FIND)
#undef DML_FIND
  library.require_major(table.cudnnGetVersion(), 10000, CUDNN_MAJOR);
  return table;
}

}  // namespace

const Cudnn& cudnn() {
  static const Cudnn table = open_cudnn();
  return table;
}

void check_cudnn(cudnnStatus_t status, const char* call) {
  if (status == CUDNN_STATUS_SUCCESS) return;
  throw DeviceError(fmt::format("{} failed: {}", call, cudnn().cudnnGetErrorString(status)));
}

}  // namespace dml::cuda
