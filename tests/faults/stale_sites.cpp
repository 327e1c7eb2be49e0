// Weights that miss an update, or are read as they were before it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "tests/faults/sites.h"

namespace dml {
namespace {

/// The update that is left out: the second, so that a step before it and steps behind it are as they should be.
constexpr int kLeftOut = 1;

/// A segment's weights, and how they were before the last update.
struct Weights {
  float* now = nullptr;
  std::vector<float> before;
  int updates = 0;

  void keep() { before.assign(now, now + before.size()); }
  void swap() { std::swap_ranges(before.begin(), before.end(), now); }
};

std::shared_ptr<Weights> weights_of(const FaultScene& scene, const Segment& segment) {
  return std::make_shared<Weights>(Weights{scene.inputs.buffers.parameters + segment.begin,
                                           std::vector<float>(static_cast<std::size_t>(segment.count)), 0});
}

Instruction* find_update(const FaultScene& scene) {
  for (Instruction& instruction : scene.instructions) {
    if (scene.task(instruction).kind == TaskKind::update) return &instruction;
  }
  return nullptr;
}

void leave_out_update(const FaultScene& scene, Instruction& update, const Segment& segment) {
  update.run = [weights = weights_of(scene, segment), run = update.run] {
    weights->keep();
    run();
    if (weights->updates++ == kLeftOut) weights->swap();
  };
}

/// The launches of one node, for all microbatches, and a weight that they read.
struct Use {
  const Segment* segment = nullptr;
  std::string name;
  std::vector<Instruction*> readers;
};

void read_before_update(const FaultScene& scene, Instruction& update, const Use& use) {
  const auto weights = weights_of(scene, *use.segment);
  update.run = [weights, run = update.run] {
    weights->keep();
    run();
    ++weights->updates;
  };
  for (Instruction* reader : use.readers) {
    reader->run = [weights, run = reader->run] {
      const bool stale = weights->updates > 0;
      if (stale) weights->swap();
      run();
      if (stale) weights->swap();
    };
  }
}

/// By node and segment. On one rank alone, a weight that is one step old can make less of a difference than rounding.
std::map<std::pair<NodeId, int>, Use> uses(const FaultScene& scene) {
  std::map<std::pair<NodeId, int>, Use> found;
  for (Instruction* launch : scene.kernels()) {
    const Task& task = scene.task(*launch);
    for (const ValueId input : scene.node(task).inputs) {
      const int segment = input == kNone ? -1 : scene.inputs.layout.find(input);
      if (segment < 0) continue;
      Use& use = found[{task.node, segment}];
      use.segment = &scene.inputs.layout.segments[static_cast<std::size_t>(segment)];
      use.name = fmt::format("n{}.{}", task.node, use.segment->spec.name);
      use.readers.push_back(launch);
    }
  }
  return found;
}

}  // namespace

std::vector<Site> stale_weights(const FaultScene& scene) {
  std::vector<Site> sites;
  Instruction* update = find_update(scene);
  if (update == nullptr) return sites;
  for (const Segment& segment : scene.inputs.layout.segments) {
    if (scene.may_be_unread(segment)) continue;
    sites.push_back({fmt::format("stale/update/{}/{}", scene.coordinate(), segment.spec.name),
                     [scene, update, &segment] { leave_out_update(scene, *update, segment); }});
  }
  for (auto& [key, use] : uses(scene)) {
    sites.push_back({fmt::format("stale/use/p{}/{}", scene.inputs.own_stages.front(), use.name),
                     [scene, update, use = std::move(use)] { read_before_update(scene, *update, use); }});
  }
  return sites;
}

}  // namespace dml
