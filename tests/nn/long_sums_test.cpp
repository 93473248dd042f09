// Sums as long as a driver's loops may be, and longer, against the reference on the device at hand.
// llvmpipe ends the loops of an invocation after 65,535 turns (runtime/driver_quirks.h).
#include <fmt/format.h>

#include <string>
#include <vector>

#include "nn/ops/avg_pool2d.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/conv2d.h"
#include "nn/ops/gemm.h"
#include "nn/ops/linear_cross_entropy.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "tests/nn/ops/image_case.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

class LongSums : public OpTest {
 protected:
  // Compiled for a CPU without shuffles, and for GPUs.
  runtime::DeviceProfile without_shuffles() {
    runtime::DeviceProfile profile = device().profile();
    profile.subgroup_shuffle = false;
    return profile;
  }
  runtime::DeviceProfile gpu() {
    runtime::DeviceProfile profile = device().profile();
    profile.kind = runtime::DeviceKind::discrete;
    return profile;
  }

  struct Kernels {
    runtime::DeviceProfile profile;
    std::string kernel;
  };
  std::vector<Kernels> product_kernels() {
    return {{device().profile(), ""},
            {without_shuffles(), "register"},
            {without_shuffles(), "tiled"},
            {gpu(), "tiled 64x64 by 8x4"}};
  }

  // All three forms, 2 x 3 results each, and the sums of a matrix of the third form.
  static OpCase product_case(std::int64_t k) {
    OpCase c;
    c.replicas = 1;
    c.build_whole = [k](Graph& graph) {
      const auto matrix = [&graph](const char* name, std::int64_t rows, std::int64_t columns) {
        return graph.add_external(name, {rows, columns}, DType::f32, false);
      };
      const auto product = [&graph](const char* name) {
        return graph.add_activation(name, {2, 3});
      };
      const ValueId wide = matrix("wide", 2, k), high = matrix("high", k, 3);
      GemmEpilogue sums;
      sums.column_sum = graph.add_activation("sums", {2});
      graph.add(std::make_unique<Gemm>(GemmForm::nt, wide, matrix("rows", 3, k), product("nt")));
      graph.add(std::make_unique<Gemm>(GemmForm::nn, wide, high, product("nn")));
      graph.add(
          std::make_unique<Gemm>(GemmForm::tn, matrix("columns", k, 2), high, product("tn"), sums));
    };
    return c;
  }

  // Whose sums are exact in any order, so that any term that is lost shows.
  static std::optional<std::vector<std::uint32_t>> small_integers(const Value& value,
                                                                  std::size_t count, std::uint32_t,
                                                                  PhiloxRng& rng) {
    if (value.dtype != DType::f32) return std::nullopt;
    std::vector<float> values(count);
    for (float& v : values) v = static_cast<float>(rng.below(5)) - 2;
    return words_of(values);
  }

  void check_with(OpCase c, const Kernels& kernels) {
    SCOPED_TRACE(fmt::format("{} kernel '{}'", to_string(kernels.profile.kind), kernels.kernel));
    c.plan_for = kernels.profile;
    c.kernel = kernels.kernel;
    c.replicas = 1;
    c.fill = small_integers;
    check(c);
  }
};

