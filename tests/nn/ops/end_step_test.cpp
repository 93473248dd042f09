// Metrics of steps one after the other, and the counters that the device itself advances.
#include "nn/ops/end_step.h"

#include <fmt/format.h>

#include <bit>
#include <numeric>

#include "nn/executable.h"
#include "nn/rng.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

constexpr std::int64_t kSteps = 4;
constexpr std::uint32_t kReplicas = 2;

class EndStepTest : public DeviceTest {
 protected:
  struct Numbers {
    std::vector<float> loss, penalty;
    std::vector<std::uint32_t> correct;
  };

  static Numbers random_numbers(std::int64_t batch, std::int64_t parts, PhiloxRng& rng) {
    Numbers n;
    for (std::int64_t i = 0; i < batch; ++i) {
      n.loss.push_back(static_cast<float>(5 * rng.uniform()));
      n.correct.push_back(rng.below(2));
    }
    for (std::int64_t i = 0; i < parts; ++i) {
      n.penalty.push_back(static_cast<float>(rng.uniform()));
    }
    return n;
  }

  static double sum(const std::vector<float>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0);
  }

  static void expect_metrics(std::span<const std::uint32_t> words, const Numbers& n) {
    const double loss = sum(n.loss) / static_cast<double>(n.loss.size());
    EXPECT_NEAR(std::bit_cast<float>(words[0]), loss, 3e-6 * loss);
    EXPECT_EQ(words[1], std::accumulate(n.correct.begin(), n.correct.end(), 0u));
    EXPECT_NEAR(std::bit_cast<float>(words[2]), sum(n.penalty), 3e-6 * sum(n.penalty));
  }

  // `parts` 0: no penalties.
  void check(std::int64_t batch, std::int64_t parts) {
    SCOPED_TRACE(fmt::format("batch {}, {} penalty parts", batch, parts));
    ParameterSet parameters;
    Graph graph(parameters);
    const StepInputs step = add_step_inputs(graph, kSteps);
    const CrossEntropy loss = {graph.add_external("loss", {kBatch}, DType::f32, false),
                               graph.add_external("correct", {kBatch}, DType::u32, false)};
    const ValueId penalty =
        parts > 0 ? graph.add_external("penalty", {parts}, DType::f32, false) : kNoValue;
    end_step(graph, loss, step, penalty);
    ParameterStorage storage(device(), parameters, kReplicas, 0);
    Executable run(device(), graph, storage, {.batch = batch, .replicas = kReplicas});
    // What lies behind the batch must not count.
    device().fill(run.memory_of(loss.loss), std::bit_cast<std::uint32_t>(1e30f));
    device().fill(run.memory_of(loss.correct), 1);
    const std::uint32_t start[4] = {1000, 1, 0, 0};
    for (std::uint32_t r = 0; r < kReplicas; ++r) run.write_words(step.state, start, r);

    PhiloxRng rng(static_cast<std::uint64_t>(batch * 1000 + parts));
    std::vector<std::vector<Numbers>> given(kReplicas);
    for (std::int64_t i = 1; i < kSteps; ++i) {
      for (std::uint32_t r = 0; r < kReplicas; ++r) {
        given[r].push_back(random_numbers(batch, parts, rng));
        const Numbers& n = given[r].back();
        device().upload(run.memory_of(loss.loss).part(stride(batch) * r, n.loss.size() * 4),
                        std::as_bytes(std::span(n.loss)));
        device().upload(run.memory_of(loss.correct).part(stride(batch) * r, n.correct.size() * 4),
                        std::as_bytes(std::span(n.correct)));
        if (parts > 0) run.write(penalty, n.penalty, r);
      }
      run.run();
    }
    for (std::uint32_t r = 0; r < kReplicas; ++r) {
      const std::vector<std::uint32_t> words = run.read_words(step.metrics, r);
      EXPECT_EQ(std::bit_cast<float>(words[0]), 0.0f) << "the slot before the first step";
      for (std::size_t i = 1; i < kSteps; ++i) {
        expect_metrics(std::span(words).subspan(4 * i, 4), given[r][i - 1]);
      }
      EXPECT_EQ(run.read_words(step.state, r), (std::vector<std::uint32_t>{1003, 4, 0, 0}));
    }
  }

  // Bytes between the replicas of a [batch] value.
  static std::uint64_t stride(std::int64_t batch) {
    return static_cast<std::uint64_t>(round_up(batch, kAlignmentElements)) * 4;
  }
};

TEST_F(EndStepTest, AnyBatch) {
  for (const std::int64_t batch : {1, 2, 63, 64, 65, 100, 512, 1000, 4099}) check(batch, 0);
}

TEST_F(EndStepTest, Penalties) {
  for (const std::int64_t parts : {1, 63, 64, 65, 300}) check(100, parts);
}

}  // namespace
}  // namespace vktrain::testing
