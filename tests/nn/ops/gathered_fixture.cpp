#include "tests/nn/ops/gathered_fixture.h"

#include <memory>

#include "nn/ops/gemm_variants.h"

namespace vktrain::testing {

using namespace nn;

std::vector<std::string> shaders_of(const Plan& plan) {
  std::vector<std::string> names;
  for (const PlannedOperation& operation : plan.operations()) {
    for (const PlannedDispatch& dispatch : operation.dispatches) names.push_back(dispatch.shader);
  }
  return names;
}

void GatheredTest::SetUp() {
  DeviceTest::SetUp();
  if (!gemm_can_shuffle(device().profile())) GTEST_SKIP() << "needs subgroups of 8 with shuffles";
}

std::vector<std::string> GatheredTest::check(const GatheredCase& c, const GatheredGraph& g) {
  SCOPED_TRACE(to_string(c));
  const std::uint32_t last = c.replicas - 1;
  const std::unique_ptr<OpRun> all = g.start(device(), c.replicas);
  const std::unique_ptr<OpRun> single = g.start(device(), 1, last);
  std::vector<ReferenceMemory> memories;
  for (std::uint32_t r = 0; r < c.replicas; ++r) memories.push_back(g.reference(r));
  for (std::uint32_t step = 0; step < (c.update.empty() ? 1u : 3u); ++step) {
    g.step(*all, step, 0);
    g.step(*single, step, last);
    for (std::uint32_t r = 0; r < c.replicas; ++r) {
      g.step(memories[r], step, r);
      g.expect_reference(*all, r, memories[r]);
    }
    EXPECT_TRUE(g.results(*all, last) == g.results(*single, 0)) << "not the single run's bits";
    if (HasFailure()) break;
  }
  return shaders_of(all->plan());
}

}  // namespace vktrain::testing
