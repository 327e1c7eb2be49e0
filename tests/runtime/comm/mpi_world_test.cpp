// Ranks as processes: the bodies of world_bodies.h under mpiexec, with our collectives and with the library's.
// `dml_test_mpi exit CODE`: rank 1 (the only one of one) ends the world with CODE while the others wait.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "kernels/error.h"
#include "tests/runtime/comm/world_bodies.h"

namespace dml::test {
namespace {

void run_bodies(bool library_collectives) {
  CommOptions options;
  options.deadline = std::chrono::seconds(60);
  options.library_collectives = library_collectives;
  const auto world = make_mpi_world(options);
  for (const WorldBody& body : world_bodies()) {
    try {
      body.run({*world, !library_collectives});
      world->wait(world->barrier());
    } catch (const std::exception& error) {
      throw std::runtime_error(
          fmt::format("{} ({} collectives): {}", body.name, library_collectives ? "library" : "own", error.what()));
    }
    if (world->rank() == 0) std::printf("passed %s (%s)\n", body.name, library_collectives ? "library" : "own");
  }
}

void run_deadline() {
  CommOptions options;
  options.deadline = std::chrono::milliseconds(50);
  const auto world = make_mpi_world(options);
  if (world->rank() != 0 || world->size() == 1) return;
  std::vector<float> data(12);
  try {
    world->wait(world->receive({data.data(), DataType::f32, {3, 4}}, 1, 9));
  } catch (const TimeoutError& error) {
    const std::string text = error.what();
    require(text.find("[receive] rank 0 waited ") == 0 && text.find("for 3x4 f32 from rank 1") != text.npos, text);
    return;
  }
  throw std::runtime_error("the deadline has passed unnoticed");
}

void end_world(int code) {
  const auto world = make_mpi_world({});
  if (world->rank() == world->size() - 1) {
    world->fail("asked to");
    exit_all(code);
  }
  world->wait(world->barrier());
}

}  // namespace
}  // namespace dml::test

int main(int argc, char** argv) {
  using namespace dml::test;
  try {
    if (argc == 3 && std::strcmp(argv[1], "exit") == 0) {
      end_world(std::atoi(argv[2]));
    } else {
      run_bodies(false);
      run_bodies(true);
      run_deadline();
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank %d: %s\n", dml::launcher_environment().rank, error.what());
    dml::exit_all(1);
  }
  dml::finalize_mpi();
  return 0;
}
