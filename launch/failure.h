// From an exception to what a person and a script see: one line on standard error, and an exit code.
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

#include "runtime/comm/communicator.h"

namespace dml {

namespace exit_code {
inline constexpr int kDone = 0;
inline constexpr int kCheckFailed = 1;    ///< a comparison or check failed
inline constexpr int kBadInput = 2;       ///< options, files, models, data
inline constexpr int kNotFinite = 3;      ///< loss or gradient
inline constexpr int kCommunication = 4;  ///< deadline, lost rank
inline constexpr int kDevice = 5;         ///< device or memory
inline constexpr int kStopped = 75;       ///< by a signal, and saved: start again (EX_TEMPFAIL)
inline constexpr int kInternal = 70;      ///< a bug of ours
}  // namespace exit_code

struct Failure {
  int exit_code = exit_code::kInternal;
  std::string text;          ///< one line
  bool may_be_echo = false;  ///< a broken connection: another rank says the cause, or is about to
  bool speaks = false;       ///< this rank is the one to tell it, whatever its number
};

/// What the exception comes to. The text of bugs says that they are.
Failure describe(const std::exception_ptr& error);

/// A failure that is one rank's among several, with its own exit code; the text names the rank.
class RankError : public std::runtime_error {
 public:
  RankError(int rank, const Failure& failure);
  int exit_code() const { return exit_code_; }

 private:
  int exit_code_;
};

/// Prints "dmltrain: error: ..." and ends this process, and with MPI all others, with the failure's exit code. Where
/// all ranks fail alike rank 0 speaks for them: the others wait a little, and speak, with their rank, only if they are
/// still there. A rank that only saw a connection break waits longer, for the one that broke it. Of a lost host one
/// rank speaks at once: the launcher may be about to end all; the others wait as for who broke a connection. Where
/// others are lost, the launcher of this host ends too.
[[noreturn]] void report_and_exit(const Failure& failure, const LauncherEnvironment& launcher);

/// "dmltrain: error: text", and the rank before the text where it is not rank 0's input error or named already.
std::string failure_line(const Failure& failure, const LauncherEnvironment& launcher);

}  // namespace dml
