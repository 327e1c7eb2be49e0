// Text and Markdown as roff with the macros of man(7).
#pragma once

#include <string>
#include <string_view>

namespace dml {

/// `text` such that roff prints it as it is, also where a line begins with a dot or a quote. Characters beyond ASCII
/// stand as named ones.
std::string roff_text(std::string_view text);

/// A topic of help without its title: headings, paragraphs, lists, tables and code. A table stands as it was written.
std::string roff_of_markdown(std::string_view markdown);

}  // namespace dml
