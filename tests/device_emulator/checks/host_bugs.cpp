// A pipeline of two streams as a runtime would write it, with mistakes on demand: `dml_emulator_host_bugs NAME` ends
// with 0 if all its results are right, with 1 if some are wrong. The script host_bugs asks which policies bring a
// mistake to light.
#include <cuda_runtime_api.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/cuda/check.h"
#include "tests/device_emulator/checks/kernels.h"

namespace {

constexpr std::size_t kElems = 1000;
constexpr int kRounds = 6;

struct Mistakes {
  bool no_wait_for_copy = false;    // computes before its input has come
  bool no_wait_for_reader = false;  // the next input overwrites one that is still read
  bool early_read = false;          // the host reads the result without waiting
  bool early_reuse = false;         // the host overwrites a pinned buffer whose copy is on its way
  bool wrong_stream = false;        // a kernel goes on the copy stream
  bool late_record = false;         // the event is recorded before the copy that it stands for
};

Mistakes mistakes_of(const std::string& name) {
  Mistakes all;
  if (name == "none") return all;
  for (const auto& [known, member] : {std::pair{"no_wait_for_copy", &Mistakes::no_wait_for_copy},
                                      {"no_wait_for_reader", &Mistakes::no_wait_for_reader},
                                      {"early_read", &Mistakes::early_read},
                                      {"early_reuse", &Mistakes::early_reuse},
                                      {"wrong_stream", &Mistakes::wrong_stream},
                                      {"late_record", &Mistakes::late_record}}) {
    if (name != known) continue;
    all.*member = true;
    return all;
  }
  throw std::invalid_argument("no mistake is called " + name);
}

class Pipeline {
 public:
  Pipeline() {
    for (cudaStream_t* stream : {&copy_, &compute_}) DML_CUDA(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking));
    for (cudaEvent_t* event : {&arrived_, &read_, &done_}) {
      DML_CUDA(cudaEventCreateWithFlags(event, cudaEventDisableTiming));
    }
    for (float** buffer : {&host_in_, &host_out_}) {
      DML_CUDA(cudaMallocHost(reinterpret_cast<void**>(buffer), kElems * sizeof(float)));
    }
    for (float** buffer : {&in_, &middle_, &out_}) {
      DML_CUDA(cudaMalloc(reinterpret_cast<void**>(buffer), kElems * sizeof(float)));
    }
  }
  ~Pipeline() {
    cudaDeviceSynchronize();
    for (float* buffer : {in_, middle_, out_}) cudaFree(buffer);
    for (float* buffer : {host_in_, host_out_}) cudaFreeHost(buffer);
    for (cudaEvent_t event : {arrived_, read_, done_}) cudaEventDestroy(event);
    for (cudaStream_t stream : {copy_, compute_}) cudaStreamDestroy(stream);
  }
  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  /// Whether the results of this round are right: 6 x.
  bool round(int number, const Mistakes& mistakes) {
    for (std::size_t i = 0; i < kElems; ++i) host_in_[i] = value(number, i);
    if (mistakes.late_record) DML_CUDA(cudaEventRecord(arrived_, copy_));
    DML_CUDA(cudaMemcpyAsync(in_, host_in_, kElems * sizeof(float), cudaMemcpyHostToDevice, copy_));
    if (!mistakes.late_record) DML_CUDA(cudaEventRecord(arrived_, copy_));
    if (!mistakes.no_wait_for_copy) DML_CUDA(cudaStreamWaitEvent(compute_, arrived_, 0));
    dml::emulator_test::scale(middle_, in_, 2, kElems, compute_);
    DML_CUDA(cudaEventRecord(read_, compute_));
    dml::emulator_test::scale(out_, middle_, 3, kElems, mistakes.wrong_stream ? copy_ : compute_);
    DML_CUDA(cudaMemcpyAsync(host_out_, out_, kElems * sizeof(float), cudaMemcpyDeviceToHost, compute_));
    DML_CUDA(cudaEventRecord(done_, compute_));
    // The place of the next input is made ready as soon as this one is read.
    if (!mistakes.no_wait_for_reader) DML_CUDA(cudaStreamWaitEvent(copy_, read_, 0));
    DML_CUDA(cudaMemsetAsync(in_, 0xff, kElems * sizeof(float), copy_));
    if (mistakes.early_reuse) std::memset(host_in_, 0, kElems * sizeof(float));
    if (!mistakes.early_read) DML_CUDA(cudaEventSynchronize(done_));
    bool right = true;
    for (std::size_t i = 0; i < kElems; ++i) right &= host_out_[i] == 6 * value(number, i);
    return right;
  }

 private:
  static float value(int number, std::size_t i) { return static_cast<float>(number * 10000) + static_cast<float>(i); }

  cudaStream_t copy_ = nullptr, compute_ = nullptr;
  cudaEvent_t arrived_ = nullptr, read_ = nullptr, done_ = nullptr;
  float *host_in_ = nullptr, *host_out_ = nullptr;
  float *in_ = nullptr, *middle_ = nullptr, *out_ = nullptr;
};

}  // namespace

int main(int argc, char** argv) {
  try {
    const Mistakes mistakes = mistakes_of(argc > 1 ? argv[1] : "none");
    Pipeline pipeline;
    bool right = true;
    for (int number = 0; number < kRounds; ++number) right &= pipeline.round(number, mistakes);
    return right ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  }
}
