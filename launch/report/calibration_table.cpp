#include "launch/report/calibration_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <vector>

#include "launch/terminal/number_text.h"
#include "launch/terminal/text_table.h"

namespace dml {
namespace {

using Align = TextTable::Align;

std::string percent(double part) { return fmt::format("{:.1f} %", 100 * part); }

double middle(std::span<const double> of) {
  if (of.empty()) return 0;
  std::vector<double> numbers(of.begin(), of.end());
  const auto place = numbers.begin() + static_cast<std::ptrdiff_t>(numbers.size() / 2);
  std::nth_element(numbers.begin(), place, numbers.end());
  return *place;
}

/// Work at the largest sizes: multiply-adds of products and attention count two; else elements of rows, or bytes.
std::string rate(const std::string& family, const SizeTable& table) {
  const std::size_t num_axes = table.axes.size();
  double work = num_axes > 2 ? 2 : 1;
  for (const std::vector<double>& axis : table.axes) work *= axis.back();
  if (family.starts_with("Attention")) {
    const bool is_grad = family.starts_with("AttentionGrad");
    work *= 2 * table.axes[1].back() * (is_grad ? 2 : 1) * (family.ends_with(".causal") ? 0.5 : 1);
  }
  const char* const unit = num_axes > 2 ? "FLOP/s" : num_axes == 2 ? "elem/s" : "B/s";
  return scaled_text(work / table.seconds.back(), unit);
}

std::string kernel_table(const Hardware& hardware, Style style) {
  TextTable table({{"kernel", Align::left},
                   {"threads"},
                   {"ranks"},
                   {"sizes"},
                   {"smallest"},
                   {"largest"},
                   {"rate there"},
                   {"spread"},
                   {"between sizes off by"}});
  for (const auto& [family, kernels] : hardware.kernels) {
    for (const KernelTable& kernel : kernels) {
      const SizeTable& sizes = kernel.table;
      table.add_row({family, std::to_string(kernel.threads), std::to_string(kernel.ranks),
                     std::to_string(sizes.seconds.size()), seconds_text(sizes.seconds.front()),
                     seconds_text(sizes.seconds.back()), rate(family, sizes), percent(middle(sizes.spread)),
                     percent(kernel.residual)});
    }
  }
  return table.to_string(style);
}

std::string comm_table(const Hardware& hardware, Style style) {
  TextTable table({{"communication", Align::left}, {"ranks"}, {"smallest"}, {"largest"}, {"rate there"}, {"spread"}});
  for (const auto& [kind, measured] : hardware.comm) {
    const std::vector<double>& bytes = measured.axes[1];
    for (std::size_t i = 0; i < measured.axes[0].size(); ++i) {
      const auto of_group = [&](const std::vector<double>& numbers) {
        return std::span(numbers).subspan(i * bytes.size(), bytes.size());
      };
      const std::span<const double> seconds = of_group(measured.seconds);
      table.add_row({std::string(name_of(kind)), fmt::format("{:.0f}", measured.axes[0][i]),
                     seconds_text(seconds.front()), seconds_text(seconds.back()),
                     scaled_text(bytes.back() / seconds.back(), "B/s"), percent(middle(of_group(measured.spread)))});
    }
  }
  return table.num_rows() == 0 ? "" : "\n" + table.to_string(style);
}

}  // namespace

std::string calibration_table(const Hardware& hardware, Style style) {
  return kernel_table(hardware, style) + comm_table(hardware, style);
}

}  // namespace dml
