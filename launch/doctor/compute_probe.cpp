#include "launch/doctor/compute_probe.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string_view>
#include <vector>

#include "kernels/error.h"
#include "launch/doctor/transfer_probe.h"
#include "runtime/device/choose_device.h"
#include "runtime/model/layout_plan.h"
#include "runtime/trainer.h"

namespace dml {
namespace {

constexpr int kMostRanks = 16;
constexpr int kSteps = 6;

/// `loss` in steps.jsonl of, on one rank,
///   dmltrain --model gpt:layers=2,width=32,heads=2,seq=32,vocab=256 --data builtin:text --batch 16 --steps 6
///            --lr 3e-3 --clip 1
constexpr double kLosses[kSteps] = {5.538870, 5.365271, 5.220917, 5.099906, 4.982692, 4.855186};

Config known_config() {
  Config config;
  config.model.source = "gpt:layers=2,width=32,heads=2,seq=32,vocab=256";
  config.data.source = "builtin:text";
  config.data.batch = 16;
  config.optimizer.learning_rate = 3e-3;
  config.optimizer.clip = 1;
  config.steps = kSteps;
  return config;
}

/// All three axes where there are ranks for them.
LayoutConfig layout_of(int ranks) {
  LayoutConfig layout;
  layout.t = ranks % 2 == 0 ? 2 : 1;
  layout.p = ranks % 4 == 0 ? 2 : 1;
  layout.d = ranks / (layout.p * layout.t);
  return layout;
}

/// Keeps the losses, nothing else.
class LossObserver : public RunObserver {
 public:
  explicit LossObserver(std::vector<double>& losses) : losses_(losses) {}

  void stepped(const StepRecord& record, const std::vector<RankStep>&) override { losses_.push_back(record.loss); }
  void traced(std::span<const RankTasks>, const Timeline&, const Mesh&,
              const std::function<std::string(const RankTasks&, const Task&)>&) override {}
  void started(const RunPlan&) override {}
  std::string checkpoint_folder() const override { return ""; }
  void finished(const RunSummary&) override {}

 private:
  std::vector<double>& losses_;
};

constexpr std::string_view kProbedModels[] = {"gpt:layers=1,width=32,heads=2,seq=16,vocab=64,dropout=0.1,tied=1",
                                              "mlp:in=16,hidden=32,out=10", "resnet18:width=8,size=16"};
constexpr std::int64_t kProbedSamples = 4;

std::vector<Graph> training_graphs() {
  std::vector<Graph> graphs;
  for (const std::string_view name : kProbedModels) {
    ModelConfig config;
    config.source = name;
    ModelSource model(config, 1);
    model.set_label(likely_label(model, config.loss));
    graphs.push_back(model.graph(kProbedSamples, true));
  }
  return graphs;
}

}  // namespace

DeviceFacts probe_kernels(Communicator& world, const std::string& device, std::chrono::milliseconds deadline) {
  const ChosenDevice chosen = choose_device(device, world);
  DeviceFacts facts;
  facts.rank = world.rank();
  if (chosen.device->shares_host_memory()) return facts;
  facts.name = chosen.device->description();
  try {
    facts.operations = compare_operations(*chosen.device, *make_cpu_device(), training_graphs());
  } catch (const DeviceError& error) {
    facts.failure = error.what();
  }
  // Operations between devices are of all ranks or of none.
  if (any_failed(world, !facts.failure.empty())) return facts;
  Transfers transfers = probe_transfers(world, *chosen.device, deadline);
  facts.transfers = std::move(transfers.checks);
  facts.transfer_failure = std::move(transfers.failure);
  return facts;
}

std::span<const double> known_losses() { return kLosses; }

TrainingFacts train_known(Communicator& world, int threads, const std::string& device) {
  const std::unique_ptr<Communicator> group = world.split(world.rank() / kMostRanks, world.rank());
  Config config = known_config();
  config.threads = threads;
  config.device = device;
  config.layout = layout_of(group->size());
  TrainingFacts facts;
  facts.first_rank = world.rank() - group->rank();
  facts.layout = fmt::format("d={} p={} t={}", config.layout.d, config.layout.p, config.layout.t);
  LossObserver observer(facts.losses);
  try {
    train(config, *group, group->rank() == 0 ? &observer : nullptr);
  } catch (const NotFiniteError& error) {  // on all ranks of the group alike
    facts.failure = error.what();
  }
  return facts;
}

}  // namespace dml
