// The three forms of the matrix product, with the epilogues that fusions switch on, by both
// families of kernels, in the middle of a network.
#include "nn/ops/gemm.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <set>

#include "nn/fusion.h"
#include "nn/layers/linear.h"
#include "runtime/error.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

struct Sizes {
  std::int64_t batch, in, out;
};

// Around the tiles (16, 32, 64), the depth of a split (64) and what a kernel takes of K at once.
std::vector<Sizes> random_sizes(std::size_t count, std::uint64_t seed) {
  constexpr std::int64_t kBatches[] = {1,   2,   3,   5,   15,  16,  17,   31,
                                       33,  63,  64,  65,  127, 128, 129,  130,
                                       143, 145, 255, 256, 257, 512, 1023, 1030};
  constexpr std::int64_t kColumns[] = {1,  2,  3,  4,  5,  7,  8,  9,  10, 15,  16,
                                       17, 31, 32, 33, 48, 63, 64, 65, 67, 100, 129};
  std::vector<Sizes> all = {{1, 1, 1}, {1030, 1, 1}, {1, 129, 129}, {1030, 65, 17}, {64, 64, 64}};
  PhiloxRng rng(seed);
  const auto any = [&rng](std::span<const std::int64_t> sizes) {
    return sizes[rng.below(static_cast<std::uint32_t>(sizes.size()))];
  };
  while (all.size() < count) all.push_back({any(kBatches), any(kColumns), any(kColumns)});
  return all;
}

// The baseline on GPUs, which runs on any device.
runtime::DeviceProfile gpu_profile(const runtime::DeviceProfile& own) {
  runtime::DeviceProfile profile = own;
  profile.kind = runtime::DeviceKind::discrete;
  return profile;
}

enum class Family { shuffles, registers, tiled };

class GemmTest : public OpTest, public ::testing::WithParamInterface<Family> {
 protected:
  void SetUp() override {
    OpTest::SetUp();
    const runtime::DeviceProfile& own = device().profile();
    if (GetParam() == Family::shuffles && !(own.subgroup_shuffle && own.subgroup_size == 8)) {
      GTEST_SKIP() << "needs subgroups of 8 with shuffles";
    }
  }

  // x -> linear (in -> out) with bias -> activation -> linear (out -> 3) -> ...
  OpCase make_case(const Sizes& sizes, const ActivationSpec& spec, bool fused, std::uint64_t seed) {
    OpCase c;
    c.batch = sizes.batch;
    c.columns = sizes.in;
    c.replicas = 1 + static_cast<std::uint32_t>(seed % 3);
    c.seed = seed;
    c.build = [out = sizes.out, spec](Graph& graph, ValueId x) {
      const ValueId hidden = activation(graph, linear(graph, x, {.out = out}, "1"), spec, "2");
      return linear(graph, hidden, {.out = 3}, "3");
    };
    if (fused) c.rewrite = [](Graph& graph) { fuse(graph); };
    c.plan_for = profile();
    return c;
  }

  runtime::DeviceProfile profile() {
    runtime::DeviceProfile result = gpu_profile(device().profile());
    if (GetParam() != Family::tiled) result.kind = runtime::DeviceKind::cpu;
    if (GetParam() == Family::registers) result.subgroup_shuffle = false;
    return result;
  }

  static std::set<std::string> shaders(const Plan& plan) {
    std::set<std::string> names;
    for (const PlannedOperation& operation : plan.operations()) {
      for (const PlannedDispatch& dispatch : operation.dispatches) names.insert(dispatch.shader);
    }
    return names;
  }
};

TEST_P(GemmTest, AllFormsMatchReference) {
  std::uint64_t seed = 0;
  for (const Sizes& sizes : random_sizes(64, 3)) {
    ++seed;
    check(make_case(sizes, {}, seed % 2 == 0, seed));
    if (HasFailure()) break;
  }
}

TEST_P(GemmTest, EpiloguesMatchReference) {
  std::uint64_t seed = 100;
  for (const Activation kind :
       {Activation::relu, Activation::tanh, Activation::sigmoid, Activation::elu,
        Activation::leaky_relu, Activation::gelu, Activation::silu}) {
    for (const Sizes& sizes :
         {Sizes{1, 1, 1}, {5, 7, 3}, {65, 33, 17}, {257, 31, 65}, {1030, 9, 34}}) {
      check(make_case(sizes, {kind, kind == Activation::elu ? 1.5f : 0.5f}, true, ++seed));
    }
  }
}

