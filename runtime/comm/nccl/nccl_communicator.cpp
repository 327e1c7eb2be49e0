#include "runtime/comm/nccl/nccl_communicator.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <exception>
#include <thread>

#include "kernels/cuda/check.h"
#include "kernels/error.h"
#include "runtime/comm/clock.h"
#include "runtime/device/cuda/cuda_device.h"

namespace dml::cuda {
namespace {

constexpr std::array<const char*, 6> kKindNames = {"all_reduce", "all_gather", "reduce_scatter",
                                                   "broadcast",  "send",       "receive"};
constexpr auto kPause = std::chrono::microseconds(20);
/// What a part of an all-gather holds at least, where its size is not given: far more than a link moves in the time
/// that it takes to begin. Chosen by data sheets; no GPU has timed it.
constexpr std::int64_t kGatherPartBytes = std::int64_t{4} << 20;
constexpr std::int64_t kMostGatherParts = 4;

ncclDataType_t type_of(DataType dtype) {
  switch (dtype) {
    case DataType::f32: return ncclFloat32;
    case DataType::f64: return ncclFloat64;
    case DataType::f16: return ncclFloat16;
    case DataType::bf16: return ncclBfloat16;
    case DataType::i64: return ncclInt64;
    case DataType::i32: return ncclInt32;
    case DataType::u8:
    case DataType::boolean: return ncclUint8;
  }
  return ncclUint8;
}

std::size_t elements(std::int64_t count) { return static_cast<std::size_t>(count); }

std::byte* element(TensorView view, std::int64_t index) {
  return view.as<std::byte>() + index * static_cast<std::int64_t>(size_of(view.dtype));
}

bool are_even(std::span<const std::int64_t> counts) {
  return std::adjacent_find(counts.begin(), counts.end(), std::not_equal_to<>()) == counts.end();
}

/// Made without waiting for the others: they may be lost, and then the deadline says so.
ncclConfig_t asynchronous() {
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  return config;
}

std::chrono::milliseconds since(Clock::time_point begin) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begin);
}

/// NCCL's own words, where it has some.
std::string reason(ncclResult_t code, ncclComm_t comm) {
  const std::string last = nccl().last_error(comm);
  return last.empty() ? nccl().error_string(code) : fmt::format("{}: {}", nccl().error_string(code), last);
}

/// Returns when the communicator is made, or in use again.
void await_ready(ncclComm_t comm, Communicator& host, std::chrono::milliseconds deadline, const char* call) {
  const auto begin = Clock::now();
  for (;;) {
    ncclResult_t state = ncclSuccess;
    const ncclResult_t code = nccl().async_error(comm, &state);
    if (code != ncclSuccess) state = code;
    if (state == ncclSuccess) return;
    if (state != ncclInProgress) {
      throw CommError(fmt::format("[{}] rank {}: {}", call, host.rank(), reason(state, comm)));
    }
    host.progress();  // throws where a rank has failed
    if (since(begin) > deadline) {
      throw TimeoutError(fmt::format("[{}] rank {} waited {:g} s for the others of a group of {}", call, host.rank(),
                                     static_cast<double>(deadline.count()) / 1000.0, host.size()));
    }
    std::this_thread::sleep_for(kPause);
  }
}

}  // namespace

NcclCommunicator::NcclCommunicator(CudaDevice& device, Communicator& host, std::shared_ptr<NcclGroups> groups,
                                   OwnedComm comm)
    : device_(device), host_(host), groups_(std::move(groups)), comm_(std::move(comm)) {
  for (std::size_t kind = 0; kind < counters_.size(); ++kind) counters_[kind].first = kKindNames[kind];
  if (comm_ != nullptr) {
    stream_ = make_stream();
    posted_ = make_event(cudaEventDisableTiming);
  }
  groups_->all.push_back(this);
}

NcclCommunicator::~NcclCommunicator() {
  std::erase(groups_->all, this);
  if (comm_ == nullptr) return;
  // Finalizing waits for the other ranks, who wait for this one where it has failed.
  const bool has_ended =
      std::uncaught_exceptions() == 0 && std::all_of(pending_.begin(), pending_.end(), [](const Pending& pending) {
        return cudaEventQuery(pending.end.get()) == cudaSuccess;
      });
  if (!has_ended || GiveBackGraph::failed) return;
  if (nccl().finalize(comm_.get()) != ncclSuccess) {
    // Finalizing may go on by itself, as making it did.
    try {
      await_ready(comm_.get(), host_, groups_->deadline, "ncclCommFinalize");
    } catch (const Error&) {
      withdraw();
      return;
    }
  }
  static_cast<void>(nccl().destroy(comm_.release()));
}

