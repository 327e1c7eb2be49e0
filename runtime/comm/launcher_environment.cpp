#include <charconv>
#include <cstdlib>
#include <initializer_list>
#include <optional>
#include <string_view>

#include "runtime/comm/communicator.h"

namespace dml {

namespace {

/// The number that the first of these variables that is set begins with ("4" of "4(x2)").
std::optional<long> read_number(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* text = std::getenv(name);
    if (text == nullptr) continue;
    const std::string_view view(text);
    long value = 0;
    if (std::from_chars(view.data(), view.data() + view.size(), value).ec == std::errc() && value >= 0) return value;
  }
  return std::nullopt;
}

LauncherEnvironment make_environment(long rank, long size, std::optional<long> local_size) {
  return {static_cast<int>(rank), static_cast<int>(size), static_cast<int>(local_size.value_or(0))};
}

/// srun's tasks; not the shell of salloc or the script of sbatch, whose step ids are huge or missing.
bool is_slurm_step() {
  constexpr long kSpecialSteps = 4'000'000'000;
  const auto step = read_number({"SLURM_STEP_ID", "SLURM_STEPID"});
  return step.has_value() && *step < kSpecialSteps;
}

LauncherEnvironment of_slurm_step(std::optional<long> local_size) {
  const auto rank = read_number({"SLURM_PROCID"});
  const auto size = read_number({"SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"});
  return rank && size && *size > 1 ? make_environment(*rank, *size, local_size) : LauncherEnvironment{};
}

/// What torchrun sets, and many a site's script. Names as plain as RANK count only all together.
LauncherEnvironment of_torchrun() {
  const auto rank = read_number({"RANK"});
  const auto size = read_number({"WORLD_SIZE"});
  if (!rank || !size || *size <= 1 || !read_number({"LOCAL_RANK"})) return {};
  return make_environment(*rank, *size, read_number({"LOCAL_WORLD_SIZE"}));
}

}  // namespace

LauncherEnvironment launcher_environment() {
  const auto local = read_number({"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE"});
  const auto rank = read_number({"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"});
  const auto size = read_number({"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"});
  // Inside a launcher's one process torchrun starts those that there are; inside each of a Slurm step's, more than the
  // step has. Where both count alike a script has set its variables from the step's, which say more.
  const LauncherEnvironment inner = of_torchrun();
  if (rank && size && (*size > 1 || inner.size == 0)) return make_environment(*rank, *size, local);
  const LauncherEnvironment step = is_slurm_step() ? of_slurm_step(local) : LauncherEnvironment{};
  return inner.size > step.size ? inner : step;
}

}  // namespace dml
