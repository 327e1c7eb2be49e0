// Plants the fault that the environment names: DML_FAULT=SITE, on every rank that has that site. DML_FAULT=list plants
// nothing; each rank appends its sites, a line each, to the file that DML_FAULT_LIST names.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <set>

#include "kernels/error.h"
#include "models/op.h"
#include "tests/faults/sites.h"

namespace dml {
namespace {

std::vector<Site> sites_of(const FaultScene& scene) {
  std::vector<Site> all;
  for (const auto family :
       {dropped_collectives, swapped_sends, shifted_shards, wrong_means, stale_weights, lost_addends}) {
    for (Site& site : family(scene)) all.push_back(std::move(site));
  }
  return all;
}

/// One write, so that ranks do not write into each other's lines.
void append_list(const char* path, const std::vector<Site>& sites) {
  std::string lines;
  for (const Site& site : sites) lines += site.name + '\n';
  std::ofstream file(path, std::ios::app);
  file << lines << std::flush;
  if (!file) throw IoError(fmt::format("cannot write the list of faults to {}", path));
}

}  // namespace

std::string FaultScene::coordinate() const {
  const int replica = inputs.tasks.tasks.front().id.replica;
  return fmt::format("d{}.p{}.t{}", replica, inputs.own_stages.front(), inputs.place.index);
}

std::vector<Instruction*> FaultScene::first_launches() const {
  std::vector<Instruction*> found;
  std::set<std::int32_t> seen;
  for (Instruction& instruction : instructions) {
    if (instruction.kind != Instruction::Kind::launch || task(instruction).node == kNone) continue;
    if (seen.insert(instruction.task).second) found.push_back(&instruction);
  }
  return found;
}

std::vector<Instruction*> FaultScene::kernels() const {
  std::vector<Instruction*> found = first_launches();
  std::erase_if(found, [&](const Instruction* launch) {
    const Task& of = task(*launch);
    return of.queue != QueueId::compute || node(of).op->is_alias;
  });
  return found;
}

bool FaultScene::may_be_unread(const Segment& segment) const {
  if (inputs.place.index == 0 || !segment.spec.sharding.is_shard()) return false;
  bool is_table = false;
  for (const Instruction* launch : kernels()) {
    const Node& reader = node(task(*launch));
    if (std::find(reader.inputs.begin(), reader.inputs.end(), segment.value) == reader.inputs.end()) continue;
    if (reader.op->name != "Gather") return false;
    is_table = true;
  }
  return is_table;
}

void plant_fault(std::span<Instruction> instructions, const ProgramInputs& inputs, const PlaceOf& place_of) {
  const char* wanted = std::getenv("DML_FAULT");
  if (wanted == nullptr || inputs.tasks.tasks.empty()) return;
  const std::vector<Site> sites = sites_of({instructions, inputs, place_of});
  if (std::string_view(wanted) == "list") {
    const char* path = std::getenv("DML_FAULT_LIST");
    append_list(path == nullptr ? "" : path, sites);
    return;
  }
  for (const Site& site : sites) {
    if (site.name == wanted) site.plant();
  }
}

}  // namespace dml
