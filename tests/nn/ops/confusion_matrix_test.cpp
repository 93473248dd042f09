// Counts of several batches of several replicas against the reference.
#include "nn/ops/confusion_matrix.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>

#include "nn/executable.h"
#include "nn/reference/reference_memory.h"
#include "nn/rng.h"
#include "runtime/error.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

constexpr std::uint32_t kReplicas = 2;

class ConfusionMatrixTest : public DeviceTest {
 protected:
  // What the device counts and what the reference counts, per replica.
  struct Counts {
    std::vector<std::uint32_t> found;
    std::vector<std::uint32_t> wanted;
  };

  // Logits are small integers: ties are common.
  static std::vector<float> random_logits(std::size_t count, PhiloxRng& rng) {
    std::vector<float> logits(count);
    for (float& value : logits) value = static_cast<float>(rng.below(5)) - 4;
    return logits;
  }

  std::vector<Counts> count(std::int64_t batch, std::int64_t classes, std::uint32_t runs) {
    ParameterSet parameters;
    Graph graph(parameters);
    const ValueId logits = graph.add_external("logits", {kBatch, classes}, DType::f32, false);
    const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    const ValueId counts = confusion_matrix(graph, logits, labels);
    ParameterStorage storage(device(), parameters, kReplicas, 0);
    Executable executable(device(), graph, storage, {.batch = batch, .replicas = kReplicas});
    // Padding of logits must not be taken for a class.
    device().fill(executable.memory_of(logits), std::bit_cast<std::uint32_t>(1e30f));

    PhiloxRng rng(static_cast<std::uint64_t>(batch * 100 + classes));
    std::vector<ReferenceMemory> references(kReplicas, ReferenceMemory(graph, batch));
    for (std::uint32_t run = 0; run < runs; ++run) {
      for (std::uint32_t r = 0; r < kReplicas; ++r) {
        const auto x = random_logits(static_cast<std::size_t>(batch * classes), rng);
        std::vector<std::uint32_t> truth(static_cast<std::size_t>(batch));
        for (std::uint32_t& label : truth) label = rng.below(static_cast<std::uint32_t>(classes));
        executable.write(logits, x, r);
        executable.write_words(labels, truth, r);
        references[r][logits].assign(x.begin(), x.end());
        references[r][labels].assign(truth.begin(), truth.end());
        run_reference(graph, references[r]);
      }
      executable.run();
    }
    std::vector<Counts> result;
    for (std::uint32_t r = 0; r < kReplicas; ++r) {
      const std::vector<double>& wanted = references[r][counts];
      result.push_back({executable.read_words(counts, r), {wanted.begin(), wanted.end()}});
    }
    return result;
  }
};

TEST_F(ConfusionMatrixTest, AddsUpBatchesOfAnySize) {
  for (const std::int64_t batch : {1, 3, 63, 64, 65, 256, 1000}) {
    for (const std::int64_t classes : {1, 2, 4, 5, 10, 33}) {
      SCOPED_TRACE(fmt::format("batch {}, {} classes", batch, classes));
      for (const Counts& counts : count(batch, classes, 3)) {
        EXPECT_EQ(counts.found, counts.wanted);
        std::int64_t all = 0;
        for (const std::uint32_t n : counts.found) all += n;
        EXPECT_EQ(all, 3 * batch);
      }
    }
  }
}

// The same rule as softmax_cross_entropy's hits: nothing is larger than a NaN.
TEST_F(ConfusionMatrixTest, NotANumberIsTheFirstClass) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId logits = graph.add_external("logits", {kBatch, 3}, DType::f32, false);
  const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
  const ValueId counts = confusion_matrix(graph, logits, labels);
  ParameterStorage storage(device(), parameters, 1, 0);
  Executable executable(device(), graph, storage, {.batch = 2});
  const float nan = std::numeric_limits<float>::quiet_NaN();
  executable.write(logits, std::vector<float>{nan, nan, nan, nan, 1, 2});
  executable.write_words(labels, std::vector<std::uint32_t>{2, 1});
  executable.run();
  EXPECT_EQ(executable.read_words(counts), (std::vector<std::uint32_t>{0, 0, 0, 1, 0, 0, 1, 0, 0}));
}

TEST(ConfusionMatrixShape, RefusesLogitsThatAreNoRows) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId images = graph.add_external("x", {kBatch, 2, 3}, DType::f32, false);
  const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
  EXPECT_THROW(confusion_matrix(graph, images, labels), Error);
}

}  // namespace
}  // namespace vktrain::testing
