// dml_bench_host_cost [RANKS]: what a step costs the host where the GPU costs nothing. Drives steps of GPT-2 124M on
// the emulated GPU with kernels that do nothing, first task by task, then as a replayed graph, on RANKS replicas
// (threads, default 2); benchmarks/host_cost/README.md says how the emulator's own time is told apart.
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <functional>
#include <thread>
#include <vector>

#include "kernels/error.h"
#include "runtime/comm/communicator.h"
#include "runtime/data/open.h"
#include "runtime/device/device.h"
#include "runtime/model/model_source.h"
#include "runtime/program/rank_state.h"

namespace dml {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kWarmUp = 3;
constexpr int kCounted = 30;
constexpr double kMicro = 1e6;

/// The emulator's switch: its entry points say success and do nothing, for the calling thread.
struct LeaveOut {
  enum Mode { none, all, counted };  ///< counted: each entry point's calls are

  LeaveOut() {
    set = reinterpret_cast<decltype(set)>(dlsym(RTLD_DEFAULT, "dml_emulator_leave_out"));
    count = reinterpret_cast<decltype(count)>(dlsym(RTLD_DEFAULT, "dml_emulator_left_out"));
    if (set == nullptr || count == nullptr) throw DeviceError("this is no emulated GPU: . tests/device_emulator/env");
  }
  void (*set)(int mode);
  long (*count)(const char* api);  ///< calls since the mode was set, of this entry point, or of all
};

Config gpt2() {
  Config config;
  config.model.source = "gpt2-124m";
  config.data.source = "builtin:text";
  config.optimizer.clip = 1;
  return config;
}

class Rank {
 public:
  Rank(Communicator& world)
      : world_(world),
        model_(config_.model, config_.seed),
        data_(open_dataset(config_.data, model_.data_inputs(), config_.seed)),
        partition_(make()),
        device_(make_cuda_device(world.rank())),
        state_(partition_, config_.optimizer, world, *device_) {}

  void step(bool is_timed) {
    state_.begin_step();
    state_.load(*data_, step_++, world_.size(), config_.optimizer.learning_rate, config_.seed);
    state_.run_step(is_timed);
    state_.finish_step();
  }
  void record() { state_.record_step(); }
  std::size_t num_tasks() const { return partition_.tasks.tasks.size(); }

 private:
  Partition make() {
    model_.set_data(*data_);
    PartitionOptions options;
    options.batch = world_.size();
    options.clips = true;
    return model_.partition(Mesh(world_.size(), 1, 1), world_.rank(), options);
  }

  Config config_ = gpt2();
  Communicator& world_;
  ModelSource model_;
  std::unique_ptr<Dataset> data_;
  Partition partition_;
  std::unique_ptr<Device> device_;
  RankState state_;
  std::int64_t step_ = 0;
};

/// Median time of `work`, in microseconds; the ranks of the process begin together.
double median_us(std::barrier<>& together, const std::function<void()>& work) {
  std::vector<double> times;
  for (int i = 0; i < kWarmUp + kCounted; ++i) {
    together.arrive_and_wait();
    const auto begin = Clock::now();
    work();
    if (i >= kWarmUp) times.push_back(std::chrono::duration<double>(Clock::now() - begin).count() * kMicro);
  }
  std::ranges::sort(times);
  return times[times.size() / 2];
}

/// Microseconds of a call that is left out, by a bare loop of them.
double call_us() {
  constexpr int kCalls = 1'000'000;
  const auto begin = Clock::now();
  for (int i = 0; i < kCalls; ++i) static_cast<void>(cudaEventRecord(nullptr, nullptr));
  return std::chrono::duration<double>(Clock::now() - begin).count() * kMicro / kCalls;
}

/// What a step of one kind costs the host.
struct Cost {
  double with_calls_us = 0;  ///< in all
  double without_us = 0;     ///< with calls that are left out
  double call_us = 0;        ///< of one that is left out
  long calls = 0, kernels = 0, products = 0, copies = 0, messages = 0, events = 0;

  double own_us() const { return without_us - static_cast<double>(calls) * call_us; }
};

void count(Cost& cost, const LeaveOut& leave_out, const std::function<void()>& step) {
  leave_out.set(LeaveOut::counted);
  step();
  cost.calls = leave_out.count(nullptr);
  cost.kernels = leave_out.count("cudaLaunchKernel");
  cost.products = leave_out.count("cublasLtMatmul");
  cost.copies = leave_out.count("cudaMemcpyAsync") + leave_out.count("cudaMemsetAsync");
  cost.messages = leave_out.count("ncclAllReduce");
  cost.events = leave_out.count("cudaEventRecord") + leave_out.count("cudaStreamWaitEvent") +
                leave_out.count("cudaEventElapsedTime") + leave_out.count("cudaEventQuery");
  leave_out.set(LeaveOut::none);
}

Cost cost_of(const LeaveOut& leave_out, std::barrier<>& together, const std::function<void()>& step) {
  Cost cost;
  cost.with_calls_us = median_us(together, step);
  together.arrive_and_wait();
  count(cost, leave_out, step);
  leave_out.set(LeaveOut::all);
  cost.without_us = median_us(together, step);
  cost.call_us = call_us();
  leave_out.set(LeaveOut::none);
  return cost;
}

void print(const char* name, const Cost& cost) {
  fmt::print("| {:<10} | {:>5} | {:>7} | {:>8} | {:>6} | {:>8} | {:>6} | {:>9.0f} | {:>8.0f} | {:>6.0f} |\n", name,
             cost.calls, cost.kernels, cost.products, cost.copies, cost.messages, cost.events, cost.with_calls_us,
             cost.without_us, cost.own_us());
}

void measure(Communicator& world, std::barrier<>& together) {
  const LeaveOut leave_out;
  Rank rank(world);
  const Cost by_task = cost_of(leave_out, together, [&] { rank.step(true); });
  rank.record();
  const Cost replayed = cost_of(leave_out, together, [&] { rank.step(false); });
  if (world.rank() != 0) return;
  fmt::print("{} tasks, {} ranks; a call that is left out takes {:.1f} ns\n\n", rank.num_tasks(), world.size(),
             by_task.call_us * 1e3);
  fmt::print(
      "| step       | calls | kernels | products | copies | messages | events | in all us | left out |    own |\n");
  fmt::print(
      "|------------|-------|---------|----------|--------|----------|--------|-----------|----------|--------|\n");
  print("by task", by_task);
  print("replayed", replayed);
}

}  // namespace
}  // namespace dml

int main(int argc, char** argv) {
  const int ranks = argc > 1 ? std::atoi(argv[1]) : 2;
  try {
    const auto worlds = dml::make_thread_world(ranks, {});
    std::barrier<> together(ranks);
    std::vector<std::jthread> threads;
    for (const auto& world : worlds) {
      threads.emplace_back([&] {
        try {
          dml::measure(*world, together);
        } catch (const std::exception& error) {
          fmt::print(stderr, "dml_bench_host_cost: {}\n", error.what());
          std::_Exit(1);
        }
      });
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "dml_bench_host_cost: {}\n", error.what());
    return 1;
  }
  return 0;
}