// The fused network has all three forms, the second pass, and its activations in the products.
TEST_P(GemmTest, RunsTheKernelsItIsMeantToTest) {
  const OpGraph ops(make_case({1030, 9, 34}, {Activation::relu}, true, 1));
  OpRun run(device(), ops, 1030, 1);
  const std::set<std::string> names = shaders(run.plan());
  EXPECT_TRUE(names.contains("gemm_reduce"));
  for (const char* form : {"nt", "nn", "tn"}) {
    EXPECT_EQ(names.contains(fmt::format("gemm_register_{}", form)),
              GetParam() == Family::registers);
    EXPECT_EQ(names.contains(fmt::format("gemm_shuffle_{}", form)), GetParam() == Family::shuffles);
  }
  EXPECT_EQ(names.contains("gemm_tiled"), GetParam() == Family::tiled);
  EXPECT_FALSE(names.contains("activation_forward") || names.contains("activation_backward"));
}

// The reference rounds the operands, too, so that the tolerance stays that of f32.
TEST_P(GemmTest, MixedPrecisionMatchesReference) {
  std::uint64_t seed = 300;
  for (const Sizes& sizes : random_sizes(16, 11)) {
    OpCase c = make_case(sizes, {Activation::tanh}, true, ++seed);
    c.rewrite = [fused = seed % 2 == 0](Graph& graph) {
      if (fused) fuse(graph);
      set_precision(graph, Precision::mixed);
    };
    check(c);
    if (HasFailure()) break;
  }
}

// Without a backward pass the product applies them, too.
TEST_P(GemmTest, ActivationsWhoseDerivativesReadTheirInput) {
  for (const Activation kind : {Activation::gelu, Activation::silu}) {
    OpCase c = make_case({65, 32, 17}, {kind}, true, 5);
    c.input_gradient = false;
    c.build = [kind](Graph& graph, ValueId x) {
      const ValueId weight = graph.add_external("weight", {17, 32}, DType::f32, false);
      const ValueId product = linear_product(graph, x, weight, "1");
      return activation(graph, product, {kind}, "2");
    };
    const OpGraph ops(c);
    EXPECT_EQ(ops.graph.operations().front()->kind(), "gemm");
    EXPECT_EQ(ops.graph.operations()[1]->kind(), "weighted_loss");
    check(c);
  }
}

TEST_P(GemmTest, PaddingOfResultsIsZero) {
  for (const std::int64_t batch : {3, 130, 400}) {
    const OpGraph ops(make_case({batch, 5, 17}, {Activation::sigmoid}, true, 7));
    OpRun run(device(), ops, batch, 1);
    run.run();
    std::size_t padded = 0;
    for (const auto& operation : ops.graph.operations()) {
      if (operation->kind() != "gemm") continue;
      for (const ValueId id : operation->outputs()) {
        for (const std::uint32_t word : run.padding(id, 0)) {
          EXPECT_EQ(std::bit_cast<float>(word), 0.0f) << ops.graph.value(id).name;
          ++padded;
        }
      }
    }
    EXPECT_GT(padded, 0u);
  }
}

TEST_P(GemmTest, ReplicasAreTheSingleRuns) {
  const OpGraph ops([&] {
    OpCase c = make_case({300, 20, 33}, {Activation::tanh}, true, 9);
    c.replicas = 3;
    return c;
  }());
  OpRun all(device(), ops, 300, 3);
  all.run();
  for (std::uint32_t replica = 0; replica < 3; ++replica) {
    OpRun single(device(), ops, 300, 1, replica);
    single.run();
    for (ValueId id = 0; id < ops.graph.value_count(); ++id) {
      if (id == ops.loss || !all.has(id)) continue;
      EXPECT_TRUE(all.words(id, replica) == single.words(id, 0)) << ops.graph.value(id).name;
    }
  }
}

TEST_P(GemmTest, Gradients) { check_gradients(make_case({4, 5, 3}, {Activation::tanh}, false, 1)); }

INSTANTIATE_TEST_SUITE_P(Families, GemmTest,
                         ::testing::Values(Family::shuffles, Family::registers, Family::tiled),
                         [](const auto& instance) -> std::string {
                           return instance.param == Family::shuffles    ? "Shuffles"
                                  : instance.param == Family::registers ? "Registers"
                                                                        : "Tiled";
                         });

TEST(GemmShape, RefusesOtherShapes) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 100}, DType::f32, false);
  const ValueId weight = graph.add_parameter({.name = "1.weight", .shape = {10, 128}});
  try {
    linear_product(graph, x, weight, "1");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(),
                 "[gemm] 1: expected an input of shape [batch, 128], found [batch, 100]");
  }
}

}  // namespace
}  // namespace vktrain::testing
