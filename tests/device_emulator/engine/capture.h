// Work that is recorded instead of run: streams under capture, and the graphs that come of it.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "tests/device_emulator/emulator.h"

namespace dml::emulator {

/// Operations, each behind those of lower index that are named for it.
struct Recording {
  std::vector<Operation> nodes;
  std::vector<std::vector<std::size_t>> before;
};

/// From cudaStreamBeginCapture to cudaStreamEndCapture: over the first stream and those that waited for its events.
class Capture {
 public:
  Capture(CUstream_st& origin, cudaStreamCaptureMode mode);

  void add(CUstream_st& stream, Operation operation);
  /// The nodes that the stream's next operation would wait for.
  const std::vector<std::size_t>& tail(CUstream_st& stream) { return tails_[&stream]; }
  /// Draws the stream into the capture, behind these nodes.
  void join(CUstream_st& stream, const std::vector<std::size_t>& nodes);
  /// Ends it. Empty if all streams have come back to the first one, else what has not.
  std::string finish();
  void invalidate() { is_valid_ = false; }

  bool is_valid() const { return is_valid_; }
  bool is_over() const { return is_over_; }
  bool is_origin(const CUstream_st& stream) const { return &stream == origin_; }
  /// Whether calls that are unsafe in a capture are refused on the calling thread.
  bool forbids_unsafe_calls() const;
  Recording& recording() { return recording_; }

 private:
  CUstream_st* origin_;
  cudaStreamCaptureMode mode_;
  std::thread::id thread_ = std::this_thread::get_id();
  bool is_valid_ = true;
  bool is_over_ = false;
  Recording recording_;
  std::map<CUstream_st*, std::vector<std::size_t>> tails_;
};

/// The capture that forbids unsafe calls (allocation, synchronisation) on the calling thread; null if there is none.
Capture* forbidding_capture();

}  // namespace dml::emulator
