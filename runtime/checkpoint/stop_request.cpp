#include "runtime/checkpoint/stop_request.h"

#include <atomic>

namespace dml {
namespace {

std::atomic<int> g_requested = 0;
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler may not wait");

}  // namespace

void request_stop(int signal) {
  int none = 0;
  g_requested.compare_exchange_strong(none, signal);
}

int stop_requested() { return g_requested.load(); }

}  // namespace dml
