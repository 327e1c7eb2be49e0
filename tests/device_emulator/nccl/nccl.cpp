// The calls of NCCL: argument checks, groups, and communicators as handles.
#include <cuda_runtime_api.h>
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "tests/device_emulator/emulator.h"
#include "tests/device_emulator/engine/settings.h"
#include "tests/device_emulator/library.h"
#include "tests/device_emulator/nccl/communicator.h"
#include "tests/device_emulator/nccl/reduction.h"
#include "tests/device_emulator/nccl/transfer.h"

struct ncclComm {
  std::shared_ptr<dml::emulator::nccl::Communicator> communicator;
  cudaStream_t stream = nullptr;  ///< of the last operation
};

namespace dml::emulator::nccl {

namespace {

thread_local std::string last_error;

ncclResult_t fail(ncclResult_t error, const std::string& why) {
  last_error = why;
  return error;
}

/// Handles that are in use, so that one that was destroyed is noticed.
class Handles {
 public:
  ncclComm* add(std::shared_ptr<Communicator> communicator) {
    const std::lock_guard lock(mutex_);
    auto* const handle = new ncclComm{std::move(communicator)};
    live_.insert(handle);
    return handle;
  }
  /// Ends the process where the handle was destroyed; ncclInvalidArgument for null.
  ncclResult_t check(ncclComm* handle, const char* api) {
    if (handle == nullptr) return fail(ncclInvalidArgument, std::string(api) + ": comm is null");
    const std::lock_guard lock(mutex_);
    if (live_.count(handle) == 0) violation(std::string(api) + ": the communicator was destroyed, or never was one");
    return ncclSuccess;
  }
  void remove(ncclComm* handle) {
    const std::lock_guard lock(mutex_);
    live_.erase(handle);
    delete handle;
  }

