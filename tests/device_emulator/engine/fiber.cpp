#include "tests/device_emulator/engine/fiber.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "tests/device_emulator/emulator.h"

#if defined(__SANITIZE_ADDRESS__)
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#endif

// What a call must preserve (System V ABI, x86-64): six registers, and the control words of the floating point units,
// which no kernel changes. The return address is taken from the other stack.
extern "C" void dml_emulator_switch(void** save, void* next);
asm(R"(
.text
.globl dml_emulator_switch
.hidden dml_emulator_switch
.type dml_emulator_switch,@function
dml_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  popq %rcx
  jmp *%rcx
.size dml_emulator_switch,.-dml_emulator_switch
)");

namespace dml::emulator {
namespace {

thread_local Fiber* entering = nullptr;  // the fiber that is switched to, for its first function
constexpr std::size_t kGuardBytes = 4096;
constexpr std::size_t kCacheLine = 64;

// Tells AddressSanitizer of the change of stacks; nothing otherwise.
void announce_switch([[maybe_unused]] void** fake, [[maybe_unused]] const void* bottom,
                     [[maybe_unused]] std::size_t bytes) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(fake, bottom, bytes);
#endif
}

void finish_switch([[maybe_unused]] void* fake) {
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(fake, nullptr, nullptr);
#endif
}

}  // namespace

Fiber::Fiber(std::size_t stack_bytes, void (*entry)(void*), void* argument)
    : bytes_(stack_bytes + kGuardBytes), entry_(entry), argument_(argument) {
  void* pages = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (pages == MAP_FAILED) violation("no memory for the stack of a kernel's thread");
  pages_ = static_cast<char*>(pages);
  mprotect(pages_, kGuardBytes, PROT_NONE);
  bottom_ = pages_ + kGuardBytes;
  usable_bytes_ = stack_bytes;
  // The hot ends of the stacks are spread over the sets of the cache.
  static thread_local std::size_t count = 0;
  const std::size_t shift = (count++ % 48) * 3 * kCacheLine;
  auto** top = reinterpret_cast<void**>(pages_ + bytes_ - shift);
  *--top = nullptr;  // where begin() would return to
  *--top = reinterpret_cast<void*>(&Fiber::begin);
  top -= 6;
  std::memset(top, 0, 6 * sizeof(void*));
  stack_pointer_ = top;
#if defined(__SANITIZE_THREAD__)
  known_as_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  if (pages_ == nullptr) return;
  munmap(pages_, bytes_);
#if defined(__SANITIZE_THREAD__)
  __tsan_destroy_fiber(known_as_);
#endif
}

void Fiber::begin() {
  Fiber* self = entering;
  finish_switch(nullptr);
  self->entry_(self->argument_);
  violation("a fiber of the emulator has ended");
}

void Fiber::switch_to(Fiber& next) {
#if defined(__SANITIZE_ADDRESS__)
  if (pages_ == nullptr && bottom_ == nullptr) {  // the stack of the system's thread, asked for once
    pthread_attr_t attributes;
    pthread_getattr_np(pthread_self(), &attributes);
    void* bottom = nullptr;
    pthread_attr_getstack(&attributes, &bottom, &usable_bytes_);
    bottom_ = bottom;
    pthread_attr_destroy(&attributes);
  }
#endif
  announce_switch(&fake_stack_, next.bottom_, next.usable_bytes_);
  entering = &next;
#if defined(__SANITIZE_THREAD__)
  if (pages_ == nullptr) known_as_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(next.known_as_, 0);
#endif
  dml_emulator_switch(&stack_pointer_, next.stack_pointer_);
  finish_switch(fake_stack_);
}

}  // namespace dml::emulator
