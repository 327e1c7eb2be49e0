#include "tests/device_emulator/nccl/communicator.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <tuple>
#include <utility>

#include "tests/device_emulator/library.h"

namespace dml::emulator::nccl {

namespace {

/// One number for a device of the machine; NCCL_HOSTID lets processes of one machine stand for several, as in NCCL.
std::uint64_t device_number(int device) {
  const char* host = std::getenv("NCCL_HOSTID");
  return std::hash<std::string>()(host == nullptr ? "" : host) * 1024 + static_cast<std::uint64_t>(device) + 1;
}

}  // namespace

Communicator::Communicator(int ranks, int rank, int device, Options options, std::shared_ptr<Family> family)
    : ranks_(ranks), rank_(rank), device_(device), options_(std::move(options)), family_(std::move(family)) {}

Communicator::~Communicator() {
  const std::lock_guard lock(family_->mutex);
  std::erase(family_->members, this);
}

void Communicator::join(const Origin& origin) {
  origin_ = origin;
  if (options_.name.empty()) options_.name = std::to_string(origin.nonce % 100000);
}

ncclResult_t Communicator::fail(ncclResult_t error, const std::string& why) {
  error_text_ = why;
  set_async_error(error);
  return error;
}

void Communicator::set_async_error(ncclResult_t error) {
  ncclResult_t none = ncclSuccess;
  async_error_.compare_exchange_strong(none, error);
}

/// Sits down, unless somebody sits there or uses the same device.
ncclResult_t Communicator::take_seat(const Origin& origin) {
  std::string why;
  if (!segment_.open(origin, ranks_, why)) return fail(ncclSystemError, why);
  std::int32_t nobody = 0;
  Seat& mine = seat(rank_);
  if (!mine.process.compare_exchange_strong(nobody, static_cast<std::int32_t>(getpid()))) {
    return fail(ncclInvalidUsage, "rank " + std::to_string(rank_) + " has joined twice");
  }
  mine.device = device_number(device_);
  is_seated_ = true;
  ++segment_.head().joined;
  return ncclSuccess;
}

ncclResult_t Communicator::progress_meeting(const Origin& origin) {
  if (!is_seated_) {
    if (const auto error = take_seat(origin)) return error;
  }
  if (segment_.head().joined < ranks_) return ncclInProgress;
  segment_.release(origin);
  origin_.reset();
  for (int peer = 0; peer < ranks_; ++peer) {
    const bool same = peer != rank_ && seat(peer).device == seat(rank_).device;
    if (same && !is_set("EMULATOR_NCCL_SHARED_DEVICES")) {
      return fail(ncclInvalidUsage, "Duplicate GPU detected: rank " + std::to_string(rank_) + " and rank " +
                                        std::to_string(peer) + " both on device " + std::to_string(device_));
    }
  }
  const std::lock_guard lock(family_->mutex);
  family_->members.push_back(this);
  return ncclSuccess;
}

std::shared_ptr<Communicator> Communicator::split(int color, int key, Options options) {
  SplitEntry& entry = segment_.split(splits_, rank_);
  entry.color = color;
  entry.key = key;
  entry.is_there = 1;
  std::shared_ptr<Communicator> child;
  if (color != NCCL_SPLIT_NOCOLOR) {
    child = std::make_shared<Communicator>(0, 0, device_, std::move(options), family_);
    child->parent_ = shared_from_this();
    splitting_ = Splitting{splits_, color, child};
  }
  ++splits_;
  return child;
}

/// The group of a split: its ranks by (key, rank), the first of which makes the segment.
ncclResult_t Communicator::progress_split() {
  if (!splitting_) return ncclSuccess;
  const auto [turn, color, child] = *splitting_;
  std::vector<std::tuple<int, int>> group;
  for (int peer = 0; peer < ranks_; ++peer) {
    const SplitEntry& entry = segment_.split(turn, peer);
    if (entry.is_there == 0) return ncclInProgress;
    if (entry.color == color) group.emplace_back(entry.key, peer);
  }
  std::sort(group.begin(), group.end());
  const auto place = std::find_if(group.begin(), group.end(), [this](auto& g) { return std::get<1>(g) == rank_; });
  const int leader = std::get<1>(group.front());
  SplitEntry& meeting = segment_.split(turn, leader);
  if (leader == rank_) {
    meeting.origin = Segment::create();
    meeting.has_origin = 1;
  }
  if (meeting.has_origin == 0) return ncclInProgress;
  child->ranks_ = static_cast<int>(group.size());
  child->rank_ = static_cast<int>(place - group.begin());
  child->join(meeting.origin);
  child->parent_.reset();
  splitting_.reset();
  return ncclSuccess;
}

void Communicator::postpone(std::function<ncclResult_t()> submit) {
  postponed_.push_back(std::move(submit));
  postponed_polls_ = 0;
}

ncclResult_t Communicator::progress() {
  if (const ncclResult_t error = async_error_; error != ncclSuccess) return error;
  if (const auto parent = parent_.lock()) {
    if (const auto state = parent->progress_split()) return state;
  }
  if (origin_) {
    if (const auto state = progress_meeting(Origin(*origin_))) return state;
  }
  if (const auto state = progress_split()) return state;
  if (!postponed_.empty()) {
    if (postponed_polls_++ == 0) return ncclInProgress;
    for (const auto& submit : std::exchange(postponed_, {})) {
      if (const auto error = submit()) return fail(error, "the operation could not be put on its stream");
    }
  }
  if (is_set("EMULATOR_NCCL_DETECT") && has_lost_peer()) {
    return fail(ncclRemoteError, "a peer has ended or has aborted the communicator");
  }
  return async_error_;
}

void Communicator::abort() {
  aborted_ = true;
  if (is_seated_) seat(rank_).aborted = 1;
}

void Communicator::say(const std::string& doing) {
  const std::lock_guard lock(family_->mutex);
  for (Communicator* member : family_->members) {
    std::snprintf(member->seat(member->rank_).doing, sizeof Seat::doing, "%s", doing.c_str());
  }
}

bool Communicator::has_lost_peer() const {
  if (!is_seated_) return false;
  for (int peer = 0; peer < ranks_; ++peer) {
    const Seat& other = segment_.seat(peer);
    const std::int32_t process = other.process;
    if (peer == rank_ || process == 0) continue;
    if (other.aborted != 0 || (kill(process, 0) != 0 && errno == ESRCH)) return true;
  }
  return false;
}

}  // namespace dml::emulator::nccl
