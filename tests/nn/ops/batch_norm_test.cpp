#include "nn/ops/batch_norm.h"

#include <cmath>

#include "nn/fusion.h"
#include "nn/ops/activation.h"
#include "runtime/error.h"
#include "tests/nn/ops/image_case.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {
namespace {

using namespace nn;

struct Settings {
  bool training = true;
  double mean = 0;
  double deviation = 1;
  bool input_gradient = true;
  std::uint32_t runs = 1;
  Activation activation = Activation::none;  // behind it, merged into it by a fusion
};

ValueId value_named(const Graph& graph, std::string_view name) {
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (graph.value(id).name == name) return id;
  }
  ADD_FAILURE() << "no value " << name;
  return 0;
}

class BatchNormTest : public OpTest {
 protected:
  static OpCase make_case(std::int64_t batch, std::int64_t columns, std::uint64_t seed,
                          const Settings& s) {
    OpCase c;
    c.batch = batch;
    c.columns = columns;
    c.replicas = 1 + static_cast<std::uint32_t>(seed % 3);
    c.seed = seed;
    c.build = build(s);
    set(c, s);
    return c;
  }

  static OpCase make_case(const ImageShape& image, std::uint64_t seed, const Settings& s) {
    OpCase c = image_case(image, seed, build(s));
    set(c, s);
    return c;
  }

  static std::int64_t at_least_two(std::int64_t batch) { return std::max<std::int64_t>(batch, 2); }

 private:
  static std::function<ValueId(Graph&, ValueId)> build(const Settings& s) {
    return [training = s.training, kind = s.activation](Graph& graph, ValueId x) {
      const ValueId y = training ? batch_norm_train(graph, x, BatchNormOptions{}, "op")
                                 : batch_norm_eval(graph, x, BatchNormOptions{}, "op");
      return activation(graph, y, {kind, 0.5f}, "behind");
    };
  }

  static void set(OpCase& c, const Settings& s) {
    c.runs = s.runs;
    c.input_gradient = s.input_gradient;
    c.rewrite = [](Graph& graph) {
      fuse(graph);
      for (const auto& operation : graph.operations()) {
        EXPECT_NE(operation->kind(), "activation_forward");
      }
    };
    c.fill = [s](const Value& value, std::size_t count, std::uint32_t,
                 PhiloxRng& rng) -> std::optional<std::vector<std::uint32_t>> {
      if (value.name == "input") return words_of(normal_values(count, rng, s.mean, s.deviation));
      if (value.name != "op.running_var") return std::nullopt;
      std::vector<float> variances(count);
      for (float& v : variances) v = static_cast<float>(rng.uniform(0.5, 2));
      return words_of(variances);
    };
  }
};

TEST_F(BatchNormTest, TrainMatchesReference) {
  std::uint64_t seed = 0;
  for (const auto& [batch, columns] : odd_shapes(24, 23)) {
    check_both(make_case(at_least_two(batch), columns, ++seed, {}));
  }
}

TEST_F(BatchNormTest, EvalMatchesReference) {
  std::uint64_t seed = 50;
  for (const auto& [batch, columns] : odd_shapes(20, 29)) {
    check_both(make_case(batch, columns, ++seed, {.training = false}));
  }
}

// The mean is up to a million standard deviations: naive sums of squares would lose everything.
TEST_F(BatchNormTest, LargeMeanCostsNoDigits) {
  std::uint64_t seed = 100;
  for (double mean : {1e2, -1e4, 1e6}) {
    for (const auto& [batch, columns] : {std::pair{512, 10}, std::pair{65, 5}}) {
      check(make_case(batch, columns, ++seed, {.mean = mean}));
      check(make_case(batch, columns, ++seed, {.mean = mean, .input_gradient = false}));
    }
  }
}

