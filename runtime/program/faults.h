// Faults of our own making, which the parity suite must find. Here is only the place where they can enter: dmltrain has
// the stub in no_faults.cpp, and the test program dmltrain_faulty links tests/faults in front of it.
#pragma once

#include <functional>
#include <span>

#include "runtime/program/program.h"

namespace dml {

/// Where a value of a microbatch lies on this rank. Throws InternalError where it lies nowhere.
using PlaceOf = std::function<TensorView(ValueId value, int microbatch)>;

/// May alter the finished instructions of this rank, and the weights that they will read. The stub does nothing.
void plant_fault(std::span<Instruction> instructions, const ProgramInputs& inputs, const PlaceOf& place_of);

}  // namespace dml
