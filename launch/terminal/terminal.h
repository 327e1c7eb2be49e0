// Standard output as a person sees it: lines that stay, and one live line that is written over on a terminal.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "launch/terminal/style.h"

namespace dml {

/// What is at the other end of standard output.
struct Display {
  bool terminal = false;
  int width = 0;  ///< columns; 0 where unknown
  bool colour = false;
};

/// Looks at standard output. A launcher such as mpirun gives each rank a pseudo-terminal of its own, so under one the
/// launcher's output decides, where it can be seen. Colour wants a terminal and neither NO_COLOR nor TERM=dumb.
Display display_of_stdout(bool under_launcher);

class Terminal {
 public:
  Terminal(std::FILE* out, Display display) : out_(out), display_(display) {}
  /// A live line that is left over stays, and ends.
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  Style style() const { return {display_.colour}; }
  bool live() const { return display_.terminal; }
  /// Columns; 0 where unknown.
  int width() const { return display_.width; }
  /// Writes text that stays; it ends with a newline. A live line is cleared before it.
  void print(std::string_view text);
  /// Replaces the live line, at most ten times a second; cut to the width of the terminal.
  void show_live(std::string_view line);

 private:
  void clear_live();

  std::FILE* out_;
  Display display_;
  bool live_shown_ = false;
  std::chrono::steady_clock::time_point last_shown_{};
};

/// The first `columns` code points of UTF-8 text.
std::string_view cut_to_width(std::string_view text, std::size_t columns);

}  // namespace dml
