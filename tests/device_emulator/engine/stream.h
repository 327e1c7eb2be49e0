// Streams as queues of operations that wait for one another, and what decides which of those that may run runs next.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/device_emulator/emulator.h"

namespace dml::emulator {

class Capture;
struct Task;
using TaskPointer = std::shared_ptr<Task>;

/// An operation on its way.
struct Task : std::enable_shared_from_this<Task> {
  enum State { waits, runs, polls, done };

  std::uint64_t number = 0;   ///< in the order of issue
  std::uint64_t draw = 0;     ///< by (seed, stream, place in the stream)
  bool is_held_back = false;  ///< the random policy runs it when it is wanted only
  CUstream_st* stream = nullptr;
  std::string name;
  std::vector<Range> ranges;
  Execution execution;
  std::vector<TaskPointer> before;  ///< what it waits for; emptied when it is done
  std::vector<Task*> after;         ///< who waits for it
  std::size_t num_before = 0;       ///< of `before`, not done yet
  State state = waits;
  bool polled_now = false;   ///< by some thread
  std::uint64_t wanted = 0;  ///< number of the wait that needs it
  std::int64_t done_ns = 0;
};

}  // namespace dml::emulator

// The names of the CUDA API's handles.
struct CUstream_st {
  int device = 0;
  bool is_blocking = true;  ///< waits for the legacy default stream, and it for this one
  std::uint64_t id = 0;
  std::uint64_t num_tasks = 0;
  bool has_thread = false;  ///< of its own, by the policy
  dml::emulator::TaskPointer tail;
  std::shared_ptr<dml::emulator::Capture> capture;
};

struct CUevent_st {
  bool has_time = true;
  dml::emulator::TaskPointer task;                  ///< null: never recorded
  std::shared_ptr<dml::emulator::Capture> capture;  ///< recorded while its stream was captured
  std::vector<std::size_t> nodes;                   ///< of that capture, which it stands for
};

namespace dml::emulator {

/// All functions take the lock of the device. Operations run without it.
CUstream_st* create_stream(int device, bool is_blocking);
/// Work that is on its way still runs. False: no stream.
bool destroy_stream(cudaStream_t stream);
/// Null and the legacy handle name the current device's default stream. Null if it is no stream.
CUstream_st* find_stream(cudaStream_t stream);
CUevent_st* create_event(bool has_time);
bool destroy_event(cudaEvent_t event);
bool is_event(cudaEvent_t event);
std::string leaked_handles();

/// Puts an operation on a stream that is not captured, behind `also`.
TaskPointer issue(CUstream_st& stream, const Operation& operation, const std::vector<TaskPointer>& also = {});
/// Puts a graph's operations on a stream: node i waits for nodes `before[i]`, and the stream's next operation for all.
void issue_all(CUstream_st& stream, const std::vector<Operation>& nodes,
               const std::vector<std::vector<std::size_t>>& before);
/// Runs what is needed until it is done. Null is done.
void wait_for(const TaskPointer& task);
void wait_for_stream(CUstream_st& stream);
void wait_for_device(int device);
/// Whether it is done; moves the device on a little.
bool is_done(const TaskPointer& task);
bool is_stream_done(CUstream_st& stream);

/// The error of a fault that was injected into running work; stays.
cudaError_t sticky_error();

/// While one lives, its thread runs a function that a stream calls on the host: no CUDA call is allowed there.
class Callback {
 public:
  Callback();
  ~Callback();
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;
};
bool is_in_callback();

}  // namespace dml::emulator
