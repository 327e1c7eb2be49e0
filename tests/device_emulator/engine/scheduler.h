// What is on its way on all streams of the process, and the policy by which it runs. One lock guards all of it;
// operations run without the lock.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include "tests/device_emulator/engine/stream.h"

namespace dml::emulator {

using Lock = std::unique_lock<std::mutex>;

struct Queues {
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<std::unique_ptr<CUstream_st>> all_streams;  // also destroyed ones: their operations may still run
  std::unordered_set<CUstream_st*> streams;
  std::unordered_set<CUevent_st*> events;
  std::vector<std::unique_ptr<CUstream_st>> default_streams;
  std::vector<TaskPointer> pending;  // in the order of issue; done ones are swept out now and then
  std::vector<Task*> ready;          // wait for nothing
  std::vector<TaskPointer> polling;
  std::size_t num_pending = 0;
  int num_running = 0;
  std::uint64_t num_tasks = 0;
  std::uint64_t num_streams = 0;
  std::uint64_t num_waits = 0;
  std::chrono::steady_clock::time_point last_call = std::chrono::steady_clock::now();
  bool has_background = false;
  std::atomic<cudaError_t> sticky = cudaSuccess;  // error of a fault in running work
};

Queues& queues();
/// Taken by every call of the API: a device goes on by itself while none comes.
Lock lock_for_call();

/// The task, with all that it waits for, is on its way.
void begin(const TaskPointer& task);
/// Runs what the policy runs at once after `last` was issued.
void run_some(Lock& lock, const Task& last);
/// Runs what is needed until the task is done. Null is done.
void wait_until_done(Lock& lock, const TaskPointer& task);
/// Moves the device on a little for a host that asks whether the task is done.
void move_on_for_query(Lock& lock, const Task& task);

}  // namespace dml::emulator
