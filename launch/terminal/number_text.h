// Numbers as a person reads them: three significant digits and a unit.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dml {

constexpr double kMsPerSecond = 1e3;

/// Three significant digits without an exponent while that stays short: "1.84", "41.2", "1234", "2.5e+07", "3.1e-05".
std::string number_text(double number);
/// "24.9k", "1.21M", "5.40G": by powers of 1000.
std::string scaled_text(double number);
/// The same with a space and a unit: "46.3 GFLOP/s".
std::string scaled_text(double number, const std::string& unit);
/// By powers of 1024: "812 B", "3.27 MiB".
std::string bytes_text(std::int64_t bytes);
/// "812 us", "41.2 ms", "3.21 s".
std::string seconds_text(double seconds);
/// "3.0e-3"; "0" for none.
std::string rate_text(double learning_rate);
/// "4096" as "4,096".
std::string grouped_text(std::int64_t number);
/// Whole percents of the sum of `parts` that add up to 100 (largest remainders); zeros where the sum is zero.
std::vector<int> percentages(std::span<const double> parts);

}  // namespace dml
