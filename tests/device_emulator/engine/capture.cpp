#include "tests/device_emulator/engine/capture.h"

#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

#include "tests/device_emulator/engine/stream.h"

namespace dml::emulator {
namespace {

std::mutex mutex;
std::set<Capture*>& active() {
  static auto* all = new std::set<Capture*>;
  return *all;
}

void append_unique(std::vector<std::size_t>& all, const std::vector<std::size_t>& more) {
  for (const std::size_t node : more) {
    if (std::find(all.begin(), all.end(), node) == all.end()) all.push_back(node);
  }
}

}  // namespace

Capture::Capture(CUstream_st& origin, cudaStreamCaptureMode mode) : origin_(&origin), mode_(mode) {
  tails_[&origin] = {};
  const std::lock_guard lock(mutex);
  active().insert(this);
}

void Capture::add(CUstream_st& stream, Operation operation) {
  std::vector<std::size_t>& tail = tails_[&stream];
  recording_.before.push_back(std::exchange(tail, {recording_.nodes.size()}));
  recording_.nodes.push_back(std::move(operation));
}

void Capture::join(CUstream_st& stream, const std::vector<std::size_t>& nodes) {
  append_unique(tails_[&stream], nodes);
}

std::string Capture::finish() {
  is_over_ = true;
  {
    const std::lock_guard lock(mutex);
    active().erase(this);
  }
  for (auto& [stream, tail] : tails_) stream->capture.reset();
  std::vector<bool> reached(recording_.nodes.size(), false);
  std::vector<std::size_t> rest = tails_[origin_];
  while (!rest.empty()) {
    const std::size_t node = rest.back();
    rest.pop_back();
    if (reached[node]) continue;
    reached[node] = true;
    rest.insert(rest.end(), recording_.before[node].begin(), recording_.before[node].end());
  }
  for (const auto& [stream, tail] : tails_) {
    for (const std::size_t node : tail) {
      if (!reached[node]) return recording_.nodes[node].name + " on stream " + std::to_string(stream->id);
    }
  }
  return "";
}

bool Capture::forbids_unsafe_calls() const {
  if (mode_ == cudaStreamCaptureModeRelaxed) return false;
  return mode_ == cudaStreamCaptureModeGlobal || thread_ == std::this_thread::get_id();
}

Capture* forbidding_capture() {
  const std::lock_guard lock(mutex);
  for (Capture* capture : active()) {
    if (capture->forbids_unsafe_calls()) return capture;
  }
  return nullptr;
}

}  // namespace dml::emulator