TEST_F(BatchNormTest, ActivationsInItMatchReference) {
  std::uint64_t seed = 140;
  for (const bool training : {true, false}) {
    for (const Activation kind : {Activation::relu, Activation::tanh, Activation::sigmoid,
                                  Activation::elu, Activation::leaky_relu}) {
      const Settings s{.training = training, .activation = kind};
      check(make_case(33, 6, ++seed, s));
      check(make_case({18, 3, 5, 7}, ++seed, s));
      check(make_case({4, 5, 6, 6}, ++seed, s));
    }
  }
}

// Their derivatives read what stands before them: only evaluation, which has none, merges them.
TEST_F(BatchNormTest, GeluAndSiluInEvaluationMatchReference) {
  std::uint64_t seed = 180;
  for (const Activation kind : {Activation::gelu, Activation::silu}) {
    for (const Shape& shape : {Shape{kBatch, 7}, Shape{kBatch, 3, 5, 7}}) {
      OpCase c = make_case(19, 1, ++seed, {});
      c.build = nullptr;
      c.build_whole = [kind, shape](Graph& graph) {
        const ValueId x = graph.add_external("input", shape, DType::f32, false);
        const ValueId y = batch_norm_eval(graph, x, BatchNormOptions{}, "op");
        graph.keep(activation(graph, y, {kind}, "behind"));
      };
      check(c);
    }
  }
}

TEST_F(BatchNormTest, SmallDeviationIsHeldUpByEpsilon) {
  check(make_case(64, 9, 5, {.deviation = 1e-4, .input_gradient = false}));
}

TEST_F(BatchNormTest, RunningStatisticsFollowSeveralSteps) {
  check(make_case(65, 7, 200, {.runs = 4}));
  check(make_case(3, 130, 201, {.mean = 5, .runs = 4}));
}

// PyTorch's definition by hand: batch {1, 3}: mean 2, unbiased variance 2.
TEST_F(BatchNormTest, RunningVarianceIsUnbiased) {
  OpCase c = make_case(2, 1, 3, {.input_gradient = false});
  c.replicas = 1;
  c.fill = [](const Value& value, std::size_t count, std::uint32_t,
              PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
    if (value.name == "input") return words_of({1, 3});
    if (value.name == "op.running_var") return words_of(std::vector<float>(count, 1));
    if (value.name == "op.running_mean") return words_of(std::vector<float>(count, 0));
    return std::nullopt;
  };
  const OpGraph ops(c);
  OpRun run(device(), ops, 2, 1);
  run.run();
  EXPECT_NEAR(run.floats(value_named(ops.graph, "op.running_mean"), 0)[0], 0.2, 1e-7);
  EXPECT_NEAR(run.floats(value_named(ops.graph, "op.running_var"), 0)[0], 1.1, 1e-7);
}

TEST_F(BatchNormTest, MeanIsASumOfTwoFloats) {
  const OpGraph ops(make_case(513, 6, 9, {.mean = 1e5, .input_gradient = false}));
  OpRun run(device(), ops, 513, 1);
  run.run();
  const auto* train = dynamic_cast<const BatchNormTrain*>(ops.graph.operations()[0].get());
  ASSERT_NE(train, nullptr);
  const std::vector<float> mean = run.floats(train->mean(), 0), x = run.floats(ops.x, 0);
  for (std::size_t c = 0; c < 6; ++c) {
    double expected = 0;
    for (std::size_t n = 0; n < 513; ++n) expected += static_cast<double>(x[n * 6 + c]);
    expected /= 513;
    // One float alone would be off by up to 1e5 * 2^-24 = 6e-3.
    EXPECT_NEAR(static_cast<double>(mean[c]) + static_cast<double>(mean[6 + c]), expected, 1e-6);
  }
}

TEST_F(BatchNormTest, TrainMatchesReferenceForImages) {
  std::uint64_t seed = 300;
  for (const ImageShape& image : odd_images(26, 31)) {
    if (image.batch * image.height * image.width == 1) continue;
    check_both(make_case(image, ++seed, {}));
  }
}

TEST_F(BatchNormTest, EvalMatchesReferenceForImages) {
  std::uint64_t seed = 350;
  for (const ImageShape& image : odd_images(22, 37)) {
    check_both(make_case(image, ++seed, {.training = false}));
  }
}