 private:
  std::mutex mutex_;
  std::unordered_set<ncclComm*> live_;
};
Handles& handles() {
  static Handles all;
  return all;
}

/// What a thread has called since ncclGroupStart.
struct Group {
  struct Queued {
    ncclComm* handle;
    Transfer transfer;
    cudaStream_t stream;
  };
  int depth = 0;
  ncclResult_t error = ncclSuccess;
  std::vector<Queued> transfers;
  std::vector<std::shared_ptr<Communicator>> meetings;
};
thread_local Group group;

struct UniqueId {
  char magic[16];
  Origin origin;
};
constexpr char kMagic[16] = "emulated-nccl";
static_assert(sizeof(UniqueId) <= sizeof(ncclUniqueId));

ncclResult_t read_config(const ncclConfig_t* config, Communicator::Options& options) {
  options = {};
  if (config == nullptr) return ncclSuccess;
  if (config->size != sizeof(ncclConfig_t) || config->magic != NCCL_API_MAGIC) {
    return fail(ncclInvalidArgument, "ncclConfig_t is not initialised by NCCL_CONFIG_INITIALIZER");
  }
  if (config->blocking != NCCL_CONFIG_UNDEF_INT && config->blocking != 0 && config->blocking != 1) {
    return fail(ncclInvalidArgument, "ncclConfig_t::blocking is 0 or 1");
  }
  options.blocking = config->blocking != 0;
  if (config->commName != nullptr) options.name = config->commName;
  return ncclSuccess;
}

/// Waits for meetings where the communicators are blocking; the others go on when ncclCommGetAsyncError is called. All
/// are brought forward together: they may be ranks of one communicator.
ncclResult_t finish_meetings(const std::vector<std::shared_ptr<Communicator>>& meetings) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::duration<double>(settings().hang_seconds);
  for (;;) {
    ncclResult_t result = ncclSuccess;
    bool waits = false;
    for (const auto& communicator : meetings) {
      const ncclResult_t state = communicator->progress();
      if (state == ncclSuccess && communicator->options().blocking) continue;
      if (state != ncclSuccess && state != ncclInProgress) return fail(state, communicator->error_text());
      result = ncclInProgress;
      waits = waits || communicator->options().blocking;
    }
    if (!waits) return result;
    if (std::chrono::steady_clock::now() > limit) return fail(ncclSystemError, "not every rank has come");
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
}

/// After a meeting has begun: waits for it, at the end of the group if there is one.
ncclResult_t meet(const std::shared_ptr<Communicator>& communicator) {
  if (group.depth == 0) return finish_meetings({communicator});
  group.meetings.push_back(communicator);
  return ncclSuccess;
}

/// A communicator can be used once the call before it is done; see ncclCommGetAsyncError.
ncclResult_t check_ready(ncclComm* handle, const char* api) {
  if (const auto error = handles().check(handle, api)) return error;
  if (handle->communicator->is_aborted()) return fail(ncclInvalidUsage, std::string(api) + ": aborted communicator");
  const ncclResult_t state = handle->communicator->progress();
  if (state == ncclSuccess) return ncclSuccess;
  last_error = std::string(api) + ": the communicator's previous operation has not returned ncclSuccess";
  return state == ncclInProgress ? ncclInvalidArgument : state;
}

bool overlap(const void* x, std::size_t x_bytes, const void* y, std::size_t y_bytes) {
  const auto a = reinterpret_cast<std::uintptr_t>(x), b = reinterpret_cast<std::uintptr_t>(y);
  return a < b + y_bytes && b < a + x_bytes;
}

/// In place means: at the place that the collective gives this rank. Any other overlap is undefined.
void check_overlap(const Transfer& t, const Communicator& communicator) {
  const std::size_t in_bytes = t.in_bytes(communicator.ranks()), out_bytes = t.out_bytes(communicator.ranks());
  if (t.in == nullptr || t.out == nullptr || !overlap(t.in, in_bytes, t.out, out_bytes)) return;
  const std::size_t own = static_cast<std::size_t>(communicator.rank()) * t.count * element_bytes(t.type);
  const char* const in = static_cast<const char*>(t.in);
  const char* const out = static_cast<const char*>(t.out);
  const bool in_place = t.kind == Kind::all_gather       ? in == out + own
                        : t.kind == Kind::reduce_scatter ? out == in + own
                                                         : in == out;
  if (!in_place) violation(std::string(name_of(t.kind)) + ": buffers overlap, but not in place");
}

ncclResult_t check_transfer(const Transfer& t, const Communicator& communicator, cudaStream_t stream) {
  const std::string api = name_of(t.kind);
  if (element_bytes(t.type) == 0) return fail(ncclInvalidArgument, api + ": invalid type");
  const bool reduces = t.kind == Kind::all_reduce || t.kind == Kind::reduce || t.kind == Kind::reduce_scatter;
  if (reduces && (t.reduction < 0 || t.reduction >= ncclNumOps)) {
    return fail(ncclInvalidArgument, api + ": invalid reduction");
  }
  if (reduces && !can_reduce(t.type)) violation(api + ": reductions of this type are not emulated");
  if (t.root < 0 || t.root >= communicator.ranks()) return fail(ncclInvalidArgument, api + ": invalid root");
  if (t.peer < 0 || t.peer >= communicator.ranks()) return fail(ncclInvalidArgument, api + ": invalid peer");
  for (const void* buffer : {t.in, static_cast<const void*>(t.out)}) {
    if (buffer != nullptr && !is_device_memory(buffer)) {
      return fail(ncclInvalidArgument, api + ": a buffer is not in device memory");
    }
  }
  if (device_of(stream) != communicator.device()) {
    return fail(ncclInvalidArgument, api + ": the stream is not of the communicator's device");
  }
  check_overlap(t, communicator);
  return ncclSuccess;
}

/// Some calls on a communicator that is not blocking end in ncclInProgress, by chance: their work reaches the stream
/// when ncclCommGetAsyncError has said ncclSuccess.
ncclResult_t launch(ncclComm* handle, std::vector<Transfer> transfers, cudaStream_t stream) {
  Communicator& communicator = *handle->communicator;
  handle->stream = stream;
  const std::string api = name_of(transfers.front().kind);
  if (injected_async(api.c_str())) communicator.set_async_error(ncclRemoteError);
  const std::string call = "ncclInProgress " + api + std::to_string(communicator.issued());
  if (communicator.options().blocking || draw(call) % 4 != 0) return submit(handle->communicator, transfers, stream);
  communicator.postpone([shared = std::weak_ptr(handle->communicator), transfers, stream] {
    return submit(shared.lock(), transfers, stream);
  });
  return ncclInProgress;
}

ncclResult_t put(ncclComm* handle, Transfer transfer, cudaStream_t stream) {
  const char* const api = name_of(transfer.kind);
  const int code = injected(api);
  if (code == kLeftOut) return ncclSuccess;
  stream = stream_of_call(api, stream);
  auto error = static_cast<ncclResult_t>(code);
  if (error == ncclSuccess) error = check_ready(handle, api);
  if (error == ncclSuccess) error = check_transfer(transfer, *handle->communicator, stream);
  if (error != ncclSuccess) {
    if (group.depth > 0) group.error = error;
    return error;
  }
  if (group.depth == 0) return launch(handle, {transfer}, stream);
  group.transfers.push_back({handle, transfer, stream});
  return ncclSuccess;
}

/// All transfers of a communicator in a group are one operation.
ncclResult_t launch_group(const std::vector<Group::Queued>& queued) {
  ncclResult_t result = ncclSuccess;
  std::vector<ncclComm*> order;
  for (const auto& entry : queued) {
    if (std::find(order.begin(), order.end(), entry.handle) == order.end()) order.push_back(entry.handle);
  }
  for (ncclComm* handle : order) {
    std::vector<Transfer> transfers;
    cudaStream_t stream = nullptr;
    for (const auto& entry : queued) {
      if (entry.handle != handle) continue;
      if (!transfers.empty() && entry.stream != stream) {
        violation("ncclGroupEnd: one communicator on two streams in a group is not emulated");
      }
      stream = entry.stream;
      transfers.push_back(entry.transfer);
    }
    const ncclResult_t state = launch(handle, std::move(transfers), stream);
    if (result == ncclSuccess || (result == ncclInProgress && state != ncclSuccess)) result = state;
  }
  return result;
}

ncclResult_t end_group() {
  const Group ended = std::exchange(group, Group{});
  if (ended.error != ncclSuccess) return ended.error;
  const ncclResult_t result = finish_meetings(ended.meetings);
  if (result != ncclSuccess && result != ncclInProgress) return result;
  const ncclResult_t launched = launch_group(ended.transfers);
  return launched == ncclSuccess ? result : launched;
}

/// The library gives a communicator up when the graphs that captured its operations are gone, and waits for that.
void check_released(const Communicator& communicator, const char* api) {
  if (communicator.is_held())
    violation(std::string(api) + ": waits for ever for a graph that holds operations of the communicator");
}

/// Until all operations of the communicator are done: the device goes on while it is asked.
ncclResult_t drain(ncclComm* handle) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::duration<double>(settings().hang_seconds);
  while (handle->communicator->outstanding() > 0) {
    if (cudaStreamQuery(handle->stream) == cudaErrorNotReady) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    if (std::chrono::steady_clock::now() > limit) {
      return fail(ncclSystemError, "operations of the communicator do not end");
    }
  }
  return ncclSuccess;
}

}  // namespace

}  // namespace dml::emulator::nccl

