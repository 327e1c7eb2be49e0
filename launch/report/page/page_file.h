// The HTML, CSS and JavaScript files of this folder and of report/run/, part of the program.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dml {

/// The text of one of these files. Throws InternalError where there is none.
std::string_view page_file(std::string_view name);

/// The file `name` with each {{other file}} in it replaced by that file's text, and each {{word}} by what `words` says.
std::string filled_page(std::string_view name, const std::vector<std::pair<std::string, std::string>>& words);

/// JSON that may stand inside a <script>: "<" is written as an escape, so that no text of it ends or opens an element.
std::string json_for_page(std::string_view json);

}  // namespace dml
