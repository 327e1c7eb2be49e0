// The texts of a training run: first page, step line, final tables. Pure functions from records to text.
#pragma once

#include <string>

#include "launch/terminal/style.h"
#include "runtime/records.h"

namespace dml {

/// Model, data, layout, backend, and who owns what; at most `max_rows` ranks are listed, then how many more there are.
std::string first_page(const RunPlan& plan, Style style, int max_rows = 32);

/// "step 12/150 loss 3.2187 norm 1.84 lr 3.0e-3 | 41.2 ms 24.9k tok/s | compute 58% ... | 46.3 GFLOP/s 19% of peak".
/// Steps count from 1 here. Accuracy and validation loss stand after the loss where there are any.
std::string step_line(const StepRecord& record);

/// Where the time of each rank's mean step went, and the memory planned and used.
std::string rank_table(const RunSummary& summary, Style style, int max_rows = 32);

/// Per kind of communication: count, bytes, mean time, GB/s (bytes by time) and bus GB/s (nccl-tests' factors).
std::string comm_table(const RunSummary& summary, Style style);

/// Bytes over the wire per byte of the buffer, by nccl-tests: 2(n-1)/n of an all-reduce, (n-1)/n of an all-gather or
/// reduce-scatter, else 1.
double bus_factor(const std::string& kind, int group_size);

/// Both tables, the text sample, and what the run came to.
std::string last_page(const RunSummary& summary, Style style);

}  // namespace dml
