// Collectives left out, and transfers of another microbatch.
#include <fmt/format.h>

#include <cstring>
#include <map>
#include <memory>

#include "kernels/error.h"
#include "tests/faults/sites.h"

namespace dml {
namespace {

bool is_collective(const Task& task) { return task.kind == TaskKind::all_reduce || task.kind == TaskKind::all_gather; }

/// The name of the first weight of the bucket that begins there: buckets have other numbers on other stages.
const std::string& bucket_name(const FaultScene& scene, std::int64_t begin) {
  for (const Segment& segment : scene.inputs.layout.segments) {
    if (segment.begin == begin) return segment.spec.name;
  }
  throw InternalError(fmt::format("no segment begins at {}", begin));
}

/// The same on all ranks of the group, and on no other.
std::string name_of_group(const FaultScene& scene, const Task& task) {
  const TaskId& id = task.id;
  if (task.axis == Axis::world) return "totals/world";
  if (task.queue == QueueId::tensor_comm) {
    return fmt::format("tensor/d{}/m{}.n{}.{}", id.replica, id.microbatch, id.operation, scene.node(task).name);
  }
  const std::string& bucket = bucket_name(scene, scene.inputs.tasks.work_of(task).begin);
  if (task.axis == Axis::pipeline) return fmt::format("tied/d{}.t{}/{}", id.replica, id.tensor, bucket);
  return fmt::format("data/p{}.t{}/{}", scene.inputs.own_stages.front(), id.tensor, bucket);
}

/// What one microbatch sent, for the one behind it.
struct Sent {
  TensorView view;
  std::shared_ptr<std::vector<std::byte>> bytes;
  Instruction* instruction = nullptr;
};

void swap_sends(const Sent& before, Instruction& send, const Task& task) {
  before.instruction->post = [before, post = before.instruction->post] {
    std::memcpy(before.bytes->data(), before.view.data, before.bytes->size());
    return post();
  };
  const TensorView copy{before.bytes->data(), before.view.dtype, before.view.shape};
  send.post = [before, copy, group = send.communicator, peer = task.peer, channel = task.channel] {
    return group->send(copy, peer, channel);
  };
}

}  // namespace

std::vector<Site> dropped_collectives(const FaultScene& scene) {
  std::vector<Site> sites;
  for (Instruction& instruction : scene.instructions) {
    const Task& task = scene.task(instruction);
    if (instruction.kind != Instruction::Kind::post || !is_collective(task)) continue;
    // Without replicas and stages, one group of tensor ranks holds the whole loss.
    if (task.axis == Axis::world && task.queue == QueueId::data_comm &&
        scene.inputs.groups.world->size() == scene.inputs.place.size) {
      continue;
    }
    const auto plant = [&instruction] { instruction.post = [] { return Ticket{0}; }; };
    sites.push_back({fmt::format("drop/{}", name_of_group(scene, task)), plant});
  }
  return sites;
}

std::vector<Site> swapped_sends(const FaultScene& scene) {
  std::vector<Site> sites;
  std::map<std::pair<ValueId, int>, Sent> last;  // by value and channel
  for (Instruction& instruction : scene.instructions) {
    const Task& task = scene.task(instruction);
    if (instruction.kind != Instruction::Kind::post || task.kind != TaskKind::send) continue;
    const TensorView view = scene.place_of(task.value, task.id.microbatch);
    Sent& before = last[{task.value, task.channel}];
    if (before.instruction != nullptr && before.view.num_bytes() == view.num_bytes()) {
      const auto plant = [before, &instruction, &task] { swap_sends(before, instruction, task); };
      sites.push_back({fmt::format("swap/send/{}/m{}.{}", scene.coordinate(), task.id.microbatch,
                                   scene.graph(0).value(task.value).name),
                       plant});
    }
    before = {view, std::make_shared<std::vector<std::byte>>(view.num_bytes()), &instruction};
  }
  return sites;
}

}  // namespace dml