// Several workgroups of columns and chunks of rows.
TEST_F(BatchNormTest, ManyColumnsAndChunksOfImages) {
  check_both(make_case({200, 6, 14, 14}, 371, {}));
  check_both(make_case({150, 20, 7, 7}, 372, {}));
  check(make_case({130, 3, 13, 13}, 373, {.training = false}));
}

TEST_F(BatchNormTest, LargeMeanOfImagesCostsNoDigits) {
  std::uint64_t seed = 400;
  for (double mean : {1e2, -1e4, 1e6}) {
    for (const ImageShape& image : {ImageShape{65, 5, 7, 7}, ImageShape{3, 2, 8, 8}}) {
      check(make_case(image, ++seed, {.mean = mean}));
      check(make_case(image, ++seed, {.mean = mean, .input_gradient = false}));
    }
  }
}

// The first position of every plane, and the first images, are far from the rest, so that sums of
// squares around them lose digits.
TEST_F(BatchNormTest, OutliersInFrontCostsNoDigits) {
  OpCase c = make_case({130, 2, 5, 7}, 410, {.input_gradient = false});
  c.fill = [](const Value& value, std::size_t count, std::uint32_t,
              PhiloxRng& rng) -> std::optional<std::vector<std::uint32_t>> {
    if (value.name != "input") return std::nullopt;
    std::vector<float> values = normal_values(count, rng);
    for (std::size_t column : {std::size_t{0}, std::size_t{35}}) {
      for (std::size_t row = 0; row < 130; ++row) values[row * 70 + column] += 1000;
      for (std::size_t i = 0; i < 35; ++i) values[column + i] -= 100;
    }
    return words_of(values);
  };
  check(c);
}

TEST_F(BatchNormTest, RunningStatisticsOfImagesFollowSeveralSteps) {
  check(make_case({65, 3, 5, 3}, 420, {.runs = 4}));
  check(make_case({1, 6, 4, 4}, 421, {.mean = 5, .runs = 4}));
}

// By hand: the values 1, 3, 1, 3 of two planes: mean 2, unbiased variance 4 / 3.
TEST_F(BatchNormTest, RunningVarianceOfImagesCountsEveryPosition) {
  OpCase c = make_case({2, 1, 1, 2}, 3, {.input_gradient = false});
  c.replicas = 1;
  c.fill = [](const Value& value, std::size_t count, std::uint32_t,
              PhiloxRng&) -> std::optional<std::vector<std::uint32_t>> {
    if (value.name == "input") return words_of({1, 3, 1, 3});
    if (value.name == "op.running_var") return words_of(std::vector<float>(count, 1));
    if (value.name == "op.running_mean") return words_of(std::vector<float>(count, 0));
    return std::nullopt;
  };
  const OpGraph ops(c);
  OpRun run(device(), ops, 2, 1);
  run.run();
  EXPECT_NEAR(run.floats(value_named(ops.graph, "op.running_mean"), 0)[0], 0.2, 1e-7);
  EXPECT_NEAR(run.floats(value_named(ops.graph, "op.running_var"), 0)[0], 0.9 + 0.4 / 3, 1e-7);
}

TEST_F(BatchNormTest, MeanOfImagesIsASumOfTwoFloats) {
  const ImageShape image{129, 3, 5, 5};
  const OpGraph ops(make_case(image, 9, {.mean = 1e5, .input_gradient = false}));
  OpRun run(device(), ops, image.batch, 1);
  run.run();
  const std::vector<float> mean = run.floats(value_named(ops.graph, "op.mean"), 0);
  const std::vector<float> x = run.floats(ops.x, 0);
  for (std::size_t c = 0; c < 3; ++c) {
    double expected = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (i / 25 % 3 == c) expected += static_cast<double>(x[i]) / (129 * 25);
    }
    EXPECT_NEAR(static_cast<double>(mean[c]) + static_cast<double>(mean[3 + c]), expected, 1e-6);
  }
}

