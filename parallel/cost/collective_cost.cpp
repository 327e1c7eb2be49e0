#include "parallel/cost/collective_cost.h"

#include <algorithm>
#include <cmath>

namespace dml {
namespace {

/// Steps, and the bytes that pass one rank's link in one direction, as a part of all.
struct Volume {
  double steps = 0;
  double part = 0;
};

double log2_up(double ranks) { return std::ceil(std::log2(ranks)); }

// A ring passes blocks of 1/n on: n-1 of them gather or scatter everything. A broadcast is pipelined along it.
Volume ring(CommKind kind, double n) {
  switch (kind) {
    case CommKind::send: return {1, 1};
    case CommKind::all_reduce: return {2 * (n - 1), 2 * (n - 1) / n};
    case CommKind::all_gather:
    case CommKind::reduce_scatter: return {n - 1, (n - 1) / n};
    case CommKind::broadcast: return {n - 1, 1};
  }
  return {};
}

// Up the trees and down again; gathering halves the distance in each step instead (recursive doubling).
Volume tree(CommKind kind, double n) {
  switch (kind) {
    case CommKind::send: return {1, 1};
    case CommKind::all_reduce: return {2 * log2_up(n), 2};
    case CommKind::all_gather:
    case CommKind::reduce_scatter: return {log2_up(n), (n - 1) / n};
    case CommKind::broadcast: return {log2_up(n), 1};
  }
  return {};
}

// All blocks at once; a broadcast goes along a binomial tree, the whole of it in each step.
Volume direct(CommKind kind, double n) {
  switch (kind) {
    case CommKind::send: return {1, 1};
    case CommKind::all_reduce: return {2, 2 * (n - 1) / n};
    case CommKind::all_gather:
    case CommKind::reduce_scatter: return {1, (n - 1) / n};
    case CommKind::broadcast: return {log2_up(n), log2_up(n)};
  }
  return {};
}

double seconds_of(const Volume& volume, double bytes, const Link& link) {
  return volume.steps * link.latency + volume.part * bytes / link.bytes_per_s;
}

}  // namespace

std::string_view name_of(CommKind kind) {
  switch (kind) {
    case CommKind::send: return "send";
    case CommKind::all_reduce: return "all_reduce";
    case CommKind::all_gather: return "all_gather";
    case CommKind::reduce_scatter: return "reduce_scatter";
    case CommKind::broadcast: return "broadcast";
  }
  return "";
}

std::string_view name_of(CollectiveAlgorithm algorithm) {
  switch (algorithm) {
    case CollectiveAlgorithm::automatic: return "automatic";
    case CollectiveAlgorithm::ring: return "ring";
    case CollectiveAlgorithm::tree: return "tree";
    case CollectiveAlgorithm::direct: return "direct";
  }
  return "";
}

double seconds_of(CommKind kind, CollectiveAlgorithm algorithm, double bytes, int ranks, const Link& link) {
  if (ranks <= 1) return 0;
  switch (algorithm) {
    case CollectiveAlgorithm::ring: return seconds_of(ring(kind, ranks), bytes, link);
    case CollectiveAlgorithm::tree: return seconds_of(tree(kind, ranks), bytes, link);
    case CollectiveAlgorithm::direct: return seconds_of(direct(kind, ranks), bytes, link);
    case CollectiveAlgorithm::automatic: break;
  }
  return std::min(seconds_of(ring(kind, ranks), bytes, link), seconds_of(tree(kind, ranks), bytes, link));
}

}  // namespace dml
