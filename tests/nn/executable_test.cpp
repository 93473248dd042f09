// Plans in memory: one that needs several allocations gives what one gives.
#include "nn/executable.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "nn/fusion.h"
#include "runtime/error.h"
#include "tests/nn/small_network.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

class ExecutableTest : public DeviceTest {
 protected:
  // Allocations that hold the largest value of `columns` and no more.
  PlanOptions with_small_allocations(const PlanOptions& options, std::int64_t columns,
                                     std::int64_t replicas) {
    PlanOptions small = options;
    small.plan_for = device().profile();
    const std::int64_t largest = round_up(options.batch * columns, kAlignmentElements) * replicas;
    small.plan_for->max_allocation = static_cast<std::uint64_t>(largest) * 4;
    return small;
  }
};

TEST_F(ExecutableTest, SeveralAllocationsGiveWhatOneGives) {
  constexpr std::int64_t kColumns = 64;
  Network network(kColumns,
                  {NetworkLayer::linear(kColumns), NetworkLayer::act(Activation::tanh),
                   NetworkLayer::linear(48), NetworkLayer::skip(), NetworkLayer::linear(10)});
  fuse(network.graph);
  const PlanOptions one = {.batch = 300};
  const std::vector<NetworkInputs> inputs = {network.inputs(one.batch, 1),
                                             network.inputs(one.batch, 2)};
  const PlanOptions several = with_small_allocations(one, kColumns, 2);
  PlanOptions planned = several;
  planned.replicas = 2;
  const Plan plan(network.graph, ParameterLayout(network.parameters), device().profile(), planned);
  EXPECT_GT(plan.allocations().size(), 1u);
  EXPECT_EQ(run_on_device(device(), network, inputs, several),
            run_on_device(device(), network, inputs, one));
}

// Before anything is recorded.
TEST_F(ExecutableTest, RefusesMoreReplicasThanTheDeviceRuns) {
  const std::uint32_t most = device().profile().max_workgroup_count[2];
  if (most > 100'000) GTEST_SKIP() << "the device runs " << most << " workgroups along z";
  Network network(2, {NetworkLayer::linear(2)});
  ParameterStorage storage(device(), network.parameters, most + 1, 0);
  try {
    const Executable executable(device(), network.graph, storage,
                                {.batch = 1, .replicas = most + 1});
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("use fewer replicas"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace vktrain::testing
