#include "runtime/comm/mpi/mpi_transport.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <stdexcept>

#include "runtime/comm/mpi/check.h"

namespace dml {

namespace {

struct Extent {
  int count;
  MPI_Datatype type;
};

/// MPI counts in int: the widest element that divides the message, the same on both sides.
Extent extent_of(std::size_t bytes) {
  const std::size_t width = bytes % 8 == 0 ? 8 : bytes % 4 == 0 ? 4 : 1;
  const std::size_t count = bytes / width;
  if (count > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    throw std::invalid_argument(fmt::format("[mpi] a message of {} bytes is too long", bytes));
  }
  return {static_cast<int>(count), width == 8 ? MPI_INT64_T : width == 4 ? MPI_INT32_T : MPI_BYTE};
}

}  // namespace

MpiTransport::MpiTransport(std::unique_ptr<HostWatch> watch) : watch_(std::move(watch)) {
  comms_.push_back(MPI_COMM_NULL);
  DML_MPI_CHECK(MPI_Comm_dup(MPI_COMM_WORLD, &comms_[0]));
  DML_MPI_CHECK(MPI_Comm_set_errhandler(comms_[0], MPI_ERRORS_RETURN));
  DML_MPI_CHECK(MPI_Comm_rank(comms_[0], &rank_));
  reserve(64);
}

MpiTransport::~MpiTransport() {
  for (std::size_t id = 0; id < comms_.size(); ++id) close_group(static_cast<int>(id));
}

void MpiTransport::reserve(int requests) {
  const auto size = static_cast<std::size_t>(requests);
  while (requests_.size() < size) {
    MpiRequest& request = requests_.emplace_back();
    request.next = free_;
    free_ = &request;
  }
  handles_.reserve(size);
  owners_.reserve(size);
  finished_.resize(std::max(finished_.size(), size));
  statuses_.resize(std::max(statuses_.size(), size));
}

Request* MpiTransport::track(MPI_Request handle, bool receives, void* data) {
  if (free_ == nullptr) reserve(static_cast<int>(requests_.size()) + 64);
  MpiRequest* const request = free_;
  free_ = request->next;
  request->done.store(false, std::memory_order_relaxed);
  request->place = handles_.size();
  request->receives = receives;
  request->data = data;
  handles_.push_back(handle);
  owners_.push_back(request);
  return request;
}

Request* MpiTransport::send(const void* data, std::size_t bytes, const Group& group, int peer, int label) {
  const auto [count, type] = extent_of(bytes);
  MPI_Request handle = MPI_REQUEST_NULL;
  DML_MPI_CHECK(MPI_Isend(data, count, type, peer, label, comm(group), &handle));
  return track(handle, false, nullptr);
}

Request* MpiTransport::receive(void* data, std::size_t bytes, const Group& group, int peer, int label) {
  const auto [count, type] = extent_of(bytes);
  MPI_Request handle = MPI_REQUEST_NULL;
  DML_MPI_CHECK(MPI_Irecv(data, count, type, peer, label, comm(group), &handle));
  return track(handle, true, data);
}

Request* MpiTransport::borrow(void* scratch, std::size_t bytes, const Group& group, int peer, int label) {
  return receive(scratch, bytes, group, peer, label);
}

void MpiTransport::remove(MpiRequest& request) noexcept {
  const std::size_t place = request.place;
  handles_[place] = handles_.back();
  owners_[place] = owners_.back();
  owners_[place]->place = place;
  handles_.pop_back();
  owners_.pop_back();
}

bool MpiTransport::progress() {
  if (watch_) watch_->check();
  if (handles_.empty()) return false;
  // Where nothing has finished, Open MPI's MPI_Testsome makes progress but does not look again: the next call does.
  return test_some() > 0 || test_some() > 0;
}

int MpiTransport::test_some() {
  int count = 0;
  const int code =
      MPI_Testsome(static_cast<int>(handles_.size()), handles_.data(), &count, finished_.data(), statuses_.data());
  if (code == MPI_ERR_IN_STATUS) {
    for (int i = 0; i < count; ++i) DML_MPI_CHECK(statuses_[static_cast<std::size_t>(i)].MPI_ERROR);
  }
  DML_MPI_CHECK(code);
  if (count <= 0) return 0;
  // From the last place down, so that what takes a freed place is never itself one of the finished.
  const auto end = finished_.begin() + count;
  std::sort(finished_.begin(), end, std::greater<>());
  for (auto place = finished_.begin(); place != end; ++place) {
    MpiRequest& request = *owners_[static_cast<std::size_t>(*place)];
    remove(request);
    request.done.store(true, std::memory_order_relaxed);
  }
  return count;
}

void MpiTransport::recycle(Request* request) noexcept {
  auto* const mine = static_cast<MpiRequest*>(request);
  mine->next = free_;
  free_ = mine;
}

void MpiTransport::cancel(Request* request) noexcept {
  auto& mine = *static_cast<MpiRequest*>(request);
  if (!mine.done.load(std::memory_order_relaxed)) {
    MPI_Request& handle = handles_[mine.place];
    if (handle != MPI_REQUEST_NULL) {
      if (mine.receives) MPI_Cancel(&handle);
      MPI_Request_free(&handle);
    }
    remove(mine);
  }
  recycle(&mine);
}

int MpiTransport::open_group(const Group& parent, int color, int rank, int) {
  MPI_Comm part = MPI_COMM_NULL;
  DML_MPI_CHECK(MPI_Comm_split(comm(parent), color, rank, &part));
  comms_.push_back(part);
  return static_cast<int>(comms_.size()) - 1;
}

void MpiTransport::close_group(int id) noexcept {
  MPI_Comm& part = comms_[static_cast<std::size_t>(id)];
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (finalized == 0 && part != MPI_COMM_NULL) MPI_Comm_free(&part);
  part = MPI_COMM_NULL;
}

}  // namespace dml
