#include "launch/doctor/examination.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <vector>

#include "launch/doctor/compute_probe.h"
#include "launch/doctor/disk_probe.h"
#include "launch/doctor/facts_json.h"
#include "launch/doctor/link_probe.h"
#include "launch/doctor/transfer_probe.h"

namespace dml {
namespace {

/// Collective. The texts of all ranks, on all ranks.
std::vector<std::string> gather_texts(Communicator& world, const std::string& mine) {
  const auto size = static_cast<std::size_t>(world.size());
  std::vector<std::int64_t> lengths(size);
  auto length = static_cast<std::int64_t>(mine.size());
  world.wait(world.all_gather({lengths.data(), DataType::i64, Shape{world.size()}}, {&length, DataType::i64, Shape{1}},
                              std::vector<std::int64_t>(size, 1)));
  const std::int64_t total = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  std::string all(static_cast<std::size_t>(total), '\0');
  std::string own = mine;
  world.wait(
      world.all_gather({all.data(), DataType::u8, Shape{total}}, {own.data(), DataType::u8, Shape{length}}, lengths));
  std::vector<std::string> texts;
  std::size_t begin = 0;
  for (const std::int64_t of_rank : lengths) {
    texts.push_back(all.substr(begin, static_cast<std::size_t>(of_rank)));
    begin += static_cast<std::size_t>(of_rank);
  }
  return texts;
}

/// All ranks, and each host once, as its first rank sees it.
void add_knowledge(DoctorFacts& facts, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    RankKnowledge knowledge = knowledge_of(text);
    const bool is_first = std::none_of(facts.hosts.begin(), facts.hosts.end(),
                                       [&](const HostFacts& host) { return host.name == knowledge.host.name; });
    if (is_first) facts.hosts.push_back(std::move(knowledge.host));
    facts.ranks.push_back(std::move(knowledge.rank));
  }
}

std::vector<std::string> hosts_of_ranks(const DoctorFacts& facts) {
  std::vector<std::string> hosts;
  for (const RankFacts& rank : facts.ranks) hosts.push_back(rank.host);
  return hosts;
}

bool is_first_of_host(const DoctorFacts& facts, int rank) {
  const auto first = std::find_if(facts.ranks.begin(), facts.ranks.end(), [&](const RankFacts& one) {
    return one.host == facts.ranks[static_cast<std::size_t>(rank)].host;
  });
  return first->rank == rank;
}

void add_measurements(DoctorFacts& facts, const std::vector<std::string>& texts) {
  for (std::size_t rank = 0; rank < texts.size(); ++rank) {
    RankMeasurements measured = measurements_of(texts[rank]);
    facts.ranks[rank].clock_ahead_s = measured.clock_ahead_s;
    facts.links.insert(facts.links.end(), measured.links.begin(), measured.links.end());
    if (!measured.device.name.empty()) facts.devices.push_back(measured.device);
    if (measured.training.first_rank == static_cast<int>(rank)) facts.trainings.push_back(measured.training);
    const auto host = std::find_if(facts.hosts.begin(), facts.hosts.end(),
                                   [&](const HostFacts& one) { return one.name == facts.ranks[rank].host; });
    if (!measured.disk.folder.empty()) host->disk = std::move(measured.disk);
  }
}

/// On processors where GPUs fail: what is wrong is known then, and a training on them would end all that is.
TrainingFacts known_training(Communicator& world, const ExaminationPlan& plan, const DeviceFacts& device) {
  if (!any_failed(world, !device.failure.empty() || !device.transfer_failure.empty()))
    return train_known(world, plan.rank.threads, plan.device);
  TrainingFacts training = train_known(world, plan.rank.threads, "cpu");
  training.layout += ", on processors";
  return training;
}

}  // namespace

DoctorFacts examine(Communicator& world, const ExaminationPlan& plan) {
  DoctorFacts facts;
  facts.backend = world.backend();
  RankKnowledge mine{plan.host, plan.rank};
  mine.rank.rank = world.rank();
  add_knowledge(facts, gather_texts(world, to_text(mine)));
  RankMeasurements measured;
  if (is_first_of_host(facts, world.rank())) measured.disk = probe_disk(plan.run_folder);
  world.wait(world.barrier());  // nothing is measured while a disk is
  measured.clock_ahead_s = clock_ahead(world);
  measured.links = measure_links(world, ranks_to_link(hosts_of_ranks(facts)));
  facts.collectives = measure_collectives(world, plan.hardware ? &*plan.hardware : nullptr);
  facts.calibration = plan.hardware ? plan.hardware->name : "";
  measured.device = probe_kernels(world, plan.device, plan.transfer_deadline);
  measured.training = known_training(world, plan, measured.device);
  add_measurements(facts, gather_texts(world, to_text(measured)));
  return facts;
}

}  // namespace dml
