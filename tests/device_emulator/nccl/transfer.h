// What a communicator does on a stream: the operations of one call or one group, brought forward by polling. As the
// kernels of the real library they hold their stream until the peers have come.
#pragma once

#include <cuda_runtime_api.h>
#include <nccl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/device_emulator/nccl/communicator.h"

namespace dml::emulator::nccl {

enum class Kind : std::int32_t { all_reduce, broadcast, reduce, all_gather, reduce_scatter, send, receive };

/// Name of the call, as ncclAllReduce.
const char* name_of(Kind kind);

struct Transfer {
  Kind kind;
  const void* in;  ///< null where this rank gives nothing
  void* out;       ///< null where this rank gets nothing
  std::size_t count;
  ncclDataType_t type;
  ncclRedOp_t reduction = ncclSum;
  int root = 0;
  int peer = 0;

  bool is_pair() const { return kind == Kind::send || kind == Kind::receive; }
  std::size_t in_bytes(int ranks) const;
  std::size_t out_bytes(int ranks) const;
};

/// As in "ncclAllReduce of 5 float32 (sum)".
std::string text_of(const Transfer& transfer);

/// Puts the transfers on the stream as one operation; collectives among them go in order, pairs all at once.
ncclResult_t submit(const std::shared_ptr<Communicator>& communicator, std::vector<Transfer> transfers,
                    cudaStream_t stream);

}  // namespace dml::emulator::nccl
