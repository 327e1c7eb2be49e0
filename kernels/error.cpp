#include "kernels/error.h"

namespace dml {

void assertion_failed(const char* condition, const char* file, int line, const std::string& detail) {
  std::string name = file;
  const auto slash = name.find_last_of('/');
  if (slash != std::string::npos) name.erase(0, slash + 1);
  throw InternalError("internal error: " + std::string(condition) + " does not hold (" + name + ":" +
                      std::to_string(line) + "): " + detail);
}

}  // namespace dml
