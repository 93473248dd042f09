// Devices that end loops after some turns: every operation splits its sums, or refuses; and what is
// split gives the results of the reference.
#include "nn/loop_turns.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "nn/fusion.h"
#include "nn/layers/linear.h"
#include "nn/ops/activation.h"
#include "nn/ops/avg_pool2d.h"
#include "nn/ops/batch_norm.h"
#include "nn/ops/clip_gradients.h"
#include "nn/ops/confusion_matrix.h"
#include "nn/ops/end_step.h"
#include "nn/ops/linear_cross_entropy.h"
#include "nn/ops/max_pool2d.h"
#include "nn/ops/softmax_cross_entropy.h"
#include "tests/nn/ops/conv2d_case.h"
#include "tests/nn/ops/image_case.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

// What llvmpipe tells, but for the limit.
runtime::DeviceProfile profile(std::uint32_t max_loop_turns) {
  runtime::DeviceProfile result;
  result.name = "Test device";
  result.kind = runtime::DeviceKind::cpu;
  result.subgroup_size = 8;
  result.subgroup_shuffle = true;
  result.max_shared_memory = 32768;
  result.max_workgroup_invocations = 1024;
  result.max_workgroup_size = {1024, 1024, 1024};
  result.max_workgroup_count = {65535, 65535, 65535};
  result.max_storage_range = result.max_allocation = std::uint64_t{1} << 31;
  result.max_texel_elements = std::uint64_t{1} << 31;
  result.texel_alignment = 16;
  result.max_loop_turns = max_loop_turns;
  return result;
}

runtime::DeviceProfile gpu(runtime::DeviceProfile profile) {
  profile.kind = runtime::DeviceKind::discrete;
  profile.half_matrix = {16, 16, 16};
  return profile;
}

runtime::DeviceProfile without_shuffles(runtime::DeviceProfile profile) {
  profile.subgroup_shuffle = false;
  return profile;
}

TEST(LoopTurns, CountTheTurnThatFindsTheEnd) {
  const LoopTurns turns = {.step = 4, .per_step = 3, .others = 5};
  EXPECT_EQ(turns.of(0), 5);
  EXPECT_EQ(turns.of(1), 8);
  EXPECT_EQ(turns.of(9), 14);
  EXPECT_EQ(LoopTurns{}.of(100), 101);
}

TEST(LoopTurns, MostTermsFillTheLimit) {
  for (const LoopTurns& turns :
       {LoopTurns{}, {.step = 4, .per_step = 3, .others = 5}, {.step = 16, .per_step = 18}}) {
    const std::int64_t most = turns.most_terms(profile(100));
    EXPECT_LE(turns.of(most), 100);
    EXPECT_GT(turns.of(most + 1), 100);
    EXPECT_GE(turns.most_terms(profile(0)), std::int64_t{1} << 40);
  }
  EXPECT_EQ((LoopTurns{.step = 16, .others = 9}.most_terms(profile(8))), 16);
}

// Of the case's dispatches; throws what planning throws.
std::int64_t most_turns(const OpGraph& ops, std::int64_t batch,
                        const runtime::DeviceProfile& device) {
  const Plan plan(ops.graph, ParameterLayout(ops.parameters), device, {.batch = batch});
  std::int64_t most = 0;
  for (const PlannedOperation& operation : plan.operations()) {
    for (const PlannedDispatch& dispatch : operation.dispatches) {
      most = std::max(most, dispatch.turns);
    }
  }
  return most;
}

OpCase matrix_case(std::int64_t batch, std::int64_t columns,
                   std::function<ValueId(Graph&, ValueId)> build) {
  OpCase c;
  c.batch = batch;
  c.columns = columns;
  c.build = std::move(build);
  return c;
}

OpCase norm_case(std::int64_t batch, bool training) {
  OpCase c = matrix_case(batch, 5, [training](Graph& graph, ValueId x) {
    return training ? batch_norm_train(graph, x, BatchNormOptions{}, "op")
                    : batch_norm_eval(graph, x, BatchNormOptions{}, "op");
  });
  c.fill = [](const Value& value, std::size_t count, std::uint32_t,
              PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
    if (value.name != "op.running_var") return std::nullopt;
    return words_of(std::vector<float>(count, 1.5f));
  };
  return c;
}

