// Schedules and their simulation against published numbers.
#include "parallel/simulate/schedule_simulation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "parallel/pipeline/actions.h"

namespace dml {
namespace {

using nlohmann::json;

json load(const std::string& name) {
  return json::parse(std::ifstream(std::string(DML_TEST_DATA) + "/schedules/" + name));
}

Pipeline pipeline_of(const ScheduleDef& schedule, int positions, int chunks, int microbatches, const StageCost& cost) {
  Pipeline pipeline{.placement = Placement(positions, chunks, schedule.placement), .microbatches = microbatches};
  pipeline.costs.assign(static_cast<std::size_t>(pipeline.placement.num_stages()), cost);
  return pipeline;
}

ScheduleTimes simulate(const ScheduleDef& schedule, const Pipeline& pipeline) {
  return simulate(schedule.orders(pipeline), pipeline, schedule.copies);
}

double max_idle(const ScheduleTimes& times) {
  double result = 0;
  for (const PositionTimes& position : times.positions) result = std::max(result, times.makespan - position.busy);
  return result;
}

Pipeline pipeline_of_row(const json& row, const ScheduleDef& schedule, int chunks) {
  const double parts = chunks;
  const StageCost cost{.forward = row["tf"].get<double>() / parts,
                       .input_grad = row["tb"].get<double>() / parts,
                       .weight_grad = row["tw"].get<double>() / parts,
                       .activations = row["m_b"],
                       .weight_inputs = row["m_w"]};
  Pipeline pipeline = pipeline_of(schedule, row["stages"], chunks, row["microbatches"], cost);
  pipeline.latency = row["tcomm"];
  return pipeline;
}

TEST(ZeroBubblePaper, BubbleRatesAreThePublishedFourDecimals) {
  const json file = load("zero_bubble.json");
  for (const json& row : file["rows"]) {
    for (const std::string name : {"1f1b", "zb-h1", "zb-h2", "zb-1p", "zb-2p"}) {
      const ScheduleDef& schedule = find_schedule(name);
      const ScheduleTimes times = simulate(schedule, pipeline_of_row(row, schedule, 1));
      EXPECT_EQ(std::round(times.bubble_rate * 1e4), std::round(row["bubble_rate"][name].get<double>() * 1e4))
          << row["model"] << " " << name << " " << times.bubble_rate;
      EXPECT_NEAR(times.cost, row["reproduced_cost_ms"][name].get<double>(), 1e-3) << row["model"] << " " << name;
    }
  }
}

TEST(ZeroBubblePaper, SearchedSchedulesKeepTheirMemory) {
  const json file = load("zero_bubble.json");
  for (const json& row : file["rows"]) {
    for (const auto& [name, activations] : std::map<std::string, int>{{"zb-1p", 1}, {"zb-2p", 2}}) {
      const ScheduleDef& schedule = find_schedule(name);
      const double limit = activations * row["stages"].get<double>() * row["m_b"].get<double>();
      for (const PositionTimes& position : simulate(schedule, pipeline_of_row(row, schedule, 1)).positions)
        EXPECT_LE(position.peak_memory, limit) << row["model"] << " " << name;
    }
  }
}

TEST(ZeroBubblePaper, InterleavedIsTheEventSimulations) {
  const json file = load("zero_bubble.json");
  for (const json& row : file["rows"]) {
    const ScheduleDef& schedule = find_schedule("interleaved");
    const ScheduleTimes times = simulate(schedule, pipeline_of_row(row, schedule, row["chunks"]));
    EXPECT_NEAR(times.bubble_rate, row["interleaved_event_simulation"].get<double>(), 1e-6) << row["model"];
  }
}

const std::map<std::string, std::string> kNames{{"1f1b", "1f1b"},
                                                {"interleave", "interleaved"},
                                                {"zb1p", "zb-h1"},
                                                {"1f1b_overlap", "1f1b-overlap"},
                                                {"dualpipe", "dualpipe"},
                                                {"1f1b_interleave_overlap", "interleaved-overlap"},
                                                {"dualpipe_v", "dualpipe-v"}};

/// A time of the file is one number, or one per stage.
double time_of(const json& times, const std::string& op, int stage, double otherwise) {
  if (!times.contains(op)) return otherwise;
  return times[op].is_object() ? times[op][std::to_string(stage)].get<double>() : times[op].get<double>();
}

Pipeline pipeline_of_case(const json& entry, const ScheduleDef& schedule) {
  const int positions = entry["devices"];
  const int chunks = schedule.copies == 2 ? 2 : entry["stages"].get<int>() / positions;
  Pipeline pipeline = pipeline_of(schedule, positions, chunks, entry["microbatches"], {});
  pipeline.latency = entry["p2p"];
  const json& times = entry["times"];
  for (int stage = 0; stage < pipeline.placement.num_stages(); ++stage) {
    StageCost& cost = pipeline.costs[static_cast<std::size_t>(stage)];
    cost.forward = time_of(times, "F", stage, 0);
    const double backward = time_of(times, "B", stage, 0);
    cost.input_grad = time_of(times, "D", stage, backward);
    cost.weight_grad = time_of(times, "W", stage, 0);
    cost.overlapped = time_of(times, "FB", stage, cost.forward + backward);
  }
  return pipeline;
}

/// The file writes F0, 4D1 and (0F7|4B0), and leaves the stage out where a device has one.
std::string in_pytorchs_grammar(const json& lines) {
  std::string text;
  for (std::size_t device = 0; device < lines.size(); ++device) {
    std::istringstream cells(lines[device].get<std::string>());
    for (std::string cell; cells >> cell;) {
      std::string converted;
      char previous = '(';
      for (const char c : cell) {
        const bool is_letter = std::isalpha(static_cast<unsigned char>(c)) != 0;
        if (is_letter && std::isdigit(static_cast<unsigned char>(previous)) == 0) converted += std::to_string(device);
        converted += c == 'D' ? 'I' : c == '|' ? ';' : c;
        previous = c;
      }
      text += converted + (cell.front() == '(' ? "OVERLAP_F_B," : ",");
    }
    text += "\n";
  }
  return text;
}

class PublishedMakespans : public ::testing::Test {
 protected:
  static void check(const json& entry, const ScheduleTimes& times) {
    EXPECT_NEAR(times.makespan, entry["makespan"].get<double>(), 1e-9 * times.makespan) << entry["id"];
    EXPECT_NEAR(max_idle(times), entry["max_idle"].get<double>(), 1e-9 * times.makespan) << entry["id"];
    for (std::size_t i = 0; i < times.positions.size(); ++i) {
      const json& busy = entry["busy"];
      EXPECT_NEAR(times.positions[i].busy, (busy.is_array() ? busy[i] : busy).get<double>(), 1e-9 * times.makespan);
    }
  }
  json cases_ = load("makespans.json")["cases"];
};

TEST_F(PublishedMakespans, OfGeneratedSchedules) {
  for (const json& entry : cases_) {
    const ScheduleDef& schedule = find_schedule(kNames.at(entry["schedule"]));
    check(entry, simulate(schedule, pipeline_of_case(entry, schedule)));
  }
}

TEST_F(PublishedMakespans, OfThePublishedOrders) {
  int compared = 0;
  for (const json& entry : cases_) {
    if (!entry.contains("order")) continue;
    const ScheduleDef& schedule = find_schedule(kNames.at(entry["schedule"]));
    const Pipeline pipeline = pipeline_of_case(entry, schedule);
    const ParsedSchedule read = parse_actions(in_pytorchs_grammar(entry["order"]));
    EXPECT_EQ(read.microbatches, pipeline.microbatches);
    check(entry, simulate(read.orders, pipeline));
    // Ours puts the weight gradients of zb-h1 elsewhere; all others are the same, action by action.
    if (schedule.name != "zb-h1") {
      EXPECT_EQ(read.orders, schedule.orders(pipeline)) << entry["id"];
    }
    ++compared;
  }
  EXPECT_GE(compared, 6);
}

/// Closed forms, over sizes and times, where they hold.
class ClosedForms : public ::testing::Test {
 protected:
  template <typename Check>
  void for_each(int chunks, const Check& check) {
    for (const auto& [f, d, w] : {std::array{1.0, 1.0, 1.0}, {2.0, 3.0, 1.5}, {1.3, 1.1, 0.6}, {1.0, 2.0, 0.0}}) {
      for (int p = 2; p <= 8; ++p) {
        for (int m = p; m <= 4 * p; m += p) check(p, m, StageCost{f, d, w, 0.9 * (f + d + w)}, chunks);
      }
    }
  }
  static ScheduleTimes run(std::string_view name, int p, int m, const StageCost& cost, int chunks = 1) {
    const ScheduleDef& schedule = find_schedule(name);
    return simulate(schedule, pipeline_of(schedule, p, chunks, m, cost));
  }
};

TEST_F(ClosedForms, Makespans) {
  for_each(1, [](int p, int m, const StageCost& c, int) {
    const double f = c.forward, d = c.input_grad, w = c.weight_grad;
    EXPECT_NEAR(run("gpipe", p, m, c).makespan, (m + p - 1) * (f + d + w), 1e-9);
    EXPECT_NEAR(run("1f1b", p, m, c).makespan, (m + p - 1) * (f + d + w), 1e-9);
    if (w <= f && w <= d) {
      EXPECT_NEAR(run("zb-h1", p, m, c).makespan, m * (f + d + w) + (p - 1) * (f + d - w), 1e-9);
    }
    if (m >= 2 * p - 1) {
      EXPECT_NEAR(run("1f1b-overlap", p, m, c).makespan, p * (f + d + w) + (m - 1) * c.overlapped, 1e-9);
    }
  });
}

TEST_F(ClosedForms, InterleavedMakespans) {
  for_each(3, [](int p, int m, const StageCost& c, int v) {
    const double pass = c.forward + c.input_grad + c.weight_grad;
    EXPECT_NEAR(run("interleaved", p, m, c, v).makespan, m * v * pass + (p - 1) * pass, 1e-9);
    if (m < 2 * p) return;
    EXPECT_NEAR(run("interleaved-overlap", p, m, c, v).makespan,
                (p - 1) * pass + (p * (v - 1) + 1) * pass + (m * v - p * (v - 1) - 1) * c.overlapped, 1e-9);
  });
}

TEST_F(ClosedForms, NoBubbleOfZbVWhereAllPassesTakeTheSame) {
  for (int p = 2; p <= 8; ++p) {
    const ScheduleTimes times = run("zb-v", p, 4 * p, StageCost{1, 1, 1}, 2);
    EXPECT_NEAR(times.bubble_rate, 0, 1e-12) << p;
  }
}

TEST_F(ClosedForms, IdleTimesOfDualPipes) {
  for (const double fb : {3.0, 2.5, 2.0}) {
    for (const int p : {2, 4, 6}) {
      for (const int m : {2 * p, 3 * p, 5 * p}) {
        const double idle = fb + 2 - 3;
        EXPECT_NEAR(max_idle(run("dualpipe-v", p, m, StageCost{1, 1, 1, fb}, 2)), (p - 1) * idle, 1e-9);
        EXPECT_NEAR(max_idle(run("dualpipe", 2 * p, 4 * m, StageCost{1, 1, 1, fb}, 2)), (p - 1) * idle, 1e-9);
      }
    }
  }
}

TEST_F(ClosedForms, FewMicrobatches) {
  for (int m = 1; m <= 6; ++m) {
    const StageCost c{2, 3, 1.5};
    EXPECT_NEAR(run("1f1b", 6, m, c).makespan, (m + 5) * 6.5, 1e-9);
    EXPECT_NEAR(run("zb-h1", 6, m, c).makespan, (m + 5) * 5 + 1.5, 1e-9) << m;
  }
}

TEST(ScheduleSimulation, TimesOfActionsAreThoseOfTheirOrder) {
  const ScheduleDef& schedule = find_schedule("1f1b-overlap");
  const Pipeline pipeline{.placement = Placement(2), .microbatches = 2};
  const ScheduleTimes times = simulate(schedule, pipeline);
  ASSERT_EQ(times.actions.size(), 8U);  // 0F0 0F1 0B0 0B1, 1F0 (1F1 1B0) 1B1
  EXPECT_EQ(times.actions[5].action, (Action{Phase::forward, 1, 1, true, true}));
  EXPECT_EQ(times.actions[5].start, 2);
  EXPECT_EQ(times.actions[5].end, 5);
  EXPECT_EQ(times.actions[6].start, times.actions[5].start);
  EXPECT_EQ(times.actions[6].end, times.actions[5].end);
  EXPECT_EQ(times.makespan, 9);
  EXPECT_EQ(times.positions[1].busy, 6);
  EXPECT_EQ(times.positions[1].first_start, 1);
}

}  // namespace
}  // namespace dml
