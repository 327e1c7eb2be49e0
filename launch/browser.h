// Shows a file to the person at the machine.
#pragma once

#include <string>

namespace dml {

/// Starts what the desktop opens such a file with, and does not wait for it. False where there is no such program.
bool open_in_browser(const std::string& path);

}  // namespace dml
