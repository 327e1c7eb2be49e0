// The HTML, CSS and JavaScript files of launch/report, part of the program: what pages share stands in this folder,
// what one report alone has beside that report.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dml {

/// The text of one of these files. Throws InternalError where there is none.
std::string_view page_file(std::string_view name);

/// The file `name` with each {{word}} in it replaced by what `words` says, and each {{other file}} by that file, filled
/// too.
std::string filled_page(std::string_view name, const std::vector<std::pair<std::string, std::string>>& words);

/// JSON that may stand inside a <script>: "<" is written as an escape, so that no text of it ends or opens an element.
std::string json_for_page(std::string_view json);

}  // namespace dml