using namespace dml::emulator::nccl;

extern "C" {

ncclResult_t ncclGetVersion(int* version) {
  EMULATOR_ENTRY(ncclResult_t);
  if (version == nullptr) return ncclInvalidArgument;
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

const char* ncclGetErrorString(ncclResult_t code) {
  switch (code) {
    case ncclSuccess: return "no error";
    case ncclUnhandledCudaError: return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case ncclSystemError: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case ncclInternalError: return "internal error - please report this issue to the NCCL developers";
    case ncclInvalidArgument: return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case ncclInvalidUsage: return "invalid usage (run with NCCL_DEBUG=WARN for details)";
    case ncclRemoteError: return "remote process exited or there was a network error";
    case ncclInProgress: return "NCCL operation in progress";
    default: return "unknown result code";
  }
}

const char* ncclGetLastError(ncclComm_t comm) {
  if (comm != nullptr && !comm->communicator->error_text().empty()) return comm->communicator->error_text().c_str();
  return last_error.c_str();
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  EMULATOR_ENTRY(ncclResult_t);
  if (id == nullptr) return fail(ncclInvalidArgument, "ncclGetUniqueId: null");
  UniqueId value{};
  std::memcpy(value.magic, kMagic, sizeof kMagic);
  value.origin = Segment::create();
  std::memset(id, 0, sizeof *id);
  std::memcpy(id, &value, sizeof value);
  return ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank, ncclConfig_t* config) {
  EMULATOR_ENTRY(ncclResult_t);
  UniqueId value;
  std::memcpy(&value, &id, sizeof value);
  if (comm == nullptr || ranks < 1 || ranks > kMaxRanks || rank < 0 || rank >= ranks) {
    return fail(ncclInvalidArgument, "ncclCommInitRankConfig: rank " + std::to_string(rank) + " of " +
                                         std::to_string(ranks) + " (at most " + std::to_string(kMaxRanks) + ")");
  }
  if (std::memcmp(value.magic, kMagic, sizeof kMagic) != 0) {
    return fail(ncclInvalidArgument, "ncclCommInitRankConfig: not a unique id");
  }
  Communicator::Options options;
  if (const auto error = read_config(config, options)) return error;
  const auto communicator =
      std::make_shared<Communicator>(ranks, rank, dml::emulator::current_device(), options, std::make_shared<Family>());
  communicator->join(value.origin);
  *comm = handles().add(communicator);
  return meet(communicator);
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank) {
  return ncclCommInitRankConfig(comm, ranks, id, rank, nullptr);
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* child, ncclConfig_t* config) {
  EMULATOR_ENTRY(ncclResult_t);
  if (const auto error = check_ready(comm, "ncclCommSplit")) return error;
  if (child == nullptr || (color < 0 && color != NCCL_SPLIT_NOCOLOR)) {
    return fail(ncclInvalidArgument, "ncclCommSplit: color " + std::to_string(color));
  }
  Communicator::Options options{comm->communicator->options().blocking, ""};
  if (config != nullptr) {
    if (const auto error = read_config(config, options)) return error;
  }
  const auto communicator = comm->communicator->split(color, key, options);
  *child = communicator == nullptr ? nullptr : handles().add(communicator);
  if (communicator == nullptr) return ncclSuccess;
  return meet(communicator);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  EMULATOR_ENTRY(ncclResult_t);
  if (const auto fault = handles().check(comm, "ncclCommGetAsyncError")) return fault;
  if (error == nullptr) return fail(ncclInvalidArgument, "ncclCommGetAsyncError: null");
  if (dml::emulator::injected_async("ncclCommGetAsyncError")) comm->communicator->set_async_error(ncclRemoteError);
  *error = comm->communicator->progress();
  return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int* count) {
  if (const auto error = check_ready(comm, "ncclCommCount")) return error;
  *count = comm->communicator->ranks();
  return ncclSuccess;
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int* rank) {
  if (const auto error = check_ready(comm, "ncclCommUserRank")) return error;
  *rank = comm->communicator->rank();
  return ncclSuccess;
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int* device) {
  if (const auto error = check_ready(comm, "ncclCommCuDevice")) return error;
  *device = comm->communicator->device();
  return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  EMULATOR_ENTRY(ncclResult_t);
  if (const auto error = check_ready(comm, "ncclCommFinalize")) return error;
  return drain(comm);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  EMULATOR_ENTRY(ncclResult_t);
  if (comm == nullptr) return ncclSuccess;
  if (const auto error = handles().check(comm, "ncclCommDestroy")) return error;
  check_released(*comm->communicator, "ncclCommDestroy");
  const ncclResult_t result = comm->communicator->is_aborted() ? ncclSuccess : drain(comm);
  handles().remove(comm);
  return result;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  EMULATOR_ENTRY(ncclResult_t);
  if (comm == nullptr) return ncclSuccess;
  if (const auto error = handles().check(comm, "ncclCommAbort")) return error;
  check_released(*comm->communicator, "ncclCommAbort");
  comm->communicator->abort();
  handles().remove(comm);
  return ncclSuccess;
}

ncclResult_t ncclGroupStart() {
  EMULATOR_ENTRY(ncclResult_t);
  ++group.depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (const int code = dml::emulator::injected("ncclGroupEnd")) {
    group = Group{};
    return dml::emulator::status_of<ncclResult_t>(code);
  }
  if (group.depth == 0) return fail(ncclInvalidUsage, "ncclGroupEnd: not in a group call");
  if (group.depth > 1) {
    --group.depth;
    return group.error;
  }
  return end_group();
}

ncclResult_t ncclAllReduce(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t reduction,
                           ncclComm_t comm, cudaStream_t stream) {
  return put(comm, {Kind::all_reduce, in, out, count, type, reduction}, stream);
}

ncclResult_t ncclBroadcast(const void* in, void* out, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                           cudaStream_t stream) {
  const bool gives = comm != nullptr && comm->communicator->rank() == root;
  return put(comm, {Kind::broadcast, gives ? in : nullptr, out, count, type, ncclSum, root}, stream);
}

ncclResult_t ncclBcast(void* buffer, size_t count, ncclDataType_t type, int root, ncclComm_t comm,
                       cudaStream_t stream) {
  return ncclBroadcast(buffer, buffer, count, type, root, comm, stream);
}

ncclResult_t ncclReduce(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t reduction, int root,
                        ncclComm_t comm, cudaStream_t stream) {
  const bool gets = comm != nullptr && comm->communicator->rank() == root;
  return put(comm, {Kind::reduce, in, gets ? out : nullptr, count, type, reduction, root}, stream);
}

ncclResult_t ncclAllGather(const void* in, void* out, size_t count, ncclDataType_t type, ncclComm_t comm,
                           cudaStream_t stream) {
  return put(comm, {Kind::all_gather, in, out, count, type}, stream);
}

ncclResult_t ncclReduceScatter(const void* in, void* out, size_t count, ncclDataType_t type, ncclRedOp_t reduction,
                               ncclComm_t comm, cudaStream_t stream) {
  return put(comm, {Kind::reduce_scatter, in, out, count, type, reduction}, stream);
}

ncclResult_t ncclSend(const void* in, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return put(comm, {Kind::send, in, nullptr, count, type, ncclSum, 0, peer}, stream);
}

ncclResult_t ncclRecv(void* out, size_t count, ncclDataType_t type, int peer, ncclComm_t comm, cudaStream_t stream) {
  return put(comm, {Kind::receive, nullptr, out, count, type, ncclSum, 0, peer}, stream);
}

}  // extern "C"
