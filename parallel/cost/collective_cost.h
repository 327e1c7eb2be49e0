// What communication takes by the model of Hockney (1994): a message of B bytes takes latency + B / bandwidth.
#pragma once

#include <cstdint>
#include <string_view>

namespace dml {

struct Link {
  double latency = 0;      ///< seconds
  double bytes_per_s = 0;  ///< of one rank, in each direction
};

enum class CommKind : std::uint8_t { send, all_reduce, all_gather, reduce_scatter, broadcast };
std::string_view name_of(CommKind kind);
inline constexpr CommKind kCommKinds[] = {CommKind::send, CommKind::all_reduce, CommKind::all_gather,
                                          CommKind::reduce_scatter, CommKind::broadcast};

/// Who takes part in a communication.
struct CommGroup {
  int ranks = 2;
  /// Of world ranks, how far apart neighbours of the group are: 1 on the tensor axis, t on the data axis.
  int stride = 1;
  int first = 0;  ///< world rank of the first member

  int member(int place) const { return first + place * stride; }
};

/// How a collective moves data among n ranks.
/// - ring: n-1 steps for a half of an all-reduce, 1/n of the bytes in each (Patarasuk and Yuan 2009).
/// - tree: two complementary binary trees, pipelined: full bandwidth at 2 log2 n steps (Sanders, Speck, Träff 2009).
/// - direct: every rank talks to every other at once, one step for a half of an all-reduce (our own communicators).
/// - automatic: the fastest of ring and tree, as NCCL chooses.
enum class CollectiveAlgorithm : std::uint8_t { automatic, ring, tree, direct };
std::string_view name_of(CollectiveAlgorithm algorithm);
inline constexpr CollectiveAlgorithm kCollectiveAlgorithms[] = {
    CollectiveAlgorithm::automatic, CollectiveAlgorithm::ring, CollectiveAlgorithm::tree, CollectiveAlgorithm::direct};

/// Seconds among `ranks` that are joined by equal links. `bytes` are those of the whole result: of the buffer that is
/// reduced or broadcast, of the gathered one, of what is scattered. 0 for one rank.
double seconds_of(CommKind kind, CollectiveAlgorithm algorithm, double bytes, int ranks, const Link& link);

}  // namespace dml