template <typename Operation>
Ticket NcclCommunicator::post(Kind kind, TensorView view, int peer, const Operation& operation) {
  const Marks marks = std::exchange(marks_, {});
  const bool carries = comm_ != nullptr && view.data != nullptr && view.num_elements() > 0;
  const cudaStream_t stream = carries ? stream_.get() : device_.stream();
  if (carries) {
    DML_CUDA(cudaEventRecord(posted_.get(), device_.stream()));
    DML_CUDA(cudaStreamWaitEvent(stream, posted_.get(), 0));
  }
  if (marks.begin) device_.mark_on(*marks.begin, stream);
  if (carries) {
    settle(operation(), kKindNames[kind]);
    CommCounter& counter = counters_[kind].second;
    ++counter.count;
    if (kind != kReceive) counter.bytes_sent += static_cast<std::int64_t>(view.num_bytes());
    if (kind != kSend) counter.bytes_received += static_cast<std::int64_t>(view.num_bytes());
  }
  if (marks.end) device_.mark_on(*marks.end, stream);
  if (!carries) return done_;
  OwnedEvent end;
  if (resting_.empty()) {
    end = make_event(cudaEventDisableTiming);
  } else {
    end = std::move(resting_.back());
    resting_.pop_back();
  }
  DML_CUDA(cudaEventRecord(end.get(), stream));
  pending_.push_back({++last_, kind, view, peer, std::move(end)});
  return last_;
}

Ticket NcclCommunicator::all_reduce(TensorView data) {
  return post(kAllReduce, data, -1, [&] {
    return nccl().all_reduce(data.data, data.data, elements(data.num_elements()), type_of(data.dtype), ncclSum,
                             comm_.get(), stream_.get());
  });
}

Ticket NcclCommunicator::all_gather(TensorView out, TensorView in, std::span<const std::int64_t> counts) {
  if (size() == 1) {
    if (out.data != in.data) device_.copy(out.data, in.data, in.num_bytes());
    return post(kAllGather, {}, -1, [] { return ncclSuccess; });
  }
  return post(kAllGather, out, -1, [&] {
    if (are_even(counts)) {
      return nccl().all_gather(in.data, out.data, elements(counts.front()), type_of(in.dtype), comm_.get(),
                               stream_.get());
    }
    const std::vector<std::int64_t> begins(counts.size(), 0);
    return gather(out, in, counts, begins, counts);
  });
}

ncclResult_t NcclCommunicator::gather(TensorView out, TensorView in, std::span<const std::int64_t> counts,
                                      std::span<const std::int64_t> begins, std::span<const std::int64_t> ends) {
  ncclResult_t code = nccl().group_start();
  std::int64_t place = 0;
  for (std::size_t root = 0; root < counts.size() && code == ncclSuccess; ++root) {
    const std::int64_t begin = begins[root];
    if (const std::int64_t count = ends[root] - begin; count > 0) {
      code = nccl().broadcast(element(in, static_cast<int>(root) == rank() ? begin : 0), element(out, place + begin),
                              elements(count), type_of(in.dtype), static_cast<int>(root), comm_.get(), stream_.get());
    }
    place += counts[root];
  }
  const ncclResult_t end = nccl().group_end();
  return code == ncclSuccess || code == ncclInProgress ? end : code;
}

int NcclCommunicator::gather_parts(std::int64_t bytes) const {
  if (size() == 1) return 1;
  if (groups_->gather_parts > 0) return groups_->gather_parts;
  return static_cast<int>(std::clamp<std::int64_t>(bytes / kGatherPartBytes, 1, kMostGatherParts));
}

