#include "runtime/comm/mpi/library_communicator.h"

#include <fmt/format.h>

#include <limits>
#include <stdexcept>
#include <vector>

#include "runtime/comm/mpi/check.h"
#include "runtime/comm/mpi/mpi_transport.h"

namespace dml {

namespace {

MPI_Datatype type_of(DataType dtype) {
  switch (dtype) {
    case DataType::f32: return MPI_FLOAT;
    case DataType::f64: return MPI_DOUBLE;
    case DataType::i64: return MPI_INT64_T;
    case DataType::i32: return MPI_INT32_T;
    case DataType::f16:
    case DataType::bf16: return MPI_INT16_T;  // only moved, never summed
    case DataType::u8:
    case DataType::boolean: return MPI_UINT8_T;
  }
  return MPI_DATATYPE_NULL;
}

int to_count(std::int64_t elements) {
  if (elements > std::numeric_limits<int>::max()) {
    throw std::invalid_argument(fmt::format("[mpi] the library's collectives take {} elements at most, not {}",
                                            std::numeric_limits<int>::max(), elements));
  }
  return static_cast<int>(elements);
}

/// A collective that the library has begun.
class LibraryOperation final : public Operation {
 public:
  LibraryOperation(Transport& transport, const Group& group)
      : Operation(transport, group), mpi_(static_cast<MpiTransport&>(transport)) {}

  MPI_Comm comm() const { return mpi_.comm(group_); }
  void begin(TensorView data, MPI_Request handle) {
    view = data;
    request_ = mpi_.track(handle, false, nullptr);
  }
  /// Counts and places in MPI's type; they stay as they are until the operation is done.
  void set_counts(std::span<const std::int64_t> elements) {
    counts.clear();
    places.clear();
    std::int64_t place = 0;
    for (std::int64_t count : elements) {
      counts.push_back(to_count(count));
      places.push_back(to_count(place));
      place += count;
    }
  }
  bool advance() override {
    if (!request_->done.load(std::memory_order_relaxed)) return false;
    transport_.recycle(request_);
    request_ = nullptr;
    return true;
  }
  /// MPI has no way to cancel a collective; its buffers stay MPI's until the process ends.
  void cancel() noexcept override { request_ = nullptr; }

  std::vector<int> counts, places;

 private:
  MpiTransport& mpi_;
  Request* request_ = nullptr;
};

}  // namespace

Ticket MpiLibraryCommunicator::post_all_reduce(TensorView data) {
  auto& operation = take<LibraryOperation>(library_operations_);
  MPI_Request handle = MPI_REQUEST_NULL;
  DML_MPI_CHECK(MPI_Iallreduce(MPI_IN_PLACE, data.data, to_count(data.num_elements()), type_of(data.dtype), MPI_SUM,
                               operation.comm(), &handle));
  operation.begin(data, handle);
  return start(operation, Kind::all_reduce);
}

Ticket MpiLibraryCommunicator::post_all_gather(TensorView out, TensorView in, std::span<const std::int64_t> counts) {
  auto& operation = take<LibraryOperation>(library_operations_);
  operation.set_counts(counts);
  const auto place = static_cast<std::size_t>(operation.places[static_cast<std::size_t>(rank())]);
  const bool in_place = in.data == out.as<std::byte>() + place * size_of(out.dtype);
  MPI_Request handle = MPI_REQUEST_NULL;
  DML_MPI_CHECK(MPI_Iallgatherv(in_place ? MPI_IN_PLACE : in.data, to_count(in.num_elements()), type_of(in.dtype),
                                out.data, operation.counts.data(), operation.places.data(), type_of(out.dtype),
                                operation.comm(), &handle));
  operation.begin(out, handle);
  return start(operation, Kind::all_gather);
}

Ticket MpiLibraryCommunicator::post_reduce_scatter(TensorView out, TensorView in,
                                                   std::span<const std::int64_t> counts) {
  auto& operation = take<LibraryOperation>(library_operations_);
  operation.set_counts(counts);
  const auto place = static_cast<std::size_t>(operation.places[static_cast<std::size_t>(rank())]);
  // Where `out` lies inside `in`, MPI would call it aliased: our own algorithm allows that.
  if (out.data == in.as<std::byte>() + place * size_of(in.dtype)) {
    library_operations_.push_back(&operation);
    return GroupCommunicator::post_reduce_scatter(out, in, counts);
  }
  MPI_Request handle = MPI_REQUEST_NULL;
  DML_MPI_CHECK(MPI_Ireduce_scatter(in.data, out.data, operation.counts.data(), type_of(in.dtype), MPI_SUM,
                                    operation.comm(), &handle));
  operation.begin(in, handle);
  return start(operation, Kind::reduce_scatter);
}

Ticket MpiLibraryCommunicator::post_broadcast(TensorView data, int root) {
  auto& operation = take<LibraryOperation>(library_operations_);
  MPI_Request handle = MPI_REQUEST_NULL;
  DML_MPI_CHECK(
      MPI_Ibcast(data.data, to_count(data.num_elements()), type_of(data.dtype), root, operation.comm(), &handle));
  operation.begin(data, handle);
  return start(operation, Kind::broadcast);
}

Ticket MpiLibraryCommunicator::post_barrier() {
  auto& operation = take<LibraryOperation>(library_operations_);
  MPI_Request handle = MPI_REQUEST_NULL;
  DML_MPI_CHECK(MPI_Ibarrier(operation.comm(), &handle));
  operation.begin({}, handle);
  return start(operation, Kind::barrier);
}

std::unique_ptr<Communicator> MpiLibraryCommunicator::make_part(Group group) {
  return std::make_unique<MpiLibraryCommunicator>(engine(), std::move(group), options());
}

}  // namespace dml
