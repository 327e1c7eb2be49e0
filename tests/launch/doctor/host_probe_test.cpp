// What is read from files of a host, from trees that are made for it.
#include "launch/doctor/host_probe.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "launch/doctor/disk_probe.h"
#include "launch/doctor/link_probe.h"
#include "launch/doctor/minimum_versions.h"
#include "launch/doctor/software_probe.h"

namespace dml {
namespace {

namespace fs = std::filesystem;

class HostProbe : public testing::Test {
 protected:
  void SetUp() override {
    root_ = fs::temp_directory_path() / ("doctor." + std::to_string(::getpid()) + "." +
                                         testing::UnitTest::GetInstance()->current_test_info()->name());
    put("proc/meminfo", "MemTotal:  1000000 kB\nMemFree:  5 kB\nMemAvailable:  800000 kB\n");
    put("proc/cpuinfo", "processor\t: 0\nmodel name\t: Some Processor\n");
    put("proc/sys/kernel/hostname", "node7\n");
    put("sys/devices/system/cpu/online", "0-7\n");
    put("sys/devices/system/node/online", "0-1\n");
  }
  void TearDown() override { fs::remove_all(root_); }

  void put(const std::string& path, const std::string& text) {
    fs::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  HostFacts probe() const { return probe_host(root_.string()); }

  fs::path root_;
};

TEST_F(HostProbe, PlainHost) {
  const HostFacts host = probe();
  EXPECT_EQ(host.name, "node7");
  EXPECT_EQ(host.processor, "Some Processor");
  EXPECT_EQ(host.online_cores, 8);
  EXPECT_EQ(host.granted_cores, 8);
  EXPECT_EQ(host.numa_nodes, 2);
  EXPECT_EQ(host.memory_bytes, 1000000 * 1024);
  EXPECT_EQ(host.available_bytes, 800000 * 1024);
  EXPECT_EQ(host.group_bytes, 0);
  EXPECT_EQ(host.quota_cores, 0);
  EXPECT_EQ(host.gpu_devices, 0);
  EXPECT_EQ(host.container, "");
}

TEST_F(HostProbe, UnifiedControlGroupsLimitByTheTightestAncestor) {
  put("proc/self/cgroup", "0::/slurm/job_1/step_0\n");
  put("sys/fs/cgroup/slurm/job_1/step_0/memory.max", "max\n");
  put("sys/fs/cgroup/slurm/job_1/memory.max", "104857600\n");
  put("sys/fs/cgroup/slurm/job_1/memory.current", "4857600\n");
  put("sys/fs/cgroup/slurm/memory.max", "209715200\n");
  put("sys/fs/cgroup/slurm/job_1/cpuset.cpus.effective", "2-3,6\n");
  put("sys/fs/cgroup/slurm/cpu.max", "150000 100000\n");
  put("sys/fs/cgroup/slurm/job_1/cpu.max", "max 100000\n");
  const HostFacts host = probe();
  EXPECT_EQ(host.group_bytes, 104857600);
  EXPECT_EQ(host.available_bytes, 100000000);
  EXPECT_EQ(host.granted_cores, 3);
  EXPECT_DOUBLE_EQ(host.quota_cores, 1.5);
}

TEST_F(HostProbe, ControlGroupsOfVersionOne) {
  put("proc/self/cgroup", "5:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:cpuset:/docker/abc\n");
  put("sys/fs/cgroup/memory/memory.limit_in_bytes", "104857600\n");  // the mount of a container has no path below it
  put("sys/fs/cgroup/memory/memory.usage_in_bytes", "857600\n");
  put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
  put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
  put("sys/fs/cgroup/cpuset/docker/abc/cpuset.effective_cpus", "0,1\n");
  put(".dockerenv", "");
  const HostFacts host = probe();
  EXPECT_EQ(host.group_bytes, 104857600);
  EXPECT_EQ(host.available_bytes, 104000000);
  EXPECT_EQ(host.granted_cores, 2);
  EXPECT_DOUBLE_EQ(host.quota_cores, 2);
  EXPECT_EQ(host.container, "Docker");
}

TEST_F(HostProbe, NetworksAndDevices) {
  put("sys/class/net/lo/operstate", "unknown\n");
  put("sys/class/net/eth0/operstate", "up\n");
  put("sys/class/net/eth0/speed", "25000\n");
  put("sys/class/net/eth1/operstate", "down\n");
  put("sys/class/net/veth7/operstate", "up\n");
  put("sys/class/net/veth7/speed", "-1\n");
  put("sys/class/infiniband/mlx5_0/node_guid", "");
  for (const char* device : {"nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"})
    put(std::string("dev/") + device, "");
  const HostFacts host = probe();
  ASSERT_EQ(host.networks.size(), 2U);
  EXPECT_EQ(host.networks[0].name, "eth0");
  EXPECT_EQ(host.networks[0].megabits_per_s, 25000);
  EXPECT_EQ(host.networks[1].megabits_per_s, 0);
  EXPECT_EQ(host.fabrics, std::vector<std::string>{"mlx5_0"});
  EXPECT_EQ(host.gpu_devices, 2);
}

TEST(CountOfList, Numbers) {
  EXPECT_EQ(count_of_list("0-3,8"), 5);
  EXPECT_EQ(count_of_list("5"), 1);
  EXPECT_EQ(count_of_list(""), 0);
}

TEST(DiskProbe, MeasuresWhereARunWouldBe) {
  const fs::path folder = fs::temp_directory_path();
  const DiskFacts disk = probe_disk((folder / "not" / "there" / "yet").string());
  EXPECT_EQ(fs::path(disk.folder), folder);
  EXPECT_EQ(disk.failure, "");
  EXPECT_GT(disk.free_bytes, 0);
  EXPECT_GT(disk.write_bytes_per_s, 0);
}

TEST(DiskProbe, SaysWhyNothingCanBeWritten) {
  const DiskFacts disk = probe_disk("/proc/self");
  EXPECT_NE(disk.failure.find("cannot be written"), std::string::npos);
}

TEST(SoftwareProbe, ListsOfGpus) {
  const std::vector<Gpu> gpus = parse_gpus("NVIDIA H200, 143771, 570.86.15\nNVIDIA H200, 143771, 570.86.15\n");
  ASSERT_EQ(gpus.size(), 2U);
  EXPECT_EQ(gpus[1].name, "NVIDIA H200");
  EXPECT_EQ(gpus[1].memory_mib, 143771);
  EXPECT_EQ(gpus[1].driver, "570.86.15");
  EXPECT_TRUE(parse_gpus("NVIDIA-SMI has failed because it could not talk to the driver\n").empty());
}

TEST(MinimumVersions, NumberByNumber) {
  EXPECT_TRUE(at_least("4.1.4", "4.1"));
  EXPECT_TRUE(at_least("4.10", "4.9"));
  EXPECT_TRUE(at_least("5.0.0rc1", "4.1"));
  EXPECT_TRUE(at_least("12.2", "12"));
  EXPECT_FALSE(at_least("4.0.9", "4.1"));
  EXPECT_FALSE(at_least("", "2.6"));
}

TEST(RanksToLink, AllOfASmallWorldElseOneOfEachHost) {
  EXPECT_EQ(ranks_to_link({"a", "a", "b"}), (std::vector<int>{0, 1, 2}));
  std::vector<std::string> hosts;
  for (int rank = 0; rank < 32; ++rank) hosts.push_back(rank < 16 ? "a" : "b");
  EXPECT_EQ(ranks_to_link(hosts), (std::vector<int>{0, 16}));
  EXPECT_EQ(ranks_to_link(std::vector<std::string>(32, "a")).size(), 16U);
}

}  // namespace
}  // namespace dml
