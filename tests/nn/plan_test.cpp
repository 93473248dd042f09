// Memory of plans: nothing overlaps while it is needed, and little is wasted.
#include "nn/plan.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "nn/fusion.h"
#include "nn/operation.h"
#include "runtime/error.h"
#include "tests/nn/small_network.h"

namespace vktrain::testing {
namespace {

using namespace nn;

runtime::DeviceProfile profile(runtime::DeviceKind kind = runtime::DeviceKind::cpu) {
  runtime::DeviceProfile result;
  result.name = "Test GPU";
  result.kind = kind;
  result.max_workgroup_count = {65535, 65535, 65535};
  result.max_storage_range = std::uint64_t{128} << 20;
  result.max_allocation = std::uint64_t{1} << 40;
  return result;
}

struct Block {
  std::string name;
  Placement placement;
  std::size_t first, last;  // operations
};

bool is_bound(const Graph& graph, const Plan& plan, ValueId id) {
  for (const PlannedOperation& operation : plan.operations()) {
    for (const PlannedDispatch& dispatch : operation.dispatches) {
      for (const PlannedBinding& binding : dispatch.bindings) {
        if (binding.source != PlannedBinding::Source::value) continue;
        if (graph.root(binding.id) == id) return true;
      }
    }
  }
  return false;
}

// Lifetimes straight from the definition: from the first to the last operation that touches a
// value; kept values all the time; scratch memory during its operation.
std::vector<Block> blocks_of(const Graph& graph, const Plan& plan) {
  std::vector<Block> blocks;
  const std::size_t operations = graph.operations().size();
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (graph.value(id).kind != ValueKind::activation) continue;
    std::size_t first = operations, last = 0;
    for (std::size_t i = 0; i < operations; ++i) {
      for (const auto* list :
           {&graph.operations()[i]->inputs(), &graph.operations()[i]->outputs()}) {
        if (std::find(list->begin(), list->end(), id) == list->end()) continue;
        first = std::min(first, i);
        last = i;
      }
    }
    const bool kept = graph.kept(id) || plan.options().keep_all;
    if (first == operations || (!kept && !is_bound(graph, plan, id))) {
      EXPECT_EQ(plan.placement(id).offset, -1) << graph.value(id).name << " is not used";
      continue;
    }
    if (kept) first = 0, last = operations;
    blocks.push_back({graph.value(id).name, plan.placement(id), first, last});
  }
  for (std::size_t i = 0; i < operations; ++i) {
    for (const Placement& scratch : plan.operations()[i].scratches) {
      blocks.push_back({fmt::format("scratch of {}", i), scratch, i, i});
    }
  }
  return blocks;
}

void expect_sound(const Graph& graph, const Plan& plan) {
  const std::vector<Block> blocks = blocks_of(graph, plan);
  std::vector<std::int64_t> ends(plan.allocations().size(), 0);
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    const Placement& a = blocks[i].placement;
    EXPECT_GE(a.offset, 0) << blocks[i].name;
    EXPECT_EQ(a.offset % kAlignmentElements, 0) << blocks[i].name;
    std::int64_t& end = ends.at(a.allocation);
    end = std::max(end, a.offset + a.size);
    for (std::size_t j = 0; j < i; ++j) {
      const Placement& b = blocks[j].placement;
      const bool same_time = blocks[i].first <= blocks[j].last && blocks[j].first <= blocks[i].last;
      const bool same_place = a.allocation == b.allocation && a.offset < b.offset + b.size &&
                              b.offset < a.offset + a.size;
      EXPECT_FALSE(same_time && same_place) << blocks[i].name << " and " << blocks[j].name;
    }
  }
  EXPECT_TRUE(std::ranges::equal(plan.allocations(), ends));
  EXPECT_EQ(plan.arena_size(), std::accumulate(ends.begin(), ends.end(), std::int64_t{0}));
  std::int64_t bound = 0;
  for (std::size_t i = 0; i < graph.operations().size(); ++i) {
    std::int64_t live = 0;
    for (const Block& block : blocks) {
      if (block.first <= i && i <= block.last) live += block.placement.size;
    }
    bound = std::max(bound, live);
  }
  EXPECT_EQ(plan.lower_bound(), bound);
  EXPECT_GE(plan.arena_size(), plan.lower_bound());
}

std::vector<NetworkLayer> mlp(std::initializer_list<std::int64_t> widths) {
  std::vector<NetworkLayer> layers;
  for (const std::int64_t width : widths) {
    layers.push_back(NetworkLayer::linear(width));
    layers.push_back(NetworkLayer::act(Activation::relu));
  }
  layers.push_back(NetworkLayer::linear(10));
  return layers;
}

