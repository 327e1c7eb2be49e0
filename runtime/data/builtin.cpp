// The files are assembled into the library, so that they are found from any folder and after installation. Their paths
// are relative to the root of the source tree, which the build gives the assembler.
#include "runtime/data/builtin.h"

asm(R"(
  .pushsection .rodata
  .balign 16
  .global dml_builtin_text
  .hidden dml_builtin_text
dml_builtin_text:
  .incbin "runtime/data/builtin/kjv.txt"
  .global dml_builtin_text_end
  .hidden dml_builtin_text_end
dml_builtin_text_end:
  .balign 16
  .global dml_builtin_digits
  .hidden dml_builtin_digits
dml_builtin_digits:
  .incbin "runtime/data/builtin/digits.bin"
  .global dml_builtin_digits_end
  .hidden dml_builtin_digits_end
dml_builtin_digits_end:
  .byte 0
  .popsection
)");

extern "C" {
[[gnu::visibility("hidden")]] extern const std::byte dml_builtin_text[];
[[gnu::visibility("hidden")]] extern const std::byte dml_builtin_text_end[];
[[gnu::visibility("hidden")]] extern const std::byte dml_builtin_digits[];
[[gnu::visibility("hidden")]] extern const std::byte dml_builtin_digits_end[];
}

namespace dml {

std::span<const std::byte> builtin_text() { return {dml_builtin_text, dml_builtin_text_end}; }
std::span<const std::byte> builtin_digits() { return {dml_builtin_digits, dml_builtin_digits_end}; }

}  // namespace dml
