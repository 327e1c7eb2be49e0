// Stacks between which a thread of the operating system switches: each holds threads of a block that wait.
#pragma once

#include <cstddef>

namespace dml::emulator {

/// A stack of its own, or (first constructor) that of the thread it is made on. Not movable.
class Fiber {
 public:
  Fiber() = default;
  /// Runs `entry(argument)` when it is switched to for the first time; `entry` must never return.
  Fiber(std::size_t stack_bytes, void (*entry)(void*), void* argument);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// Goes on with `next`; returns when something switches to this fiber, which must be the running one.
  void switch_to(Fiber& next);

 private:
  static void begin();

  void* stack_pointer_ = nullptr;
  char* pages_ = nullptr;  // guard page first; null: the stack of the operating system's thread
  std::size_t bytes_ = 0;
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
  void* fake_stack_ = nullptr;    // AddressSanitizer's
  const void* bottom_ = nullptr;  // of the usable stack, for AddressSanitizer
  std::size_t usable_bytes_ = 0;
  void* known_as_ = nullptr;  // ThreadSanitizer's
};

}  // namespace dml::emulator
