// The rank of a trace that only its file's name tells.
#pragma once

#include <optional>
#include <string_view>

namespace dml {

/// The number that stands behind the first `word` in `name`, such as 5 in "a_rank_5_b" behind "_rank_"; empty where
/// there is none.
std::optional<int> number_after(std::string_view name, std::string_view word);

/// Of "trace.rank3.json", "rank_3.json", "worker-rank-3.pt.trace.json".
std::optional<int> rank_in_name(std::string_view name);

}  // namespace dml
