// Emphasis on a terminal that shows it; the plain text elsewhere.
#pragma once

#include <string>
#include <string_view>

namespace dml {

struct Style {
  bool colour = false;

  std::string strong(std::string_view text) const { return wrapped("1", text); }
  std::string faint(std::string_view text) const { return wrapped("2", text); }
  std::string heading(std::string_view text) const { return wrapped("1;36", text); }
  std::string option(std::string_view text) const { return wrapped("32", text); }
  std::string error(std::string_view text) const { return wrapped("1;31", text); }

 private:
  std::string wrapped(std::string_view code, std::string_view text) const {
    if (!colour) return std::string(text);
    return std::string("\033[").append(code).append("m").append(text).append("\033[0m");
  }
};

/// Columns that UTF-8 text takes on a terminal: its code points.
std::size_t display_width(std::string_view text);

}  // namespace dml
