#include "launch/doctor/facts_json.h"

#include "launch/doctor/facts_serializer.h"

namespace dml {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RankKnowledge, host, rank)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(RankMeasurements, disk, clock_ahead_s, links, device, training)

std::string to_text(const RankKnowledge& knowledge) { return nlohmann::json(knowledge).dump(); }
RankKnowledge knowledge_of(const std::string& text) { return nlohmann::json::parse(text).get<RankKnowledge>(); }

std::string to_text(const RankMeasurements& measurements) { return nlohmann::json(measurements).dump(); }
RankMeasurements measurements_of(const std::string& text) {
  return nlohmann::json::parse(text).get<RankMeasurements>();
}

}  // namespace dml
