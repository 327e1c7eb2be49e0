#include "launch/cluster/fabric.h"

namespace dml {
namespace {

using Settings = std::vector<EnvironmentSetting>;

constexpr std::string_view kFabricNames[] = {"auto", "infiniband", "roce", "efa", "slingshot", "ethernet"};

void add(Settings& settings, const Settings& more) { settings.insert(settings.end(), more.begin(), more.end()); }

Settings for_mpi(Fabric fabric) {
  switch (fabric) {
    case Fabric::infiniband:
    case Fabric::roce:
      return {{"OMPI_MCA_pml", "ucx", "RDMA of Mellanox adapters goes through UCX; it fails here rather than be slow"},
              {"OMPI_MCA_btl", "^openib", "the driver before UCX, which Open MPI 4 would try and warn of"}};
    case Fabric::efa:
      return {{"OMPI_MCA_pml", "cm", "messages are matched by libfabric"},
              {"OMPI_MCA_mtl", "ofi", "libfabric is the only way to EFA"},
              {"FI_PROVIDER", "efa", "libfabric must not fall back to TCP"}};
    case Fabric::slingshot:
      return {{"OMPI_MCA_pml", "cm", "messages are matched by libfabric"},
              {"OMPI_MCA_mtl", "ofi", "libfabric is the only way to Slingshot"},
              {"FI_PROVIDER", "cxi", "libfabric must not fall back to TCP"}};
    case Fabric::ethernet:
      return {{"OMPI_MCA_pml", "ob1", "plain sockets between nodes, shared memory inside"},
              {"OMPI_MCA_btl", "^openib,ofi", "nothing to look for but sockets"}};
    case Fabric::automatic: break;
  }
  return {};
}

Settings for_nccl(Fabric fabric) {
  switch (fabric) {
    case Fabric::infiniband:
      return {{"NCCL_IB_TIMEOUT", "22", "17 s before a link counts as lost: large fabrics reroute in seconds"}};
    case Fabric::roce:
      return {{"NCCL_IB_GID_INDEX", "3", "RoCE v2, which is routed; NCCL before 2.21 takes index 0, RoCE v1"},
              {"NCCL_IB_TIMEOUT", "22", "17 s before a link counts as lost: congested Ethernet drops and repeats"}};
    case Fabric::efa:
      return {{"FI_EFA_USE_DEVICE_RDMA", "1", "GPUs' memory goes over the network without a copy on the host"}};
    case Fabric::slingshot:
      return {{"NCCL_CROSS_NIC", "1", "a ring may change adapters from node to node: all are on one network"},
              {"NCCL_NET_GDR_LEVEL", "PHB", "an adapter reads the GPUs' memory behind the same host bridge"},
              {"FI_MR_CACHE_MONITOR", "userfaultfd", "the default monitor can deadlock with CUDA's allocations"},
              {"FI_CXI_DISABLE_HOST_REGISTER", "1", "registering host memory with CUDA can deadlock with NCCL"}};
    case Fabric::ethernet:
      return {{"NCCL_IB_DISABLE", "1", "there is no RDMA to look for"},
              {"NCCL_SOCKET_NTHREADS", "4", "one thread does not fill a fast link"},
              {"NCCL_NSOCKS_PERTHREAD", "4", "nor does one connection"}};
    case Fabric::automatic: break;
  }
  return {};
}

Settings for_interface(const std::string& interface, bool has_gpus) {
  if (interface.empty()) return {};
  Settings settings{{"OMPI_MCA_oob_tcp_if_include", interface, "Open MPI's daemons find each other here"},
                    {"PRTE_MCA_prte_if_include", interface, "the same for Open MPI 5"},
                    {"OMPI_MCA_btl_tcp_if_include", interface, "and so do ranks that talk by TCP"}};
  if (has_gpus) settings.push_back({"NCCL_SOCKET_IFNAME", interface, "where NCCL's ranks find each other"});
  return settings;
}

}  // namespace

std::span<const std::string_view> fabric_names() { return kFabricNames; }

std::vector<EnvironmentSetting> fabric_settings(Fabric fabric, const std::string& interface, bool has_gpus) {
  Settings settings = for_mpi(fabric);
  if (has_gpus) add(settings, for_nccl(fabric));
  add(settings, for_interface(interface, has_gpus));
  return settings;
}

}  // namespace dml
