// The error types of the whole program, and the assertion for broken invariants.
// A caller's mistake is std::invalid_argument with the values in its text; the environment's are below.
#pragma once

#include <stdexcept>
#include <string>

namespace dml {

/// Base of every error that is not a bug of ours. `launch/main.cpp` maps each subclass to an exit code.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A file cannot be read or written, or holds something other than it should (exit 2).
class IoError : public Error {
 public:
  using Error::Error;
};

/// A model, configuration or data set that cannot be trained as asked (exit 2).
class ModelError : public Error {
 public:
  using Error::Error;
};

/// A loss or gradient stopped being finite (exit 3).
class NotFiniteError : public Error {
 public:
  using Error::Error;
};

/// A peer is lost, or ranks disagree (exit 4).
class CommError : public Error {
 public:
  using Error::Error;
};

/// A wait passed its deadline (exit 4).
class TimeoutError : public CommError {
 public:
  using CommError::CommError;
};

/// A device or its memory does not suffice (exit 5).
class DeviceError : public Error {
 public:
  using Error::Error;
};

/// An invariant of the program is broken: a bug (exit 70).
class InternalError : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] void assertion_failed(const char* condition, const char* file, int line, const std::string& detail);

}  // namespace dml

/// Checks an invariant in every build type; throws InternalError with the place and the detail.
#define DML_ASSERT(condition, detail) \
  ((condition) ? void(0) : ::dml::assertion_failed(#condition, __FILE__, __LINE__, (detail)))
