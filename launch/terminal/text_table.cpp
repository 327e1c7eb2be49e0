#include "launch/terminal/text_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace dml {

void TextTable::add_row(std::vector<std::string> cells) {
  if (cells.size() != columns_.size()) {
    throw std::invalid_argument(
        fmt::format("[table] a row has {} cells, the table {} columns", cells.size(), columns_.size()));
  }
  rows_.push_back(std::move(cells));
}

std::string TextTable::line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) const {
  std::string text;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    const std::string blanks(widths[c] - display_width(cells[c]), ' ');
    text += "  ";
    text += columns_[c].align == Align::right ? blanks + cells[c] : cells[c] + blanks;
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text;
}

std::string TextTable::to_string(Style style) const {
  std::vector<std::string> titles, rules;
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    titles.push_back(columns_[c].title);
    widths.push_back(display_width(columns_[c].title));
    for (const auto& row : rows_) widths[c] = std::max(widths[c], display_width(row[c]));
    rules.emplace_back(widths[c], '-');
  }
  std::string text = style.strong(line(titles, widths)) + "\n" + style.faint(line(rules, widths)) + "\n";
  for (const auto& row : rows_) text += line(row, widths) + "\n";
  return text;
}

}  // namespace dml
