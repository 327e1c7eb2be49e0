// A clean world has nothing to complain about, and each planted fault is found, by its area and alone.
#include "launch/doctor/checks.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "launch/doctor/compute_probe.h"
#include "launch/doctor/doctor_report.h"

namespace dml {
namespace {

constexpr std::int64_t kMiB = 1 << 20;
constexpr std::int64_t kGiB = 1 << 30;

HostFacts clean_host(const std::string& name) {
  HostFacts host;
  host.name = name;
  host.online_cores = host.granted_cores = 8;
  host.numa_nodes = 1;
  host.instruction_set = host.detected_instruction_set = "avx2";
  host.memory_bytes = 64 * kGiB;
  host.available_bytes = 60 * kGiB;
  host.shared_bytes = 32 * kGiB;
  host.networks = {{"eth0", 10000}};
  host.versions = {{"oneDNN", "3.4.1"}, {"Open MPI", "4.1.4"}, {"protobuf", "3.21.12"}, {"g++", "12.2"}};
  host.limits = {4096, std::nullopt, 8 * kMiB, 10000};
  host.disk = {"/runs", 100 * kGiB, 500e6, ""};
  return host;
}

RankFacts clean_rank(int rank, const std::string& host) {
  RankFacts facts;
  facts.rank = rank;
  facts.host = host;
  facts.ranks_on_host = 2;
  facts.cores = {0, 1, 2, 3, 4, 5, 6, 7};
  facts.threads = 4;
  facts.environment = {{"GOMP_SPINCOUNT", "2000"}};
  return facts;
}

/// Two hosts of two ranks.
DoctorFacts clean_facts() {
  DoctorFacts facts;
  facts.backend = "mpi";
  facts.calibration = "calibrated";
  for (int host = 0; host < 2; ++host) facts.hosts.push_back(clean_host(fmt::format("node{}", host)));
  for (int rank = 0; rank < 4; ++rank) facts.ranks.push_back(clean_rank(rank, fmt::format("node{}", rank / 2)));
  for (int from = 0; from < 4; ++from) {
    for (int to = from + 1; to < 4; ++to) facts.links.push_back({from, to, 10e-6, 1e9});
  }
  facts.collectives = {{CommKind::all_reduce, 4, 65536, 100e-6, 0.05, 90e-6}};
  facts.devices = {{0, "H100", {{"MatMul", 12, 3e-7, "gpt.linear"}, {"Gather", 2, 0, ""}}, {}, "", ""}};
  const std::span<const double> known = known_losses();
  facts.trainings = {{0, "d=1 p=2 t=2", {known.begin(), known.end()}, ""}};
  return facts;
}

/// "severity area" of each finding that is a note or worse.
std::vector<std::string> complaints(const DoctorFacts& facts) {
  std::vector<std::string> found;
  for (const Diagnosis& finding : check_all(facts)) {
    if (finding.severity == Severity::ok) continue;
    EXPECT_FALSE(finding.advice.empty()) << finding.text;
    found.push_back(fmt::format("{} {}", name_of(finding.severity), finding.area));
  }
  return found;
}

TEST(DoctorChecks, CleanWorldHasNoComplaints) {
  const DoctorFacts facts = clean_facts();
  EXPECT_EQ(complaints(facts), std::vector<std::string>{});
  EXPECT_EQ(count(check_all(facts), Severity::ok), 2 * 7 + 8);  // two classes of links
}

struct PlantedFault {
  const char* what;
  std::function<void(DoctorFacts&)> plant;
  std::vector<std::string> found;
};

TEST(DoctorChecks, FindsPlantedFaults) {
  const PlantedFault faults[] = {
      {"ranks bound to the same core",
       [](DoctorFacts& f) {
         for (const std::size_t rank : {0U, 1U}) f.ranks[rank].cores = {0}, f.ranks[rank].threads = 1;
       },
       {"warning cores", "note cores"}},
      {"fewer cores of processor time than threads",
       [](DoctorFacts& f) { f.hosts[0].quota_cores = 2; },
       {"warning cores"}},
      {"a cap of the instruction set",
       [](DoctorFacts& f) {
         for (HostFacts& host : f.hosts) host.instruction_set = "portable";
       },
       {"note cores", "note cores"}},
      {"waiting threads that spin",
       [](DoctorFacts& f) { f.ranks[1].threads = 8, f.ranks[1].environment["OMP_WAIT_POLICY"] = "active"; },
       {"note cores", "warning waiting"}},
      {"a capped memory group", [](DoctorFacts& f) { f.hosts[1].group_bytes = 4 * kGiB; }, {"warning memory"}},
      {"memory in use by others", [](DoctorFacts& f) { f.hosts[1].available_bytes = kGiB / 2; }, {"warning memory"}},
      {"Docker's /dev/shm", [](DoctorFacts& f) { f.hosts[0].shared_bytes = 8 * kMiB; }, {"warning memory"}},
      {"few open files", [](DoctorFacts& f) { f.hosts[0].limits.open_files = 64; }, {"warning limits"}},
      {"few processes", [](DoctorFacts& f) { f.hosts[0].limits.processes = 32; }, {"warning limits"}},
      {"a fabric without locked memory",
       [](DoctorFacts& f) { f.hosts[0].fabrics = {"mlx5_0"}, f.hosts[0].limits.locked_bytes = 65536; },
       {"warning limits"}},
      {"a full disk", [](DoctorFacts& f) { f.hosts[0].disk.free_bytes = 10 * kMiB; }, {"error disk"}},
      {"a disk that is almost full", [](DoctorFacts& f) { f.hosts[0].disk.free_bytes = kGiB; }, {"warning disk"}},
      {"a slow disk", [](DoctorFacts& f) { f.hosts[0].disk.write_bytes_per_s = 3e6; }, {"warning disk"}},
      {"a disk that is read only",
       [](DoctorFacts& f) { f.hosts[0].disk.failure = "cannot be written"; },
       {"error disk"}},
      {"GPUs without a driver", [](DoctorFacts& f) { f.hosts[0].gpu_devices = 8; }, {"warning gpu"}},
      {"an old library",
       [](DoctorFacts& f) {
         for (HostFacts& host : f.hosts) host.versions["oneDNN"] = "2.5.4";
       },
       {"warning versions", "warning versions"}},
      {"mixed versions", [](DoctorFacts& f) { f.hosts[1].versions["Open MPI"] = "4.1.6"; }, {"error alike"}},
      {"a library that one host lacks", [](DoctorFacts& f) { f.hosts[1].versions.erase("protobuf"); }, {"error alike"}},
      {"mixed processors",
       [](DoctorFacts& f) { f.hosts[1].instruction_set = f.hosts[1].detected_instruction_set = "avx512"; },
       {"warning alike"}},
      {"a skewed clock", [](DoctorFacts& f) { f.ranks[2].clock_ahead_s = -42; }, {"warning clocks"}},
      {"a drifting clock", [](DoctorFacts& f) { f.ranks[2].clock_ahead_s = 0.2; }, {"note clocks"}},
      {"a bridge of containers",
       [](DoctorFacts& f) {
         f.hosts[1].networks.push_back({"docker0", 0});
       },
       {"note network"}},
      {"a fabric that MPI cannot use",
       [](DoctorFacts& f) {
         f.hosts[1].fabrics = {"mlx5_0"}, f.hosts[1].transports = {"btl tcp", "pml ob1"};
       },
       {"warning network"}},
      {"a link of low bandwidth", [](DoctorFacts& f) { f.links[2].bytes_per_s = 50e6; }, {"warning links"}},
      {"a link of high latency", [](DoctorFacts& f) { f.links[3].latency_s = 5e-3; }, {"warning links"}},
      {"hosts joined by slow Ethernet",
       [](DoctorFacts& f) {
         for (LinkFacts& link : f.links)
           if (link.from / 2 != link.to / 2) link.bytes_per_s = 110e6;
       },
       {"warning links"}},
      {"a slow collective", [](DoctorFacts& f) { f.collectives[0].seconds = 400e-6; }, {"warning collectives"}},
      {"an old driver",
       [](DoctorFacts& f) {
         f.hosts[0].gpus = {{"GPU", 80000, "535.104.12"}}, f.hosts[0].has_cuda_driver = true;
         for (HostFacts& host : f.hosts) host.versions["CUDA"] = "13.0.88";
       },
       {"error gpu"}},
      {"a wrong kernel", [](DoctorFacts& f) { f.devices[0].operations[0].worst = 2e-3; }, {"error kernels"}},
      {"wrong sums of NCCL",
       [](DoctorFacts& f) {
         f.devices[0].transfers = {{"all_reduce", 1000, 3}};
       },
       {"error nccl"}},
      {"an operation of NCCL that hangs",
       [](DoctorFacts& f) { f.devices[0].transfer_failure = "all_reduce of 1000 elements: waited 150 s"; },
       {"error nccl"}},
      {"kernels of other whole numbers",
       [](DoctorFacts& f) { f.devices[0].operations[1].worst = INFINITY; },
       {"error kernels"}},
      {"a GPU that fails",
       [](DoctorFacts& f) { f.devices[0] = {0, "H100", {}, {}, "cudaMalloc failed: out of memory", ""}; },
       {"error kernels"}},
      {"a wrong loss", [](DoctorFacts& f) { f.trainings[0].losses[3] *= 1.0001; }, {"error training"}},
      {"a training without an end", [](DoctorFacts& f) { f.trainings[0].losses.pop_back(); }, {"error training"}},
      {"a training that fails",
       [](DoctorFacts& f) {
         f.trainings[0] = {0, "d=4", {}, "the loss is nan"};
       },
       {"error training"}},
  };
  for (const PlantedFault& fault : faults) {
    DoctorFacts facts = clean_facts();
    fault.plant(facts);
    EXPECT_EQ(complaints(facts), fault.found) << fault.what;
  }
}

TEST(DoctorChecks, AllowsForWhatIsNoFault) {
  const PlantedFault harmless[] = {
      {"half of a host's cores and of its memory",
       [](DoctorFacts& f) {
         for (HostFacts& host : f.hosts) host.online_cores = 16, host.group_bytes = 32 * kGiB;
       },
       {}},
      {"little locked memory where nothing needs it",
       [](DoctorFacts& f) { f.hosts[0].limits.locked_bytes = 65536; },
       {}},
      {"no limits", [](DoctorFacts& f) { f.hosts[0].limits = {}; }, {}},
      {"spinning on cores of one's own",
       [](DoctorFacts& f) { f.ranks[0].environment["OMP_WAIT_POLICY"] = "active"; },
       {}},
      {"a disturbed link", [](DoctorFacts& f) { f.links[1].latency_s = 30e-6, f.links[1].bytes_per_s = 0.4e9; }, {}},
      {"a fabric that MPI can use",
       [](DoctorFacts& f) {
         f.hosts[1].fabrics = {"mlx5_0"}, f.hosts[1].transports = {"btl tcp", "pml ucx"};
       },
       {}},
      {"rounding", [](DoctorFacts& f) { f.trainings[0].losses[3] *= 1 + 1e-6; }, {}},
      {"a bridge that Open MPI is told to leave out",
       [](DoctorFacts& f) {
         f.hosts[0].networks.push_back({"docker0", 0});
         f.ranks[0].environment["OMPI_MCA_btl_tcp_if_include"] = "eth0";
       },
       {}},
  };
  for (const PlantedFault& plain : harmless) {
    DoctorFacts facts = clean_facts();
    plain.plant(facts);
    EXPECT_EQ(complaints(facts), plain.found) << plain.what;
  }
}

TEST(DoctorReport, SaysWhereAndWhatToDo) {
  DoctorFacts facts = clean_facts();
  facts.links[3].bytes_per_s = 20e6;
  const Diagnoses findings = check_all(facts);
  const std::string text = doctor_text(facts, findings, {});
  EXPECT_NE(text.find("ranks 1 (node0) and 2 (node1): 10.0 us, 20.0 MB/s, others between hosts have"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("keep the tensor axis off this link"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("0 errors, 1 warning, 0 notes\n")) << text;
}

}  // namespace
}  // namespace dml
