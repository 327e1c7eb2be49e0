// Counts the calls of malloc and its kin in this program by who makes them: the program itself, or a library below it.
#pragma once

#include <string>
#include <vector>

namespace dml::allocation {

/// Calls since the last start_counting, by library file name; "" stands for this program's own code.
struct Calls {
  std::string library;
  long count = 0;
  std::string first_caller;  ///< function and offset of the first of them
};

/// On all threads. The caller of an allocation is the innermost frame outside the C and C++ runtime libraries.
void start_counting();
std::vector<Calls> stop_counting();

}  // namespace dml::allocation
