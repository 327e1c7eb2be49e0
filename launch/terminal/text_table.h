// A table in plain text: columns as wide as their widest cell, two blanks between them, a line under the titles.
#pragma once

#include <string>
#include <vector>

#include "launch/terminal/style.h"

namespace dml {

class TextTable {
 public:
  enum class Align : std::uint8_t { left, right };
  struct Column {
    std::string title;
    Align align = Align::right;
  };

  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// One cell per column; throws std::invalid_argument otherwise.
  void add_row(std::vector<std::string> cells);
  std::size_t num_rows() const { return rows_.size(); }
  /// Each line begins with two blanks and ends with a newline.
  std::string to_string(Style style) const;

 private:
  std::string line(const std::vector<std::string>& cells, const std::vector<std::size_t>& widths) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace dml
