// What measurements say beyond the sizes that were measured.
#pragma once

#include "parallel/cost/hardware.h"

namespace dml {

/// For operations without a family, and ranks on several hosts: peaks by the fastest product and the largest Add (of
/// the fewest threads), a link by the smallest and the largest message. Parts without measurements stay as they are.
void derive_peaks_and_links(Hardware& hardware);

}  // namespace dml
