// Facts as JSON: between ranks, and for `--json`. Keys are the names of the members.
#pragma once

#include <string>
#include <vector>

#include "launch/doctor/facts.h"

namespace dml {

/// What a rank knows alone, before it has talked to others.
struct RankKnowledge {
  HostFacts host;
  RankFacts rank;
};
std::string to_text(const RankKnowledge& knowledge);
RankKnowledge knowledge_of(const std::string& text);

/// What a rank found out together with others. Disk: on the first rank of each host. Training: of its group.
struct RankMeasurements {
  DiskFacts disk;
  double clock_ahead_s = 0;
  std::vector<LinkFacts> links;
  DeviceFacts device;
  TrainingFacts training;
};
std::string to_text(const RankMeasurements& measurements);
RankMeasurements measurements_of(const std::string& text);

}  // namespace dml
