// A last linear layer with its loss and its data gradient in one kernel, in the middle of a
// network.
#include <cmath>

#include "nn/differentiate.h"
#include "nn/fusion.h"
#include "nn/layers/linear.h"
#include "nn/ops/linear_cross_entropy.h"
#include "tests/nn/ops/linear_cross_entropy_case.h"

namespace vktrain::testing {
namespace {

using namespace nn;

// x -> linear -> activation -> linear -> activation -> last layer and loss, with everything behind
// it that reads the two gradients: every operation against its reference, with the bounds that
// `vktrain check` has.
OpCase network_case(const Head& h, std::uint64_t seed) {
  OpCase c;
  c.batch = h.batch;
  c.replicas = 3;
  c.seed = seed;
  c.build_whole = [h](Graph& graph) {
    const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    ValueId y = graph.add_external("input", {kBatch, 11}, DType::f32, false);
    for (const std::string name : {"1", "2"}) {
      y = activation(graph, linear(graph, y, {.out = h.in}, name), h.activation, name);
    }
    y = linear(graph, y, {.out = h.classes, .bias = h.bias}, "3");
    differentiate(graph, softmax_cross_entropy(graph, y, labels, h.smoothing).loss);
    fuse(graph);
  };
  c.fill = [h](const Value& value, std::size_t count, std::uint32_t,
               PhiloxRng& rng) -> std::optional<std::vector<std::uint32_t>> {
    if (value.name == "labels") {
      std::vector<std::uint32_t> labels(count);
      for (std::uint32_t& label : labels) label = rng.below(static_cast<std::uint32_t>(h.classes));
      return labels;
    }
    if (value.kind != ValueKind::parameter || value.shape.rank() < 2) return std::nullopt;
    const auto in = static_cast<double>(value.shape.elements_per_row());
    return words_of(normal_values(count, rng, 0, 1.5 / std::sqrt(in)));
  };
  return c;
}

void expect_merged(const Graph& graph, const ActivationSpec& activation) {
  std::size_t merged = 0;
  for (const auto& operation : graph.operations()) {
    const auto* head = dynamic_cast<const LinearCrossEntropy*>(operation.get());
    if (!head) continue;
    ++merged;
    EXPECT_NE(head->values().data_gradient, kNoValue);
    EXPECT_EQ(head->values().gradient_activation, activation);
  }
  EXPECT_EQ(merged, 1u);
}

class LinearCrossEntropyNetworkTest : public HeadTest {};

TEST_F(LinearCrossEntropyNetworkTest, EveryOperationMatchesItsReference) {
  std::uint64_t seed = 0;
  for (const std::int64_t batch : {33, 130}) {
    for (const ActivationSpec& activation : kActivations) {
      ++seed;
      Head h = {.batch = batch, .in = 9 + static_cast<std::int64_t>(seed), .classes = 10};
      h.bias = seed % 2 == 0;
      h.activation = activation;
      h.smoothing = seed % 3 == 0 ? 0.1 : 0;
      SCOPED_TRACE(to_string(h));
      OpCase c = network_case(h, seed);
      c.plan_for = next_profile();
      check(c);
      expect_merged(OpGraph(c).graph, activation);
    }
  }
}

}  // namespace
}  // namespace vktrain::testing
