// Streams and events of the emulated CUDA runtime.
#include <cuda_runtime_api.h>

#include <functional>
#include <memory>
#include <utility>

#include "tests/device_emulator/cudart/entry.h"
#include "tests/device_emulator/engine/capture.h"
#include "tests/device_emulator/engine/stream.h"

namespace dml::emulator {
namespace {

cudaError_t create(cudaStream_t* to, unsigned flags) {
  if ((flags & ~static_cast<unsigned>(cudaStreamNonBlocking)) != 0) return cudaErrorInvalidValue;
  *to = create_stream(current_device(), flags == cudaStreamDefault);
  return cudaSuccess;
}

cudaError_t create(cudaEvent_t* to, unsigned flags) {
  constexpr unsigned kKnown = cudaEventBlockingSync | cudaEventDisableTiming | cudaEventInterprocess;
  if ((flags & ~kKnown) != 0) return cudaErrorInvalidValue;
  *to = create_event((flags & cudaEventDisableTiming) == 0);
  return cudaSuccess;
}

cudaError_t record(CUevent_st& event, CUstream_st& stream) {
  event.capture = stream.capture;
  if (stream.capture != nullptr) {
    if (!stream.capture->is_valid()) return cudaErrorStreamCaptureInvalidated;
    event.nodes = stream.capture->tail(stream);
    event.task = nullptr;
  } else {
    event.task = issue(stream, {"cudaEventRecord", {}, {}});
  }
  return cudaSuccess;
}

// A stream that waits for an event of a capture is drawn into it.
cudaError_t wait_for_captured(CUstream_st& stream, const CUevent_st& event) {
  if (event.capture->is_over()) return cudaErrorCapturedEvent;
  if (stream.capture == nullptr) stream.capture = event.capture;
  if (stream.capture != event.capture) {
    stream.capture->invalidate();
    return cudaErrorStreamCaptureMerge;
  }
  if (!stream.capture->is_valid()) return cudaErrorStreamCaptureInvalidated;
  stream.capture->join(stream, event.nodes);
  return cudaSuccess;
}

cudaError_t wait_for_event(CUstream_st& stream, const CUevent_st& event) {
  if (event.capture != nullptr) return wait_for_captured(stream, event);
  if (stream.capture != nullptr) {
    stream.capture->invalidate();
    return cudaErrorStreamCaptureIsolation;
  }
  if (event.task != nullptr) issue(stream, {"cudaStreamWaitEvent", {}, {}}, {event.task});
  return cudaSuccess;
}

cudaError_t call_on_host(cudaStream_t stream, std::function<void()> function) {
  return enqueue(stream, operation("cudaLaunchHostFunc", {}, [function = std::move(function)] {
                   const Callback callback;
                   function();
                 }));
}

/// The stream and what synchronising calls must refuse of it.
cudaError_t not_captured(CUstream_st& stream) {
  if (stream.capture == nullptr) return cudaSuccess;
  stream.capture->invalidate();
  return cudaErrorStreamCaptureUnsupported;
}

}  // namespace
}  // namespace dml::emulator

using dml::emulator::failed;

