#include "runtime/calibrate/kernel_families.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "models/op.h"
#include "parallel/cost/kernel_size.h"
#include "runtime/device/bind_args.h"

namespace dml {
namespace {

std::vector<double> largest(const KernelFamily& family) {
  std::vector<double> sizes;
  for (const std::vector<double>& axis : family.axes) sizes.push_back(axis.back());
  return sizes;
}

KernelSize size_of(const Graph& graph) { return kernel_size(graph, graph.nodes().back()); }

TEST(KernelFamilies, MakeTheSizesThatTheyAreAskedFor) {
  for (const KernelFamily& family : kernel_families()) {
    const std::vector<double> asked = largest(family);
    const KernelSize made = size_of(family.graph(asked));
    EXPECT_EQ(made.family, family.name);
    ASSERT_EQ(made.sizes().size(), asked.size()) << family.name;
    for (std::size_t i = 0; i < asked.size(); ++i)
      EXPECT_NEAR(made.sizes()[i], asked[i], 0.05 * asked[i]) << family.name << " axis " << i;
  }
}

TEST(KernelFamilies, AreEachThereOnce) {
  std::set<std::string_view> names;
  for (const KernelFamily& family : kernel_families())
    EXPECT_TRUE(names.insert(family.name).second) << family.name << " twice";
}

// What a family stands for is executed here, so its operations are known to kernel_size under this name.
TEST(KernelFamilies, CoverWhatTheCpuExecutes) {
  std::set<std::string, std::less<>> measured;
  for (const KernelFamily& family : kernel_families())
    measured.insert(std::string(size_of(family.graph(largest(family))).family));
  const std::set<std::string_view> rare = {"CrossEntropyMerge", "WeightedLoss", "WeightedLossGrad"};  // a few elements
  for (const std::string_view operation : operations_with_kernels()) {
    if (rare.contains(operation) || operation == "Reshape") continue;
    const std::string_view family = family_of(operation);
    const bool found = std::any_of(measured.begin(), measured.end(),
                                   [&](const std::string& name) { return name.starts_with(family); });
    EXPECT_TRUE(found) << operation << " is of the family " << family << ", which is not measured";
  }
}

}  // namespace
}  // namespace dml
