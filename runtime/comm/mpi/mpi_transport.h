// Ranks as MPI processes: MPI_Isend, MPI_Irecv, and one MPI_Testsome over all that the rank has in flight, which is
// also what makes MPI progress. A group is an MPI communicator of its own.
#pragma once

#include <mpi.h>

#include <deque>
#include <memory>
#include <vector>

#include "runtime/comm/host_watch.h"
#include "runtime/comm/transport.h"

namespace dml {

struct MpiRequest final : Request {
  std::size_t place = 0;  ///< among the requests in flight
  bool receives = false;
  void* data = nullptr;
  MpiRequest* next = nullptr;  ///< among the free
};

class MpiTransport final : public Transport {
 public:
  /// Duplicates MPI_COMM_WORLD as group 0. `watch` may be null.
  explicit MpiTransport(std::unique_ptr<HostWatch> watch);
  ~MpiTransport() override;

  const char* name() const override { return "mpi"; }
  int world_rank() const override { return rank_; }
  Request* send(const void* data, std::size_t bytes, const Group& group, int peer, int label) override;
  Request* receive(void* data, std::size_t bytes, const Group& group, int peer, int label) override;
  Request* borrow(void* scratch, std::size_t bytes, const Group& group, int peer, int label) override;
  bool lends() const override { return false; }
  const void* open(Request* request) override { return static_cast<MpiRequest*>(request)->data; }
  void recycle(Request* request) noexcept override;
  void cancel(Request* request) noexcept override;
  void reserve(int requests) override;
  bool progress() override;
  /// The others learn of it when the caller ends the world.
  void fail(const std::string&) noexcept override {
    if (watch_) watch_->leave();
  }
  int propose_group() override { return 0; }
  int open_group(const Group& parent, int color, int rank, int proposed) override;
  void close_group(int id) noexcept override;

  MPI_Comm comm(const Group& group) const { return comms_[static_cast<std::size_t>(group.id)]; }
  /// Follows a request that the caller has begun.
  Request* track(MPI_Request handle, bool receives, void* data);

 private:
  /// One MPI_Testsome; returns how many have finished.
  int test_some();
  /// Takes a request that MPI is through with out of those in flight.
  void remove(MpiRequest& request) noexcept;

  std::unique_ptr<HostWatch> watch_;
  int rank_ = 0;
  std::vector<MPI_Comm> comms_;      ///< by group id; MPI_COMM_NULL where closed
  std::deque<MpiRequest> requests_;  ///< all ever made
  MpiRequest* free_ = nullptr;
  std::vector<MPI_Request> handles_;  ///< in flight
  std::vector<MpiRequest*> owners_;   ///< of handles_
  std::vector<int> finished_;
  std::vector<MPI_Status> statuses_;
};

}  // namespace dml
