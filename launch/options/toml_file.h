// TOML as config files and hardware files are written in it: what these two readers share of toml++.
#pragma once

#include <string>

#include <toml++/toml.h>

namespace dml {

/// Throws UsageError with `name`, the line and what is wrong there.
toml::table parse_toml(const std::string& text, const std::string& name);

}  // namespace dml
