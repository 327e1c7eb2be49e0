#include "runtime/comm/nccl/nccl_library.h"

#include "kernels/cuda/library.h"

namespace dml::cuda {
namespace {

Nccl open_nccl() {
  const Library library("libnccl.so.2", "NCCL 2");
  Nccl table{};
  library.find(table.get_version, "ncclGetVersion");
  library.find(table.get_unique_id, "ncclGetUniqueId");
  library.find(table.init_rank, "ncclCommInitRankConfig");
  library.find(table.split, "ncclCommSplit");
  library.find(table.destroy, "ncclCommDestroy");
  library.find(table.finalize, "ncclCommFinalize");
  library.find(table.abort, "ncclCommAbort");
  library.find(table.async_error, "ncclCommGetAsyncError");
  library.find(table.error_string, "ncclGetErrorString");
  library.find(table.last_error, "ncclGetLastError");
  library.find(table.all_reduce, "ncclAllReduce");
  library.find(table.all_gather, "ncclAllGather");
  library.find(table.reduce_scatter, "ncclReduceScatter");
  library.find(table.reduce, "ncclReduce");
  library.find(table.broadcast, "ncclBroadcast");
  library.find(table.send, "ncclSend");
  library.find(table.receive, "ncclRecv");
  library.find(table.group_start, "ncclGroupStart");
  library.find(table.group_end, "ncclGroupEnd");
  return table;
}

}  // namespace

const Nccl& nccl() {
  static const Nccl table = open_nccl();
  return table;
}

}  // namespace dml::cuda