extern "C" {

cudaError_t cudaStreamCreate(cudaStream_t* to) {
  DML_ENTER("cudaStreamCreate");
  return failed(dml::emulator::create(to, cudaStreamDefault));
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* to, unsigned flags) {
  DML_ENTER("cudaStreamCreateWithFlags");
  return failed(dml::emulator::create(to, flags));
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* to, unsigned flags, int) {
  DML_ENTER("cudaStreamCreateWithPriority");
  return failed(dml::emulator::create(to, flags));
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  DML_ENTER("cudaStreamDestroy");
  return dml::emulator::destroy_stream(stream) ? cudaSuccess : failed(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  // What makes it fail is work that went wrong before: none that uses the host's memory is under way any more.
  const cudaError_t told = dml::emulator::enter("cudaStreamSynchronize");
  const bool waits =
      told == cudaSuccess || (told != cudaErrorNotPermitted && dml::emulator::sticky_error() == cudaSuccess);
  if (!waits || told == static_cast<cudaError_t>(dml::emulator::kLeftOut)) return failed(told);
  CUstream_st* stream = dml::emulator::find_stream(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (const cudaError_t code = dml::emulator::not_captured(*stream); code != cudaSuccess) return failed(code);
  dml::emulator::wait_for_stream(*stream);
  return failed(told != cudaSuccess ? told : dml::emulator::sticky_error());
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  DML_ENTER("cudaStreamQuery");
  CUstream_st* stream = dml::emulator::find_stream(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  if (const cudaError_t code = dml::emulator::not_captured(*stream); code != cudaSuccess) return failed(code);
  return dml::emulator::is_stream_done(*stream) ? failed(dml::emulator::sticky_error()) : cudaErrorNotReady;
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned* flags) {
  DML_ENTER("cudaStreamGetFlags");
  const CUstream_st* stream = dml::emulator::find_stream(handle);
  if (stream == nullptr) return failed(cudaErrorInvalidResourceHandle);
  *flags = stream->is_blocking ? cudaStreamDefault : cudaStreamNonBlocking;
  return cudaSuccess;
}

cudaError_t cudaStreamGetDevice(cudaStream_t handle, int* device) {
  DML_ENTER("cudaStreamGetDevice");
  *device = dml::emulator::device_of(handle);
  return *device < 0 ? failed(cudaErrorInvalidResourceHandle) : cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  DML_ENTER("cudaStreamWaitEvent");
  CUstream_st* stream = dml::emulator::find_stream(dml::emulator::stream_of_call("cudaStreamWaitEvent", handle));
  if (stream == nullptr || !dml::emulator::is_event(event)) return failed(cudaErrorInvalidResourceHandle);
  return failed(dml::emulator::wait_for_event(*stream, *event));
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* user) {
  DML_ENTER("cudaLaunchHostFunc");
  return failed(dml::emulator::call_on_host(stream, [=] { function(user); }));
}

cudaError_t cudaStreamAddCallback(cudaStream_t stream, cudaStreamCallback_t function, void* user, unsigned) {
  DML_ENTER("cudaStreamAddCallback");
  return failed(dml::emulator::call_on_host(stream, [=] { function(stream, cudaSuccess, user); }));
}

cudaError_t cudaEventCreate(cudaEvent_t* to) {
  DML_ENTER("cudaEventCreate");
  return failed(dml::emulator::create(to, cudaEventDefault));
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* to, unsigned flags) {
  DML_ENTER("cudaEventCreateWithFlags");
  return failed(dml::emulator::create(to, flags));
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  DML_ENTER("cudaEventDestroy");
  return dml::emulator::destroy_event(event) ? cudaSuccess : failed(cudaErrorInvalidResourceHandle);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t handle) {
  DML_ENTER("cudaEventRecord");
  CUstream_st* stream = dml::emulator::find_stream(dml::emulator::stream_of_call("cudaEventRecord", handle));
  if (stream == nullptr || !dml::emulator::is_event(event)) return failed(cudaErrorInvalidResourceHandle);
  return failed(dml::emulator::record(*event, *stream));
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  DML_ENTER("cudaEventSynchronize");
  if (!dml::emulator::is_event(event)) return failed(cudaErrorInvalidResourceHandle);
  if (event->capture != nullptr) return failed(cudaErrorCapturedEvent);
  dml::emulator::wait_for(event->task);
  return failed(dml::emulator::sticky_error());
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  DML_ENTER("cudaEventQuery");
  if (!dml::emulator::is_event(event)) return failed(cudaErrorInvalidResourceHandle);
  if (event->capture != nullptr) return failed(cudaErrorCapturedEvent);
  return dml::emulator::is_done(event->task) ? failed(dml::emulator::sticky_error()) : cudaErrorNotReady;
}

// Time on the emulator's host: it says in which order things ended, and nothing about a GPU.
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t from, cudaEvent_t to) {
  DML_ENTER("cudaEventElapsedTime");
  for (const cudaEvent_t event : {from, to}) {
    if (!dml::emulator::is_event(event) || !event->has_time || event->task == nullptr) {
      return failed(cudaErrorInvalidResourceHandle);
    }
    if (event->task->state != dml::emulator::Task::done) return failed(cudaErrorNotReady);
  }
  *milliseconds = static_cast<float>(static_cast<double>(to->task->done_ns - from->task->done_ns) * 1e-6);
  return cudaSuccess;
}

}  // extern "C"