TEST(Plan, NothingOverlapsWhileItIsNeeded) {
  PhiloxRng rng(31);
  for (int trial = 0; trial < 40; ++trial) {
    Network network(1 + rng.below(100), random_layers(rng, 10));
    if (trial % 2) fuse(network.graph);
    if (trial % 3 == 0) network.graph.keep(network.outputs.front());
    const ParameterLayout layout(network.parameters);
    const PlanOptions options = {
        .batch = 2 + rng.below(700), .replicas = 1 + rng.below(4), .keep_all = trial % 5 == 0};
    const auto kind = trial % 4 ? runtime::DeviceKind::cpu : runtime::DeviceKind::discrete;
    expect_sound(network.graph, Plan(network.graph, layout, profile(kind), options));
  }
}

TEST(Plan, TypicalNetworksWasteLittle) {
  for (const auto& layers :
       {mlp({100, 64}), mlp({300, 200}), mlp({512, 256, 128, 64}), mlp({64, 512, 64}), mlp({})}) {
    for (const std::int64_t batch : {16, 64, 512}) {
      for (const bool fused : {false, true}) {
        Network network(784, layers);
        if (fused) fuse(network.graph);
        const Plan plan(network.graph, ParameterLayout(network.parameters), profile(),
                        {.batch = batch});
        EXPECT_LE(static_cast<double>(plan.arena_size()),
                  1.3 * static_cast<double>(plan.lower_bound()))
            << to_string(layers) << ", batch " << batch;
        expect_sound(network.graph, plan);
      }
    }
  }
}

// Values that fit one by one lie in as many allocations as it takes, each whole in one.
TEST(Plan, LargePlansHaveSeveralAllocations) {
  PhiloxRng rng(32);
  std::size_t most = 0;
  for (int trial = 0; trial < 20; ++trial) {
    Network network(1 + rng.below(100), random_layers(rng, 10));
    const PlanOptions options = {
        .batch = 2 + rng.below(700), .replicas = 1 + rng.below(4), .keep_all = trial % 2 == 0};
    const ParameterLayout layout(network.parameters);
    runtime::DeviceProfile device = profile();
    const Plan whole(network.graph, layout, device, options);
    EXPECT_LE(whole.allocations().size(), 1u);
    std::int64_t largest = 0;
    for (const Block& block : blocks_of(network.graph, whole)) {
      largest = std::max(largest, block.placement.size);
    }
    // Whatever lies beyond the last whole unit is of no use.
    device.max_allocation = static_cast<std::uint64_t>(largest) * 4 + 252;
    const Plan divided(network.graph, layout, device, options);
    expect_sound(network.graph, divided);
    most = std::max(most, divided.allocations().size());
    for (const std::int64_t size : divided.allocations()) EXPECT_LE(size, largest);
    device.max_allocation -= 256;
    EXPECT_THROW(Plan(network.graph, layout, device, options), Error);
  }
  EXPECT_GT(most, 3u);
}

// Memory that is free again is used again: a deep network takes much less than its values.
TEST(Plan, MemoryIsUsedAgain) {
  Network network(64, mlp({64, 64, 64, 64, 64, 64}));
  const ParameterLayout layout(network.parameters);
  const Plan plan(network.graph, layout, profile(), {.batch = 256});
  const Plan apart(network.graph, layout, profile(), {.batch = 256, .keep_all = true});
  EXPECT_LT(plan.arena_size(), apart.arena_size() / 2);
}

TEST(Plan, IsTheSameEveryTime) {
  Network network(50, mlp({30, 20}));
  const ParameterLayout layout(network.parameters);
  const PlanOptions options = {.batch = 300, .replicas = 2};
  const Plan a(network.graph, layout, profile(), options);
  const Plan b(network.graph, layout, profile(), options);
  EXPECT_EQ(a.arena_size(), b.arena_size());
  for (ValueId id = 0; id < network.graph.value_count(); ++id) {
    EXPECT_EQ(a.placement(id).offset, b.placement(id).offset);
    EXPECT_EQ(a.placement(id).size, b.placement(id).size);
  }
  ASSERT_EQ(a.operations().size(), b.operations().size());
  EXPECT_EQ(a.dispatch_count(), b.dispatch_count());
  for (std::size_t i = 0; i < a.operations().size(); ++i) {
    for (std::size_t j = 0; j < a.operations()[i].dispatches.size(); ++j) {
      const PlannedDispatch &x = a.operations()[i].dispatches[j],
                            &y = b.operations()[i].dispatches[j];
      EXPECT_EQ(x.shader, y.shader);
      EXPECT_EQ(x.constants, y.constants);
      EXPECT_EQ(x.push, y.push);
      EXPECT_EQ(x.groups, y.groups);
    }
  }
}

