// Other programs: Slurm's, asked by their command lines.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace dml {

struct ProgramResult {
  bool found = true;   ///< false: there is no such program on PATH
  int exit_code = 0;   ///< 128 + the signal where one ended it
  std::string output;  ///< its standard output
  std::string errors;  ///< its standard error
};

/// Runs `words[0]`, looked up on PATH, with the rest as its arguments and `input` as its standard input, and waits for
/// its end. Throws std::system_error where the system has no process for it.
ProgramResult run_program(const std::vector<std::string>& words, std::string_view input = "");

}  // namespace dml
