#include "tests/device_emulator/nccl/progress.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "tests/device_emulator/emulator.h"
#include "tests/device_emulator/nccl/reduction.h"

namespace dml::emulator::nccl {

namespace {

std::string text_of(const Signature& s) {
  const auto kind = static_cast<Kind>(s.kind);
  Transfer transfer{
      kind,  nullptr, nullptr, s.count, static_cast<ncclDataType_t>(s.type), static_cast<ncclRedOp_t>(s.reduction),
      s.root};
  return nccl::text_of(transfer);
}

bool agree(const Signature& a, const Signature& b) {
  return a.kind == b.kind && a.type == b.type && a.reduction == b.reduction && a.root == b.root && a.count == b.count;
}

}  // namespace

Collective::Collective(Communicator& communicator, const Transfer& transfer)
    : communicator_(communicator),
      transfer_(transfer),
      element_(element_bytes(transfer.type)),
      total_(transfer.kind == Kind::reduce_scatter ? transfer.count * static_cast<std::size_t>(communicator.ranks())
                                                   : transfer.count) {}

std::size_t Collective::elems_of_round() const { return std::min(kChunkBytes / element_, total_ - position_); }

bool Collective::all(std::atomic<std::uint64_t> Seat::*counter) const {
  for (int rank = 0; rank < communicator_.ranks(); ++rank) {
    if (communicator_.seat(rank).*counter < communicator_.rounds) return false;
  }
  return true;
}

bool Collective::advance() {
  for (;;) {
    switch (phase_) {
      case Phase::lay:
        lay();
        phase_ = Phase::take;
        break;
      case Phase::take:
        if (!all(&Seat::arrived)) return false;
        check_peers();
        take();
        phase_ = Phase::leave;
        break;
      case Phase::leave:
        if (!all(&Seat::left)) return false;
        if (position_ >= total_) return true;
        phase_ = Phase::lay;
        break;
    }
  }
}

void Collective::lay() {
  Seat& mine = communicator_.seat(communicator_.rank());
  const std::size_t bytes = elems_of_round() * element_;
  if (transfer_.in != nullptr && bytes > 0) {
    std::memcpy(mine.data, static_cast<const char*>(transfer_.in) + position_ * element_, bytes);
  }
  mine.signature = {communicator_.turn(), transfer_.count,     static_cast<std::int32_t>(transfer_.kind),
                    transfer_.type,       transfer_.reduction, transfer_.root};
  mine.arrived = ++communicator_.rounds;
}

void Collective::check_peers() const {
  const Signature& mine = communicator_.seat(communicator_.rank()).signature;
  for (int peer = 0; peer < communicator_.ranks(); ++peer) {
    const Signature& other = communicator_.seat(peer).signature;
    if (agree(mine, other)) continue;
    violation("NCCL: ranks of a communicator differ in operation " + std::to_string(mine.turn) + ": rank " +
              std::to_string(communicator_.rank()) + " does " + text_of(mine) + ", rank " + std::to_string(peer) +
              " does " + text_of(other));
  }
}

/// The sum of the round's elements over all ranks.
void Collective::take_sum(std::size_t elems) {
  const int ranks = communicator_.ranks();
  const int first = static_cast<int>(position_ / (kChunkBytes / element_) % static_cast<std::size_t>(ranks));
  sums_.resize(elems * element_);
  std::memcpy(sums_.data(), communicator_.seat(first).data, sums_.size());
  for (int step = 1; step < ranks; ++step) {
    const Seat& next = communicator_.seat((first + step) % ranks);
    reduce(sums_.data(), next.data, elems, transfer_.type, transfer_.reduction);
  }
  if (transfer_.reduction == ncclAvg) divide(sums_.data(), elems, transfer_.type, ranks);
}

void Collective::take() {
  const std::size_t elems = elems_of_round(), bytes = elems * element_;
  const auto rank = static_cast<std::size_t>(communicator_.rank());
  char* const out = static_cast<char*>(transfer_.out);
  if (elems > 0 && out != nullptr) {
    if (transfer_.kind == Kind::broadcast) {
      std::memcpy(out + position_ * element_, communicator_.seat(transfer_.root).data, bytes);
    } else if (transfer_.kind == Kind::all_gather) {
      for (int peer = 0; peer < communicator_.ranks(); ++peer) {
        const std::size_t to = static_cast<std::size_t>(peer) * transfer_.count + position_;
        std::memcpy(out + to * element_, communicator_.seat(peer).data, bytes);
      }
    } else {
      take_sum(elems);
      // The part of the round that belongs to this rank: all of it, unless the sum is scattered.
      const bool scatters = transfer_.kind == Kind::reduce_scatter;
      const std::size_t first = scatters ? std::max(position_, rank * transfer_.count) : position_;
      const std::size_t last = scatters ? std::min(position_ + elems, (rank + 1) * transfer_.count) : position_ + elems;
      const std::size_t base = scatters ? rank * transfer_.count : 0;
      if (first < last) {
        const char* const from = sums_.data() + (first - position_) * element_;
        std::memcpy(out + (first - base) * element_, from, (last - first) * element_);
      }
    }
  }
  communicator_.seat(communicator_.rank()).left = communicator_.rounds;
  position_ += elems;
}

Message::Message(Communicator& communicator, const Transfer& transfer)
    : communicator_(communicator),
      transfer_(transfer),
      pipe_(transfer.kind == Kind::send ? communicator.segment().pipe(communicator.rank(), transfer.peer)
                                        : communicator.segment().pipe(transfer.peer, communicator.rank())),
      head_{transfer.count, transfer.type} {}

/// Bytes into the pipe or out of it, as far as there is room or are any; true when all are moved.
bool Message::move(char* bytes, std::size_t count, std::size_t& done) {
  while (done < count) {
    const std::uint64_t written = pipe_.written, read = pipe_.read;
    const bool sends = transfer_.kind == Kind::send;
    const std::uint64_t available = sends ? kPipeBytes - (written - read) : written - read;
    const std::uint64_t at = (sends ? written : read) % kPipeBytes;
    const std::size_t part = std::min({count - done, available, kPipeBytes - at});
    if (part == 0) return false;
    if (sends) {
      std::memcpy(pipe_.data + at, bytes + done, part);
      pipe_.written = written + part;
    } else {
      std::memcpy(bytes + done, pipe_.data + at, part);
      pipe_.read = read + part;
    }
    done += part;
  }
  return true;
}

bool Message::advance_head() {
  if (head_done_ == sizeof head_) return true;
  if (!move(reinterpret_cast<char*>(&head_), sizeof head_, head_done_)) return false;
  if (head_.count == transfer_.count && head_.type == transfer_.type) return true;
  const Transfer sent{Kind::send, nullptr, nullptr, head_.count, static_cast<ncclDataType_t>(head_.type)};
  violation("NCCL: rank " + std::to_string(communicator_.rank()) + " does " + nccl::text_of(transfer_) + " from rank " +
            std::to_string(transfer_.peer) + ", which does " + nccl::text_of(sent));
}

bool Message::advance() {
  if (!advance_head()) return false;
  char* const bytes = transfer_.kind == Kind::send ? static_cast<char*>(const_cast<void*>(transfer_.in))
                                                   : static_cast<char*>(transfer_.out);
  return move(bytes, transfer_.count * element_bytes(transfer_.type), position_);
}

}  // namespace dml::emulator::nccl
