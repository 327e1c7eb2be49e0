// A command line or configuration file that cannot be followed: one line that names the option (exit 2).
#pragma once

#include "kernels/error.h"

namespace dml {

class UsageError : public Error {
 public:
  using Error::Error;
};

}  // namespace dml
