// Messages between two ranks: all that a collective is built from. Threads and MPI processes each implement this; the
// collectives are written once above it.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <vector>

namespace dml {

/// The ranks that talk to each other under one id. Peers are places in `members`.
struct Group {
  int id = 0;
  int rank = 0;              ///< place of this rank
  std::vector<int> members;  ///< world ranks
  int size() const { return static_cast<int>(members.size()); }
};

/// One message in flight. Owned by the transport that made it; goes back by recycle or cancel.
struct Request {
  std::atomic<bool> done{false};  ///< set by the transport's progress or by the peer's thread
};

/// One rank's end of the world. Used by one thread. Messages match by order per (group, peer, label).
class Transport {
 public:
  virtual ~Transport() = default;
  Transport() = default;
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  virtual const char* name() const = 0;
  virtual int world_rank() const = 0;

  virtual Request* send(const void* data, std::size_t bytes, const Group& group, int peer, int label) = 0;
  virtual Request* receive(void* data, std::size_t bytes, const Group& group, int peer, int label) = 0;
  /// A receive whose bytes may stay in the sender's memory: once done, `open` says where they are, until recycled. The
  /// send is done no earlier. `scratch` is used by a transport that does not lend.
  virtual Request* borrow(void* scratch, std::size_t bytes, const Group& group, int peer, int label) = 0;
  virtual bool lends() const = 0;
  /// The bytes of a borrow that is done; throws CommError if the sender has withdrawn them.
  virtual const void* open(Request* request) = 0;
  /// Takes back a request that is done.
  virtual void recycle(Request* request) noexcept = 0;
  /// Takes back any request; on return nobody touches its buffer (MPI: a send's may still be read).
  virtual void cancel(Request* request) noexcept = 0;
  /// Makes room for so many requests at once.
  virtual void reserve(int requests) = 0;

  /// Marks what is done; true if that was anything that only this call finds. Throws CommError if a peer has failed.
  virtual bool progress() = 0;
  virtual void fail(const std::string& reason) noexcept = 0;

  /// A number that no other group of the world has, where ids are the world's; any where they are the rank's own.
  virtual int propose_group() = 0;
  /// Opens the part of `parent` that gave `color`, this rank being at place `rank` of it, under the id that its first
  /// member proposed. Collective over `parent`. Returns the id to use on this rank.
  virtual int open_group(const Group& parent, int color, int rank, int proposed) = 0;
  virtual void close_group(int id) noexcept = 0;
};

}  // namespace dml
