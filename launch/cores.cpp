#include "launch/cores.h"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace dml {
namespace {

constexpr pid_t kSelf = 0;
/// Turns of libgomp's waiting loop before a thread sleeps: about as long as waking it takes.
constexpr const char* kBriefSpin = "2000";

/// The cores that a process may use; empty where that cannot be seen.
cpu_set_t affinity_of(pid_t process) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(process, sizeof cores, &cores) != 0) CPU_ZERO(&cores);
  return cores;
}

/// Open MPI's daemon is the parent of its ranks and is not bound itself; other launchers' are not known to be so.
bool parent_is_launcher() { return std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr; }

/// mpirun of Open MPI 4 sets the first one from --bind-to; that of Open MPI 5 only hands on what is set.
bool has_binding_policy() {
  return std::getenv("OMPI_MCA_hwloc_base_binding_policy") != nullptr ||
         std::getenv("PRTE_MCA_hwloc_default_binding_policy") != nullptr;
}

std::string cores_text(int cores) { return fmt::format("{} core{}", cores, cores == 1 ? "" : "s"); }

}  // namespace

std::vector<int> own_cores() {
  const cpu_set_t set = affinity_of(kSelf);
  std::vector<int> cores;
  for (std::size_t core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &set)) cores.push_back(static_cast<int>(core));
  return cores;
}

CoreDecision decide_cores(const CoreFacts& facts) {
  CoreDecision decision;
  CorePlan& plan = decision.plan;
  const bool may_widen = facts.launcher > facts.own && !facts.bound_on_purpose;
  plan.usable_cores = may_widen ? facts.launcher : std::max(facts.own, facts.bound_on_purpose ? facts.launcher : 0);
  plan.threads = facts.asked > 0 ? facts.asked : std::max(plan.usable_cores / facts.ranks, 1);
  decision.widen = may_widen && plan.threads > facts.own;
  if (decision.widen) {
    plan.notes.push_back(fmt::format("the launcher bound this process to {}; it uses all {} now, for {} threads a rank",
                                     cores_text(facts.own), plan.usable_cores, plan.threads));
  } else if (facts.bound_on_purpose && facts.asked == 0 && plan.threads > facts.own) {
    plan.threads = std::max(facts.own, 1);
    plan.notes.push_back(
        fmt::format("each rank keeps to the {} that the launcher was told to bind it to", cores_text(facts.own)));
  }
  if (facts.asked > 0 && plan.threads * facts.ranks > plan.usable_cores) {
    plan.notes.push_back(
        fmt::format("{} ranks of {} threads share {} on this node: time off the processor shows as core wait",
                    facts.ranks, plan.threads, cores_text(plan.usable_cores)));
  } else if (facts.ranks > plan.usable_cores) {
    plan.notes.push_back(fmt::format("{} ranks share {} on this node: time off the processor shows as core wait",
                                     facts.ranks, cores_text(plan.usable_cores)));
  }
  return decision;
}

CorePlan plan_cores(int asked_threads, int ranks, const LauncherEnvironment& launcher) {
  const cpu_set_t own = affinity_of(kSelf);
  CoreFacts facts;
  facts.own = std::max(CPU_COUNT(&own), 1);
  facts.ranks = ranks;
  facts.asked = asked_threads;
  cpu_set_t of_launcher;
  CPU_ZERO(&of_launcher);
  if (launcher.size > 0 && parent_is_launcher()) of_launcher = affinity_of(getppid());
  facts.launcher = CPU_COUNT(&of_launcher);
  facts.bound_on_purpose = has_binding_policy();
  CoreDecision decision = decide_cores(facts);
  if (decision.widen && sched_setaffinity(kSelf, sizeof of_launcher, &of_launcher) != 0) {
    decision.plan.notes = {fmt::format("the launcher bound this process to {}: give mpirun --bind-to none to use {}",
                                       cores_text(facts.own), cores_text(facts.launcher))};
  }
  return decision.plan;
}

#ifdef _OPENMP
void use_threads(int threads) { omp_set_num_threads(threads); }

void choose_waiting(char** argv, int asked_threads, std::int64_t ranks) {
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  const bool shared_cores = asked_threads > 0 && ranks > sysconf(_SC_NPROCESSORS_ONLN) / asked_threads;
  if (shared_cores) {
    setenv("OMP_WAIT_POLICY", "passive", 1);
  } else {
    setenv("GOMP_SPINCOUNT", kBriefSpin, 1);
  }
  execv("/proc/self/exe", argv);  // returns only where it failed; then the threads wait as they do
}
#else
void use_threads(int) {}
void choose_waiting(char**, int, std::int64_t) {}
#endif

}  // namespace dml
