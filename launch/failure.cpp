#include "launch/failure.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <new>
#include <system_error>
#include <thread>

#include "kernels/error.h"
#include "launch/cluster/launcher_end.h"
#include "runtime/comm/host_watch.h"

namespace dml {
namespace {

constexpr std::chrono::seconds kRankZeroFirst{2};
constexpr std::chrono::seconds kCauseFirst{4};

std::string one_line(std::string text) {
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos;) text.replace(at, 1, "; ");
  while (text.ends_with("; ")) text.erase(text.size() - 2);
  return text;
}

Failure failed(int code, const std::exception& error) { return {code, one_line(error.what())}; }

Failure bug(const std::exception& error) {
  return {exit_code::kInternal, "internal error, a bug of dmltrain: " + one_line(error.what())};
}

Failure describe_library_error(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::invalid_argument& e) {
    return failed(exit_code::kBadInput, e);
  } catch (const std::filesystem::filesystem_error& e) {
    return {exit_code::kBadInput, fmt::format("{}: {}", e.path1().string(), one_line(e.code().message()))};
  } catch (const std::bad_alloc&) {
    return {exit_code::kDevice, "out of memory: use a smaller batch, more microbatches, or more ranks (--p, --t)"};
  } catch (const std::system_error& e) {
    return failed(exit_code::kDevice, e);
  } catch (const std::exception& e) {
    return bug(e);
  } catch (...) {
    return {exit_code::kInternal, "internal error, a bug of dmltrain: an exception of unknown type"};
  }
}

}  // namespace

Failure describe(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const RankError& e) {
    return failed(e.exit_code(), e);
  } catch (const NotFiniteError& e) {
    return failed(exit_code::kNotFinite, e);
  } catch (const TimeoutError& e) {
    return failed(exit_code::kCommunication, e);
  } catch (const LostHostError& e) {
    Failure failure = failed(exit_code::kCommunication, e);
    failure.speaks = e.speaks();
    failure.may_be_echo = !failure.speaks;
    return failure;
  } catch (const CommError& e) {
    Failure failure = failed(exit_code::kCommunication, e);
    failure.may_be_echo = true;
    return failure;
  } catch (const DeviceError& e) {
    return failed(exit_code::kDevice, e);
  } catch (const Error& e) {
    return failed(exit_code::kBadInput, e);
  } catch (...) {
    return describe_library_error(error);
  }
}

RankError::RankError(int rank, const Failure& failure)
    : std::runtime_error(failure.text.starts_with("rank ") ? failure.text
                                                           : fmt::format("rank {}: {}", rank, failure.text)),
      exit_code_(failure.exit_code) {}

std::string failure_line(const Failure& failure, const LauncherEnvironment& launcher) {
  const bool of_all = launcher.size <= 1 || (launcher.rank == 0 && failure.exit_code == exit_code::kBadInput);
  const std::string rank = of_all || failure.text.starts_with("rank ") ? "" : fmt::format("rank {}: ", launcher.rank);
  return fmt::format("dmltrain: error: {}{}", rank, failure.text);
}

void report_and_exit(const Failure& failure, const LauncherEnvironment& launcher) {
  if (launcher.size > 1 && !failure.speaks) {
    if (launcher.rank != 0) std::this_thread::sleep_for(kRankZeroFirst);
    if (failure.may_be_echo) std::this_thread::sleep_for(kCauseFirst);
  }
  std::fflush(stdout);
  fmt::print(stderr, "{}\n", failure_line(failure, launcher));
  std::fflush(stderr);
  if (launcher.size > 1 && failure.exit_code == exit_code::kCommunication) end_launcher_later();
  exit_all(failure.exit_code);
}

}  // namespace dml
