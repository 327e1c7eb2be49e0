#include "tests/device_emulator/nccl/transfer.h"

#include <chrono>
#include <cstdio>
#include <memory>
#include <optional>
#include <variant>

#include "tests/device_emulator/emulator.h"
#include "tests/device_emulator/engine/settings.h"
#include "tests/device_emulator/library.h"
#include "tests/device_emulator/nccl/progress.h"
#include "tests/device_emulator/nccl/reduction.h"

namespace dml::emulator::nccl {

namespace {

using Clock = std::chrono::steady_clock;

/// One execution of an operation: a turn of the communicator.
class Execution {
 public:
  Execution(std::shared_ptr<Communicator> communicator, const std::vector<Transfer>& transfers)
      : communicator_(std::move(communicator)), turn_(communicator_->take_turn()), name_(text_of(transfers.front())) {
    for (const Transfer& transfer : transfers) {
      if (transfer.is_pair()) {
        parts_.push_back({Message(*communicator_, transfer)});
      } else {
        parts_.push_back({Collective(*communicator_, transfer)});
      }
    }
    if (transfers.size() > 1) name_ += " and " + std::to_string(transfers.size() - 1) + " more";
    Family& family = *communicator_->family();
    const std::lock_guard lock(family.mutex);
    number_ = family.issued++;
    family.outstanding.insert(number_);
  }
  ~Execution() { leave_family(); }
  Execution(const Execution&) = delete;
  Execution& operator=(const Execution&) = delete;

  bool poll() {
    if (!begun_) begun_ = Clock::now();
    const std::unique_lock lock(communicator_->running, std::try_to_lock);
    if (!lock) return false;
    if (communicator_->is_aborted()) return finish();
    const bool may_go = communicator_->turn() == turn_ && is_first_of_family() && !communicator_->has_async_error();
    if (!may_go) return report_if_stuck();
    if (!said_) {
      communicator_->say(name_ + ", operation " + std::to_string(turn_) + " of communicator " +
                         communicator_->options().name);
      said_ = true;
    }
    if (!advance()) return report_if_stuck();
    return finish();
  }

 private:
  struct Part {
    std::variant<Collective, Message> transfer;
    bool is_done = false;
  };

  bool advance() {
    bool all = true, in_order = true;
    for (Part& part : parts_) {
      if (part.is_done) continue;
      const bool is_pair = std::holds_alternative<Message>(part.transfer);
      if (is_pair || in_order) {
        part.is_done = std::visit([](auto& transfer) { return transfer.advance(); }, part.transfer);
      }
      if (!is_pair) in_order = in_order && part.is_done;
      all = all && part.is_done;
    }
    return all;
  }

  /// A rank's communicators take turns, where that is asked for: ranks that use them in different orders then always
  /// wait for each other, which on a real device depends on how many operations find room at the same time.
  bool is_first_of_family() {
    static const bool in_order = is_set("EMULATOR_NCCL_IN_ORDER");
    if (!in_order) return true;
    Family& family = *communicator_->family();
    const std::lock_guard lock(family.mutex);
    return *family.outstanding.begin() == number_;
  }

  void leave_family() {
    Family& family = *communicator_->family();
    const std::lock_guard lock(family.mutex);
    family.outstanding.erase(number_);
  }

  bool finish() {
    communicator_->finish_turn();
    communicator_->say("nothing since " + name_);
    leave_family();
    return true;
  }

  /// Half the time after which the device calls a wait a hang: what this rank and its peers do.
  bool report_if_stuck() {
    const std::chrono::duration<double> waited = Clock::now() - *begun_;
    if (reported_ || waited.count() < settings().hang_seconds / 2) return false;
    reported_ = true;
    std::string text = "emulator: NCCL: rank " + std::to_string(communicator_->rank()) + " waits in " + name_ +
                       ", operation " + std::to_string(turn_) + " of communicator " + communicator_->options().name;
    for (int peer = 0; peer < communicator_->ranks(); ++peer) {
      if (peer == communicator_->rank()) continue;
      const std::string doing = communicator_->seat(peer).doing;
      text += "; rank " + std::to_string(peer) + " is in " + (doing.empty() ? "nothing so far" : doing);
    }
    std::fprintf(stderr, "%s\n", text.c_str());
    return false;
  }

  std::shared_ptr<Communicator> communicator_;
  std::uint64_t turn_, number_ = 0;
  std::string name_;
  std::vector<Part> parts_;
  std::optional<Clock::time_point> begun_;  // when its stream came to it
  bool said_ = false, reported_ = false;
};

std::vector<Range> ranges_of(const std::vector<Transfer>& transfers, int ranks) {
  std::vector<Range> ranges;
  for (const Transfer& transfer : transfers) {
    if (transfer.in != nullptr) ranges.push_back(reads(transfer.in, transfer.in_bytes(ranks)));
    if (transfer.out != nullptr) ranges.push_back(writes(transfer.out, transfer.out_bytes(ranks)));
  }
  return ranges;
}

}  // namespace

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::all_reduce: return "ncclAllReduce";
    case Kind::broadcast: return "ncclBroadcast";
    case Kind::reduce: return "ncclReduce";
    case Kind::all_gather: return "ncclAllGather";
    case Kind::reduce_scatter: return "ncclReduceScatter";
    case Kind::send: return "ncclSend";
    case Kind::receive: return "ncclRecv";
  }
  return "";
}

std::size_t Transfer::in_bytes(int ranks) const {
  return count * element_bytes(type) * (kind == Kind::reduce_scatter ? static_cast<std::size_t>(ranks) : 1);
}
std::size_t Transfer::out_bytes(int ranks) const {
  return count * element_bytes(type) * (kind == Kind::all_gather ? static_cast<std::size_t>(ranks) : 1);
}

std::string text_of(const Transfer& transfer) {
  std::string text =
      std::string(name_of(transfer.kind)) + " of " + std::to_string(transfer.count) + " " + name_of(transfer.type);
  const bool reduces =
      transfer.kind == Kind::all_reduce || transfer.kind == Kind::reduce || transfer.kind == Kind::reduce_scatter;
  if (reduces) text += std::string(" (") + name_of(transfer.reduction) + ")";
  if (transfer.kind == Kind::broadcast || transfer.kind == Kind::reduce) {
    text += " with root " + std::to_string(transfer.root);
  }
  return text;
}

ncclResult_t submit(const std::shared_ptr<Communicator>& communicator, std::vector<Transfer> transfers,
                    cudaStream_t stream) {
  Operation operation;
  operation.name = name_of(transfers.front().kind);
  operation.ranges = ranges_of(transfers, communicator->ranks());
  const std::shared_ptr<const void> held = is_capturing(stream) ? communicator->hold() : nullptr;
  operation.issue = [communicator, transfers = std::move(transfers), held] {
    const auto execution = std::make_shared<Execution>(communicator, transfers);
    return emulator::Execution{{}, [execution] { return execution->poll(); }};
  };
  return enqueue(stream, std::move(operation)) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

}  // namespace dml::emulator::nccl
