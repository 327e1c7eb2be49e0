// The schedules: a generator each, in a file of its name. p positions, m microbatches, v chunks, position i.
// All give a valid schedule for any m >= 1: those that are defined for multiples, or for many microbatches, are
// generated for more, and the passes of microbatches that are not there are dropped.
#pragma once

#include <functional>
#include <vector>

#include "parallel/pipeline/schedule.h"

namespace dml {

/// GPipe (Huang et al. 2019): all forwards, then all backwards, both in microbatch order.
std::vector<Order> gpipe_orders(const Pipeline& pipeline);
/// 1F1B (PipeDream-flush, Narayanan et al. 2021): min(p - i - 1, m) warm-up forwards, then one forward and one backward
/// in turn: at most p - i microbatches are alive.
std::vector<Order> one_forward_one_backward_orders(const Pipeline& pipeline);
/// 1F1B whose forward and backward are one pass: 2(p - i - 1) + 1 warm-up forwards, so that the two are of different
/// microbatches and communication of one hides behind the other (Megatron-Core's combined 1F1B).
std::vector<Order> overlapped_one_forward_one_backward_orders(const Pipeline& pipeline);
/// Interleaved 1F1B (Narayanan et al. 2021): stage c·p + i is chunk c of position i; 2(p - i - 1) + (v - 1)·group
/// warm-up forwards; chunks take turns every `group` microbatches. Throws where the group is smaller than p.
std::vector<Order> interleaved_orders(const Pipeline& pipeline);
/// The same with one more warm-up forward, and each forward and backward after that as one pass.
std::vector<Order> overlapped_interleaved_orders(const Pipeline& pipeline);
/// ZB-H1 (Qi et al. 2024, arXiv 2401.10241): 1F1B with weight gradients apart; after a B one W if more than i wait.
std::vector<Order> zb_h1_orders(const Pipeline& pipeline);
/// ZB-H2 (same): 2(p - i) - 1 warm-up forwards, then B and F in turn; after a B one W if more than 2i wait.
std::vector<Order> zb_h2_orders(const Pipeline& pipeline);
/// ZB-1p (same, section 3.1): the best of a family of greedy orders for the given costs, within the memory of p
/// microbatches' activations, or the pipeline's memory limit. Throws where not even one microbatch fits.
std::vector<Order> zb_1p_orders(const Pipeline& pipeline);
/// The same within the memory of 2p microbatches' activations.
std::vector<Order> zb_2p_orders(const Pipeline& pipeline);
/// ScheduleDef::warm_up of the two.
std::vector<int> zb_1p_warm_up(const Pipeline& pipeline);
std::vector<int> zb_2p_warm_up(const Pipeline& pipeline);
/// ZB-V (same, section 7): two chunks in the shape of a V; no bubble where F, B and W take the same, 2p chunks alive.
std::vector<Order> zb_v_orders(const Pipeline& pipeline);
/// DualPipe (DeepSeek-V3, 2024): two copies of the model, microbatches enter from both ends; forward and backward of
/// opposite directions overlap. The first half of the microbatches takes stages 0 to p - 1, the others stages p to
/// 2p - 1. Throws where p is odd.
std::vector<Order> dual_pipe_orders(const Pipeline& pipeline);
/// DualPipe-V (DeepSeek; "cut in half" by Qi et al. 2025): the same on one copy of the model, two chunks in a V.
std::vector<Order> dual_pipe_v_orders(const Pipeline& pipeline);

/// Drops the actions of which `keep` is false, and dissolves the overlap of a pair that lost a half.
void keep_if(Order& order, const std::function<bool(const Action&)>& keep);

}  // namespace dml
