#include "kernels/cuda/handles.h"

#include "kernels/cuda/cublas_lt.h"
#include "kernels/cuda/cudnn.h"

namespace dml::cuda {

Handles::~Handles() {
  if (blas_ != nullptr) cublas_lt().cublasLtDestroy(blas_);
  if (dnn_ != nullptr) cudnn().cudnnDestroy(dnn_);
}

cublasLtContext* Handles::blas() {
  if (blas_ == nullptr) DML_CUBLAS_LT(cublasLtCreate, &blas_);
  return blas_;
}

cudnnContext* Handles::dnn() {
  if (dnn_ == nullptr) {
    DML_CUDNN(cudnnCreate, &dnn_);
    DML_CUDNN(cudnnSetStream, dnn_, stream_);
  }
  return dnn_;
}

}  // namespace dml::cuda