Ticket NcclCommunicator::all_gather_parts(TensorView out, TensorView in, std::span<const std::int64_t> counts,
                                          int parts, const std::function<void(int)>& make) {
  if (size() == 1) return Communicator::all_gather_parts(out, in, counts, parts, make);
  const Marks marks = std::exchange(marks_, {});
  std::vector<std::int64_t> begins(counts.size(), 0);
  std::vector<std::int64_t> ends(counts.size());
  Ticket last = done_;
  int num_posted = 0;
  for (int part = 0; part < parts; ++part) {
    make(part);
    std::int64_t carried = 0;
    for (std::size_t r = 0; r < counts.size(); ++r) {
      ends[r] = part_begin(counts[r], parts, part + 1);
      carried += ends[r] - begins[r];
    }
    if (part == 0) marks_.begin = marks.begin;
    if (part + 1 == parts) marks_.end = marks.end;
    last = post(kAllGather, {out.data, out.dtype, Shape{carried}}, -1,
                [&] { return gather(out, in, counts, begins, ends); });
    if (carried > 0) ++num_posted;
    begins = ends;
  }
  counters_[kAllGather].second.count -= std::max(num_posted - 1, 0);  // it is one operation
  return last;
}

Ticket NcclCommunicator::reduce_scatter(TensorView out, TensorView in, std::span<const std::int64_t> counts) {
  if (size() == 1) {
    if (out.data != in.data) device_.copy(out.data, in.data, out.num_bytes());
    return post(kReduceScatter, {}, -1, [] { return ncclSuccess; });
  }
  return post(kReduceScatter, in, -1, [&] {
    if (are_even(counts)) {
      return nccl().reduce_scatter(in.data, out.data, elements(counts.front()), type_of(in.dtype), ncclSum, comm_.get(),
                                   stream_.get());
    }
    ncclResult_t code = nccl().group_start();
    std::int64_t begin = 0;
    for (int root = 0; root < size() && code == ncclSuccess; ++root) {
      const std::int64_t count = counts[static_cast<std::size_t>(root)];
      if (count > 0) {
        code = nccl().reduce(element(in, begin), out.data, elements(count), type_of(in.dtype), ncclSum, root,
                             comm_.get(), stream_.get());
      }
      begin += count;
    }
    const ncclResult_t end = nccl().group_end();
    return code == ncclSuccess || code == ncclInProgress ? end : code;
  });
}

Ticket NcclCommunicator::broadcast(TensorView data, int root) {
  return post(kBroadcast, data, root, [&] {
    return nccl().broadcast(data.data, data.data, elements(data.num_elements()), type_of(data.dtype), root, comm_.get(),
                            stream_.get());
  });
}

Ticket NcclCommunicator::barrier() {
  host_.wait(host_.barrier());
  return 0;
}

Ticket NcclCommunicator::send(TensorView data, int peer, int /*channel*/) {
  return post(kSend, data, peer, [&] {
    return nccl().send(data.data, elements(data.num_elements()), type_of(data.dtype), peer, comm_.get(), stream_.get());
  });
}

Ticket NcclCommunicator::receive(TensorView data, int peer, int /*channel*/) {
  return post(kReceive, data, peer, [&] {
    return nccl().receive(data.data, elements(data.num_elements()), type_of(data.dtype), peer, comm_.get(),
                          stream_.get());
  });
}

std::unique_ptr<Communicator> NcclCommunicator::split(int color, int key) {
  auto host = host_.split(color, key);
  OwnedComm own;
  if (comm_ != nullptr) {
    ncclComm_t comm = nullptr;
    ncclConfig_t config = asynchronous();
    const bool takes_part = host->size() > 1;
    const ncclResult_t code =
        nccl().split(comm_.get(), takes_part ? color : NCCL_SPLIT_NOCOLOR, host->rank(), &comm, &config);
    own.reset(comm);
    settle(code, "ncclCommSplit");
    if (takes_part) await_ready(comm, host_, groups_->deadline, "ncclCommSplit");
  }
  auto part = std::make_unique<NcclCommunicator>(device_, *host, groups_, std::move(own));
  part->own_host_ = std::move(host);
  return part;
}

void NcclCommunicator::retire() {
  while (!pending_.empty()) {
    const cudaError_t state = cudaEventQuery(pending_.front().end.get());
    if (state == cudaErrorNotReady) return;
    cuda::check(state, "cudaEventQuery");
    done_ = pending_.front().ticket;
    resting_.push_back(std::move(pending_.front().end));
    pending_.pop_front();
  }
}

void NcclCommunicator::progress() {
  for (NcclCommunicator* group : groups_->all) {
    group->retire();
    group->throw_async_errors();
  }
  try {
    host_.progress();
  } catch (const Error&) {
    withdraw();
    throw;
  }
}

