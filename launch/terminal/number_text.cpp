#include "launch/terminal/number_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

namespace dml {
namespace {

/// Decimals that leave three significant digits of a number below 1000.
int decimals_for(double magnitude) {
  if (magnitude >= 99.95) return 0;
  return magnitude >= 9.995 ? 1 : 2;
}

struct Scaled {
  double number = 0;
  std::size_t power = 0;
};

/// Divides by `base` until the number prints with at most three digits before the point.
Scaled scale(double number, double base, std::size_t powers) {
  std::size_t power = 0;
  while (std::abs(number) >= 999.5 && power + 1 < powers) {
    number /= base;
    ++power;
  }
  return {number, power};
}

constexpr std::array<const char*, 6> kLetters = {"", "k", "M", "G", "T", "P"};

}  // namespace

std::string number_text(double number) {
  const double magnitude = std::abs(number);
  if (!std::isfinite(number) || number == 0) return fmt::format("{}", number);
  if (magnitude >= 1e6 || magnitude < 1e-3) return fmt::format("{:.1e}", number);
  if (magnitude >= 0.0995) return fmt::format("{:.{}f}", number, decimals_for(magnitude));
  return fmt::format("{:.{}f}", number, magnitude >= 0.00995 ? 3 : 4);
}

std::string scaled_text(double number) {
  const Scaled scaled = scale(number, 1000, kLetters.size());
  const bool whole = scaled.power == 0 && number == std::floor(number);
  const int decimals = whole ? 0 : decimals_for(std::abs(scaled.number));
  return fmt::format("{:.{}f}{}", scaled.number, decimals, kLetters[scaled.power]);
}

std::string scaled_text(double number, const std::string& unit) {
  const Scaled scaled = scale(number, 1000, kLetters.size());
  return fmt::format("{:.{}f} {}{}", scaled.number, decimals_for(std::abs(scaled.number)), kLetters[scaled.power],
                     unit);
}

std::string bytes_text(std::int64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  const Scaled scaled = scale(static_cast<double>(bytes), 1024, kUnits.size());
  const int decimals = scaled.power == 0 ? 0 : decimals_for(std::abs(scaled.number));
  return fmt::format("{:.{}f} {}", scaled.number, decimals, kUnits[scaled.power]);
}

std::string seconds_text(double seconds) {
  if (seconds == 0) return "0 ms";
  if (seconds < 0.9995e-3) return fmt::format("{} us", number_text(seconds * 1e6));
  if (seconds < 0.9995) return fmt::format("{} ms", number_text(seconds * 1e3));
  return fmt::format("{} s", number_text(seconds));
}

std::string rate_text(double learning_rate) {
  if (learning_rate == 0) return "0";
  const std::string text = fmt::format("{:.1e}", learning_rate);  // such as 3.0e-03
  const std::size_t exponent = text.find('e') + 1;
  return fmt::format("{}{}", text.substr(0, exponent), std::stoi(text.substr(exponent)));
}

std::string grouped_text(std::int64_t number) {
  const std::string digits = std::to_string(number);
  std::string text;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    const bool follows_digit = i > 0 && digits[i - 1] != '-';
    if (follows_digit && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::vector<int> percentages(std::span<const double> parts) {
  const double sum = std::accumulate(parts.begin(), parts.end(), 0.0);
  std::vector<int> percents(parts.size(), 0);
  if (!(sum > 0)) return percents;
  std::vector<std::pair<double, std::size_t>> remainders;
  int missing = 100;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const double exact = 100 * std::max(parts[i], 0.0) / sum;
    percents[i] = static_cast<int>(exact);
    missing -= percents[i];
    remainders.emplace_back(percents[i] - exact, i);
  }
  std::sort(remainders.begin(), remainders.end());
  for (std::size_t k = 0; k < remainders.size() && missing > 0; ++k, --missing) ++percents[remainders[k].second];
  return percents;
}

}  // namespace dml