// Four of K a turn: just below the limit where that is known exactly, and past it.
TEST_F(LongSums, ProductsMatchReference) {
  for (const Kernels& kernels : product_kernels()) {
    check_with(product_case(270'000), kernels);
    if (!kernels.kernel.starts_with("tiled")) check_with(product_case(262'100), kernels);
  }
}

// Three loops over the rows, 16 a turn.
TEST_F(LongSums, BatchNormMatchesReference) {
  OpCase c;
  c.batch = 400'000;
  c.columns = 3;
  c.replicas = 1;
  c.build = [](Graph& graph, ValueId x) {
    return batch_norm_train(graph, x, BatchNormOptions{}, "op");
  };
  // The statistics are sums of 1 and -1.
  c.fill = [](const Value& value, std::size_t count, std::uint32_t,
              PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
    if (value.name == "pre.bias") return words_of(std::vector<float>(count, 0.0f));
    if (value.name != "input") return std::nullopt;
    std::vector<float> values(count);
    for (std::size_t i = 0; i < count; ++i) values[i] = i / 3 % 2 == 0 ? 1.0f : -1.0f;
    return words_of(values);
  };
  check(c);
}

TEST_F(LongSums, ConvolutionsMatchReference) {
  const auto point_case = [](std::int64_t channels) {
    return image_case({1, channels, 2, 2}, 1, [channels](Graph& graph, ValueId x) {
      const ValueId weight =
          graph.add_parameter({.name = "op.weight", .shape = {3, channels, 1, 1}});
      return conv2d(graph, x, weight, {}, "op");
    });
  };
  if (device().profile().subgroup_shuffle) {  // else "tiled" does it, whose loops are longer
    // Four channels a turn, and a turn for the last one.
    check_with(point_case(4 * 65'500 + 1), {device().profile(), "rows"});
  }
  check_with(point_case(38'000), {without_shuffles(), "tiled"});
  check_with(point_case(38'000), {gpu(), "tiled 32x32"});
}

TEST_F(LongSums, PoolingMatchesReference) {
  OpCase c = image_case({1, 4, 126, 126}, 1,
                        [](Graph& graph, ValueId x) { return global_avg_pool2d(graph, x, "op"); });
  // Of one sign, so that what is lost is not lost in the tolerance.
  c.fill = [](const Value& value, std::size_t count, std::uint32_t,
              PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
    if (value.name != "input" && value.name != "pre.bias") return std::nullopt;
    return words_of(std::vector<float>(count, 1.0f));
  };
  check(c);
}

TEST_F(LongSums, CrossEntropyMatchesReference) {
  OpCase c;
  c.batch = 3;
  c.replicas = 1;
  c.build_whole = [](Graph& graph) {
    const ValueId logits = graph.add_external("logits", {kBatch, 21'840}, DType::f32, false);
    const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    const CrossEntropy result = {.loss = graph.add_activation("loss", {kBatch}),
                                 .correct = graph.add_activation("correct", {kBatch}, DType::u32)};
    const ValueId gradient = graph.add_activation("gradient", {kBatch, 21'840});
    graph.add(std::make_unique<SoftmaxCrossEntropy>(logits, labels, result, gradient, 0.1));
  };
  check(c);
}

// Two loops over the inputs, four a turn, here as many as a loop may have. The logits are integers,
// and so are the products that are added up for the data gradient but for the gradients in them.
TEST_F(LongSums, LinearCrossEntropyMatchesReference) {
  OpCase c;
  c.batch = 5;
  c.replicas = 1;
  c.build_whole = [](Graph& graph) {
    constexpr std::int64_t kIn = 131'000, kClasses = 16;
    LinearCrossEntropyValues v;
    v.x = graph.add_external("x", {kBatch, kIn}, DType::f32, false);
    v.weight = graph.add_parameter({.name = "weight", .shape = {kClasses, kIn}});
    v.labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    v.result = {graph.add_activation("loss", {kBatch}),
                graph.add_activation("correct", {kBatch}, DType::u32)};
    v.gradient = graph.add_activation("gradient", {kBatch, kClasses});
    v.data_gradient = graph.add_activation("dx", {kBatch, kIn});
    graph.add(std::make_unique<LinearCrossEntropy>(v));
  };
  c.tolerance = [](const Operation&, ValueId, const ReferenceMemory&) {
    return Tolerance{.relative = 34, .absolute = 34};
  };
  for (const runtime::DeviceProfile& profile : {device().profile(), gpu()}) {
    check_with(c, {profile, ""});
  }
}

}  // namespace
}  // namespace vktrain::testing