void NcclCommunicator::throw_async_errors() {
  if (comm_ == nullptr) return;
  ncclResult_t state = ncclSuccess;
  const ncclResult_t code = nccl().async_error(comm_.get(), &state);
  check(code == ncclSuccess && state != ncclInProgress ? state : code, "ncclCommGetAsyncError");
}

void NcclCommunicator::wait(Ticket ticket) {
  const auto begin = Clock::now();
  for (;;) {
    progress();
    if (done(ticket)) return;
    if (const auto waited = since(begin); waited > groups_->deadline) {
      const auto late = std::find_if(pending_.begin(), pending_.end(),
                                     [&](const Pending& pending) { return pending.ticket == ticket; });
      throw_late(*late, waited);
    }
    std::this_thread::sleep_for(kPause);
  }
}

void NcclCommunicator::throw_late(const Pending& pending, std::chrono::milliseconds waited) {
  const std::string whom = pending.peer < 0 ? "the others" : "the other stage";
  const std::string text = fmt::format("[{}] rank {} waited {:g} s for {} {} from {} (group of {} GPUs)",
                                       kKindNames[pending.kind], rank(), static_cast<double>(waited.count()) / 1000.0,
                                       pending.view.shape.to_string(), name_of(pending.view.dtype), whom, size());
  fail(text);
  throw TimeoutError(text);
}

void NcclCommunicator::join(Ticket ticket) {
  if (done(ticket)) return;
  const auto pending =
      std::find_if(pending_.begin(), pending_.end(), [&](const Pending& p) { return p.ticket == ticket; });
  DML_ASSERT(pending != pending_.end(), fmt::format("ticket {}", ticket));
  DML_CUDA(cudaStreamWaitEvent(device_.stream(), pending->end.get(), 0));
}

void NcclCommunicator::recorded() {
  for (Pending& pending : pending_) resting_.push_back(std::move(pending.end));
  pending_.clear();
  done_ = last_;
}

void NcclCommunicator::check(ncclResult_t code, const char* call) {
  if (code == ncclSuccess || code == ncclInProgress) return;
  const std::string text = fmt::format("[{}] rank {}: {}", call, groups_->world_rank, reason(code, comm_.get()));
  withdraw();
  throw CommError(text);
}

void NcclCommunicator::settle(ncclResult_t code, const char* call) {
  check(code, call);
  if (code != ncclInProgress) return;
  try {
    await_ready(comm_.get(), host_, groups_->deadline, call);
  } catch (const Error&) {
    withdraw();
    throw;
  }
}

void NcclCommunicator::withdraw() noexcept {
  device_.drop_recordings();
  for (NcclCommunicator* group : groups_->all) group->comm_.reset();
}

void NcclCommunicator::fail(const std::string& reason) noexcept {
  withdraw();
  host_.fail(reason);
}

std::unique_ptr<Communicator> make_nccl_world(CudaDevice& device, Communicator& host, const CommOptions& options) {
  auto groups = std::make_shared<NcclGroups>();
  groups->deadline = options.deadline;
  groups->world_rank = host.rank();
  groups->gather_parts = options.gather_parts;
  OwnedComm own;
  if (host.size() > 1) {
    ncclUniqueId id{};
    if (host.rank() == 0) {
      const ncclResult_t code = nccl().get_unique_id(&id);
      if (code != ncclSuccess) throw CommError(fmt::format("[ncclGetUniqueId] {}", reason(code, nullptr)));
    }
    host.wait(host.broadcast({&id, DataType::u8, Shape{static_cast<std::int64_t>(sizeof(id))}}, 0));
    ncclComm_t comm = nullptr;
    ncclConfig_t config = asynchronous();
    const ncclResult_t code = nccl().init_rank(&comm, host.size(), id, host.rank(), &config);
    own.reset(comm);
    if (code != ncclSuccess && code != ncclInProgress) {
      throw CommError(fmt::format("[ncclCommInitRankConfig] rank {}: {}", host.rank(), reason(code, comm)));
    }
    await_ready(comm, host, options.deadline, "ncclCommInitRankConfig");
  }
  return std::make_unique<NcclCommunicator>(device, host, std::move(groups), std::move(own));
}

}  // namespace dml::cuda