TEST_F(BatchNormTest, Gradients) {
  check_gradients(make_case(7, 5, 1, {}));
  check_gradients(make_case(7, 5, 2, {.training = false}));
  check_gradients(make_case({3, 2, 3, 2}, 3, {}));
  check_gradients(make_case({3, 2, 3, 2}, 4, {.training = false}));
}

std::string error_of_planning(runtime::Device& device, const OpCase& c, std::int64_t batch) {
  const OpGraph ops(c);
  ParameterStorage storage(device, ops.parameters, 1, 0);
  return error_of([&] { Executable(device, ops.graph, storage, {.batch = batch}); });
}

TEST_F(BatchNormTest, TrainingRefusesOneValuePerChannel) {
  EXPECT_EQ(error_of_planning(device(), make_case(2, 128, 1, {}), 1),
            "[batch_norm] op: expected more than 1 value per channel when training, found input of "
            "shape [1, 128]; use a batch size that leaves no last batch of 1");
  EXPECT_EQ(error_of_planning(device(), make_case({2, 6, 1, 1}, 1, {}), 1),
            "[batch_norm] op: expected more than 1 value per channel when training, found input of "
            "shape [1, 6, 1, 1]; use a batch size that leaves no last batch of 1");
  EXPECT_EQ(error_of_planning(device(), make_case({2, 6, 1, 2}, 1, {}), 1), "");
}

TEST(BatchNormShape, RefusesOtherShapes) {
  ParameterSet parameters;
  Graph graph(parameters);
  const BatchNormParameters norm = batch_norm_parameters(graph, 128, "2");
  const auto error = [&](const Shape& shape) {
    const ValueId x = graph.add_external("x", shape, DType::f32, false);
    return error_of([&] { batch_norm_train(graph, x, norm, {}, "2"); });
  };
  EXPECT_EQ(error({kBatch, 100}),
            "[batch_norm] 2: expected input of shape [batch, 128], found [batch, 100]");
  EXPECT_EQ(error({kBatch, 3, 8, 8}),
            "[batch_norm] 2: expected input of shape [batch, 128, height, width], found [batch, 3, "
            "8, 8]");
  EXPECT_EQ(error({kBatch, 128, 8}),
            "[batch_norm] 2: expected input of shape [batch, 128] or [batch, 128, height, width], "
            "found [batch, 128, 8]");
  EXPECT_EQ(error_of([&] {
              const ValueId x = graph.add_external("x", {kBatch}, DType::f32, false);
              batch_norm_eval(graph, x, BatchNormOptions{}, "3");
            }),
            "[batch_norm] 3: expected input of shape [batch, channels] or [batch, channels, "
            "height, width], found [batch]");
}

TEST(BatchNormShape, DeclaresParametersAsPyTorchNamesThem) {
  ParameterSet parameters;
  Graph graph(parameters);
  const ValueId x = graph.add_external("x", {kBatch, 8}, DType::f32, false);
  batch_norm_train(graph, x, BatchNormOptions{}, "2");
  Graph evaluation(parameters);
  const ValueId input = evaluation.add_external("x", {kBatch, 8}, DType::f32, false);
  batch_norm_eval(evaluation, input, BatchNormOptions{}, "2");
  ASSERT_EQ(parameters.size(), 4u);
  for (const auto& [name, value, trainable] :
       {std::tuple{"2.weight", 1.0, true}, std::tuple{"2.bias", 0.0, true},
        std::tuple{"2.running_mean", 0.0, false}, std::tuple{"2.running_var", 1.0, false}}) {
    const Parameter& parameter = parameters[parameters.index_of(name)];
    EXPECT_EQ(parameter.initializer, (Initializer{InitializerKind::constant, value})) << name;
    EXPECT_EQ(parameter.trainable, trainable) << name;
    EXPECT_EQ(parameter.shape, Shape{8}) << name;
  }
}

}  // namespace
}  // namespace vktrain::testing