// The profile to plan for overrides the device's own.
TEST(Plan, KernelsAreThoseOfTheDevicePlannedFor) {
  Network network(50, mlp({30}));
  const auto tiled = [&](const std::optional<runtime::DeviceProfile>& plan_for) {
    const Plan plan(network.graph, ParameterLayout(network.parameters), profile(),
                    {.batch = 4, .plan_for = plan_for});
    for (const PlannedOperation& operation : plan.operations()) {
      for (const PlannedDispatch& dispatch : operation.dispatches) {
        if (dispatch.shader == "gemm_tiled") return true;
      }
    }
    return false;
  };
  EXPECT_FALSE(tiled(std::nullopt));
  EXPECT_TRUE(tiled(profile(runtime::DeviceKind::discrete)));
}

std::string refusal(Network& network, const runtime::DeviceProfile& device,
                    const PlanOptions& options) {
  try {
    Plan(network.graph, ParameterLayout(network.parameters), device, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Plan, RefusesValuesBeyondTheStorageRange) {
  Network network(784, mlp({2048}));
  fuse(network.graph);
  runtime::DeviceProfile device = profile();
  EXPECT_EQ(refusal(network, device, {.batch = 8192, .replicas = 2}), "");
  EXPECT_EQ(refusal(network, device, {.batch = 8192, .replicas = 3}),
            "1.relu of shape [batch, 2048] for a batch of 8192 and 3 replica(s) needs 192.0 MiB in "
            "one buffer range, but Test GPU allows 128.0 MiB; use a smaller batch size or fewer "
            "replicas");
}

TEST(Plan, NamesTheSmallerOfRangeAndAllocation) {
  Network network(784, mlp({2048}));
  fuse(network.graph);
  runtime::DeviceProfile device = profile();
  device.max_allocation = std::uint64_t{100} << 20;
  const std::string expected =
      "1.relu of shape [batch, 2048] for a batch of 8192 and 2 replica(s) needs 128.0 MiB in one "
      "allocation, but Test GPU allows 100.0 MiB; use a smaller batch size or fewer replicas";
  EXPECT_EQ(refusal(network, device, {.batch = 8192, .replicas = 2}), expected);
  // The memory is this device's, whatever it plans for.
  PlanOptions options = {.batch = 8192, .replicas = 2, .plan_for = profile()};
  options.plan_for->name = "Another GPU";
  EXPECT_EQ(refusal(network, device, options), expected);
}

TEST(Plan, RefusesMoreWorkgroupsThanTheDeviceRuns) {
  Network network(784, mlp({}));
  const Plan plan(network.graph, ParameterLayout(network.parameters), profile(),
                  {.batch = 64, .replicas = 6});
  const auto refusal_of = [&plan](std::array<std::uint32_t, 3> most) -> std::string {
    runtime::DeviceProfile device = profile();
    device.max_workgroup_count = most;
    try {
      plan.check_workgroups(device);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(refusal_of({65535, 65535, 6}), "");
  EXPECT_NE(refusal_of({65535, 0, 6}), "");
  EXPECT_NE(refusal_of({0, 65535, 6}), "");
  const std::string error = refusal_of({65535, 65535, 5});
  EXPECT_EQ(error.find("0 gemm nt: a batch of 64 and 6 replica(s) take "), 0u) << error;
  EXPECT_NE(error.find(" x 6 workgroups of its kernel gemm_"), std::string::npos) << error;
  EXPECT_NE(error.find(", but Test GPU runs at most 65535 x 65535 x 5 in one dispatch; use fewer "
                       "replicas or a smaller batch size"),
            std::string::npos)
      << error;
}

TEST(Plan, RefusesScratchMemoryBeyondTheStorageRange) {
  Network network(1024, {NetworkLayer::linear(10)});
  runtime::DeviceProfile device = profile(runtime::DeviceKind::discrete);
  device.max_storage_range = 130 << 10;  // each value fits, the partial products do not
  EXPECT_NE(refusal(network, device, {.batch = 500}).find("scratch memory of 0 gemm"),
            std::string::npos);
}

}  // namespace
}  // namespace vktrain::testing
