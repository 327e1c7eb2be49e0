// Hardware as a TOML file: what `dmltrain calibrate` writes and --hardware reads. `dmltrain help hardware` has the
// keys.
#pragma once

#include <string>
#include <string_view>

#include "parallel/cost/hardware.h"

namespace dml {

/// Where calibrate writes, and where plain "calibrated" reads.
inline constexpr std::string_view kCalibrationFile = "calibration.toml";

/// A preset's name, "calibrated" or "calibrated:FILE", or a file. Throws UsageError where it is neither, or with the
/// file, line and key that make no sense.
Hardware find_hardware(const std::string& named);

/// The same from text; `name` stands for the file in messages.
Hardware parse_hardware(const std::string& text, const std::string& name);

/// The file of it, numbers to four digits.
std::string write_hardware(const Hardware& hardware);

}  // namespace dml
