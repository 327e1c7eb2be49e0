// The data sets that are part of the program (see builtin/SOURCES.md).
#pragma once

#include <cstddef>
#include <span>

namespace dml {

/// English text, ASCII.
std::span<const std::byte> builtin_text();
/// Images of handwritten digits: per image 64 pixels of 0 to 16, row by row, then the digit.
std::span<const std::byte> builtin_digits();

}  // namespace dml
