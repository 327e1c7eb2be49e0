#pragma once

#include <concepts>
#include <cstddef>

namespace dml {

/// An id or a position, none below zero, as an index of a container.
constexpr std::size_t index(std::integral auto i) { return static_cast<std::size_t>(i); }

}  // namespace dml
