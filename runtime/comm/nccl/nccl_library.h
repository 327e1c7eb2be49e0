// The functions of NCCL that are used, from the library that is opened when a world of several GPUs is made.
#pragma once

#include <memory>

#include <nccl.h>

#include "runtime/device/cuda/owned.h"

namespace dml::cuda {

struct Nccl {
  decltype(&ncclGetVersion) get_version;
  decltype(&ncclGetUniqueId) get_unique_id;
  decltype(&ncclCommInitRankConfig) init_rank;
  decltype(&ncclCommSplit) split;
  decltype(&ncclCommDestroy) destroy;
  decltype(&ncclCommFinalize) finalize;
  decltype(&ncclCommAbort) abort;
  decltype(&ncclCommGetAsyncError) async_error;
  decltype(&ncclGetErrorString) error_string;
  decltype(&ncclGetLastError) last_error;
  decltype(&ncclAllReduce) all_reduce;
  decltype(&ncclAllGather) all_gather;
  decltype(&ncclReduceScatter) reduce_scatter;
  decltype(&ncclReduce) reduce;
  decltype(&ncclBroadcast) broadcast;
  decltype(&ncclSend) send;
  decltype(&ncclRecv) receive;
  decltype(&ncclGroupStart) group_start;
  decltype(&ncclGroupEnd) group_end;
};

/// Throws DeviceError where there is no NCCL 2.
const Nccl& nccl();

/// A communicator that nobody has finalized is aborted: its other ranks may never come. Where a graph stayed, NCCL
/// would wait for it, so it stays as well.
struct AbortComm {
  void operator()(ncclComm_t comm) const {
    if (!GiveBackGraph::failed) static_cast<void>(nccl().abort(comm));
  }
};
using OwnedComm = std::unique_ptr<ncclComm, AbortComm>;

}  // namespace dml::cuda