// x -> linear -> activation -> linear, with all epilogues.
OpCase product_case(std::int64_t batch, std::int64_t in, std::int64_t out, Precision precision) {
  OpCase c = matrix_case(batch, in, [out](Graph& graph, ValueId x) {
    const ValueId hidden = linear(graph, x, {.out = out}, "1");
    return linear(graph, activation(graph, hidden, {Activation::tanh}, "2"), {.out = 3}, "3");
  });
  c.rewrite = [precision](Graph& graph) {
    fuse(graph);
    set_precision(graph, precision);
  };
  return c;
}

ConvCase convolution(std::int64_t batch, std::int64_t in, std::int64_t out, std::int64_t groups,
                     std::int64_t side) {
  const Size2d one = {1, 1};
  return {batch, in, {side, side}, out, {{{3, 3}, one, one, one, one}, groups}};
}

OpCase loss_case(std::int64_t batch, std::int64_t classes, bool confusion) {
  OpCase c;
  c.batch = batch;
  c.build_whole = [classes, confusion](Graph& graph) {
    const ValueId logits = graph.add_external("logits", {kBatch, classes}, DType::f32, false);
    const ValueId labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    if (confusion) {
      confusion_matrix(graph, logits, labels);
    } else {
      end_step(graph, softmax_cross_entropy(graph, logits, labels, 0), add_step_inputs(graph, 1));
    }
  };
  return c;
}

OpCase linear_loss_case(std::int64_t in, bool data_gradient) {
  OpCase c;
  c.build_whole = [in, data_gradient](Graph& graph) {
    LinearCrossEntropyValues v;
    v.x = graph.add_external("x", {kBatch, in}, DType::f32, false);
    v.weight = graph.add_parameter({.name = "weight", .shape = {3, in}});
    v.labels = graph.add_external("labels", {kBatch}, DType::u32, false);
    v.result = {graph.add_activation("loss", {kBatch}),
                graph.add_activation("correct", {kBatch}, DType::u32)};
    v.gradient = graph.add_activation("gradient", {kBatch, 3});
    if (data_gradient) v.data_gradient = graph.add_activation("dx", {kBatch, in});
    graph.add(std::make_unique<LinearCrossEntropy>(v));
  };
  return c;
}

struct Limited {
  const char* name;
  OpCase operation;
  std::int64_t turns;
  const char* way_out;
  bool shuffles = true;
};

std::vector<Limited> limited_operations() {
  constexpr const char* kSmallerBatch = "use a smaller batch size";
  constexpr const char* kClasses = "use fewer classes";
  constexpr const char* kInputs = "use fewer inputs of the last layer";
  constexpr const char* kWindow = "use a smaller window";
  constexpr const char* kChannels = "use fewer channels or a smaller kernel";
  const auto image = [](std::int64_t batch, auto build) {
    return image_case({batch, 3, 14, 14}, 1, build);
  };
  const auto pooled = [&image](const Window2d& window) {
    return image(3,
                 [window](Graph& graph, ValueId x) { return max_pool2d(graph, x, window, "op"); });
  };
  const OpCase average =
      image(3, [](Graph& graph, ValueId x) { return global_avg_pool2d(graph, x, "op"); });
  const OpCase norm = image(1'000, [](Graph& graph, ValueId x) {
    return batch_norm_train(graph, x, BatchNormOptions{}, "op");
  });
  OpCase clipped = norm_case(10, true);
  clipped.rewrite = [](Graph& graph) { clip_gradients(graph, {.norm = 1}); };
  return {
      // 2 walks over 16 chunks of 51 vec4 by 16 lanes, and the sums of these in pairs.
      {"batch norm of images", norm, 2 * (51 + 1 + 4 + 1), kSmallerBatch},
      // 63 turns of 16 rows.
      {"column sum", matrix_case(1'000, 5, [](Graph&, ValueId x) { return x; }), 63 + 1 + 16 + 1,
       kSmallerBatch},
      {"loss", loss_case(5, 100, false), 100 + 100 + 1, kClasses},
      {"loss with its layer", linear_loss_case(101, false), 26 + 1, kInputs},
      {"loss with its layer and data gradient", linear_loss_case(101, true), 2 * (26 + 1), kInputs},
      {"confusion matrix", loss_case(5, 100, true), 25 * 6 + 1, kClasses},
      {"end of a step", loss_case(700, 2, false), 44 + 2 + 5, kSmallerBatch},
      {"max pooling", pooled({.kernel = {7, 7}, .stride = {2, 2}}), 4 * (7 * 9 + 1), kWindow},
      {"average pooling", average, 3 * (14 * 16 + 1), kWindow},
      {"clipping", clipped, 2 + 1 + 64 + 2, "use a smaller model"},
      // Four kernel rows a turn.
      {"rows", network(convolution(1, 40, 4, 1, 8), {}, 1), 40 * 3 / 4 + 1, kChannels},
      {"tiled", network(convolution(1, 40, 4, 1, 8), {}, 1), 23 * 27 + 22, kChannels, false},
      {"depthwise", network(convolution(1, 4, 8, 4, 8), {}, 1), 2 * 17 + 1 + 14, kChannels, false},
  };
}

