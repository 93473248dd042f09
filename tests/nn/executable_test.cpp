// Plans in memory: one that needs several allocations gives what one gives.
#include "nn/executable.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "nn/fusion.h"
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

}  // namespace
}  // namespace vktrain::testing