TEST(LoopTurns, WhatCannotBeSplitIsRefused) {
  for (const Limited& l : limited_operations()) {
    SCOPED_TRACE(l.name);
    const OpGraph ops(l.operation);
    const auto turns_within = [&](std::int64_t limit) {
      const runtime::DeviceProfile device = profile(to_u32(limit));
      return most_turns(ops, l.operation.batch, l.shuffles ? device : without_shuffles(device));
    };
    EXPECT_EQ(turns_within(0), l.turns);
    EXPECT_EQ(turns_within(l.turns), l.turns);
    const std::string error = error_of([&] { turns_within(l.turns - 1); });
    for (const std::string& part :
         {std::string(l.way_out), fmt::format("up to {} turns for a batch of", l.turns),
          fmt::format("Test device ends loops after {} turns", l.turns - 1)}) {
      EXPECT_NE(error.find(part), std::string::npos) << part << " is not in: " << error;
    }
  }
}

struct Split {
  const char* name;
  OpCase operation;
  std::uint32_t limit;  // below what it takes in one
};

// Convolutions by each family of kernels, the others by what a device has.
std::vector<Split> split_operations() {
  OpCase depthwise = network(convolution(100, 352, 352, 352, 8), {}, 1);
  depthwise.input_gradient = false;  // whose sum over the batch takes more
  depthwise.replicas = 1;
  return {{"products", product_case(5, 700, 600, Precision::f32), 80},
          {"products in mixed precision", product_case(5, 700, 600, Precision::mixed), 80},
          {"batch norm", norm_case(20'000, true), 350},
          {"batch norm by running statistics", norm_case(20'000, false), 350},
          {"convolution", network(convolution(100, 1, 2, 1, 8), {Activation::tanh}, 1), 130},
          {"depthwise convolution", depthwise, 40}};
}

// A CPU with shuffles and without, and a GPU with matrix units.
std::vector<runtime::DeviceProfile> devices(std::uint32_t max_loop_turns) {
  const runtime::DeviceProfile own = profile(max_loop_turns);
  return {own, without_shuffles(own), gpu(own)};
}

TEST(LoopTurns, LongSumsAreSplit) {
  for (const Split& split : split_operations()) {
    SCOPED_TRACE(split.name);
    const OpGraph ops(split.operation);
    std::int64_t most = 0;
    for (const runtime::DeviceProfile& device : devices(0)) {
      most = std::max(most, most_turns(ops, split.operation.batch, device));
    }
    EXPECT_GT(most, split.limit);
    for (const runtime::DeviceProfile& device : devices(split.limit)) {
      EXPECT_LE(most_turns(ops, split.operation.batch, device), split.limit);
    }
  }
}

class LoopTurnsTest : public OpTest {};

TEST_F(LoopTurnsTest, SplitSumsMatchReference) {
  for (Split& split : split_operations()) {
    SCOPED_TRACE(split.name);
    runtime::DeviceProfile own = device().profile();
    own.max_loop_turns = split.limit;
    runtime::DeviceProfile discrete = own;
    discrete.kind = runtime::DeviceKind::discrete;
    for (const runtime::DeviceProfile& device : {own, without_shuffles(own), discrete}) {
      split.operation.plan_for = device;
      check(split.operation);
    }
  }
}

}  // namespace
}  // namespace vktrain::testing
