// Run folders without a device: what is written when, refused folders, JSON texts, statistics.
#include "nn/training/run_folder.h"

#include <gtest/gtest.h>

#include <limits>

#include "nn/experiment/experiment_toml.h"
#include "nn/training/inference.h"
#include "nn/training/run_json.h"
#include "nn/training/statistics.h"
#include "runtime/atomic_file.h"
#include "tests/nn/expect_error.h"
#include "tests/support/temporary_folder.h"

namespace vktrain::nn {
namespace {

using vktrain::testing::TemporaryFolder;

Experiment small_experiment() {
  Experiment experiment;
  experiment.id = "small";
  experiment.model.layers = {{.type = LayerType::flatten}, {.type = LayerType::linear, .out = 10}};
  return experiment;
}

EpochMetrics epoch(std::int64_t number, double validation, double test) {
  EpochMetrics metrics;
  metrics.epoch = number;
  metrics.validation = EvaluationMetrics{.accuracy = validation};
  metrics.test.accuracy = test;
  metrics.seconds = 0.5;
  return metrics;
}

TEST(RunFolder, HasAResultOnlyOnceFinished) {
  TemporaryFolder folder;
  RunFolder run(folder / "a/b", small_experiment(), {}, {"1.2.3", ""});
  EXPECT_EQ(parse_experiment(read_text_file(run.path() / kConfigFile), ""), small_experiment());
  EXPECT_NE(read_text_file(run.path() / kDeviceFile).find("\"commit\": null"), std::string::npos);

  RunResultBuilder results;
  for (const EpochMetrics& metrics : {epoch(1, 0.75, 0.5), epoch(2, 0.5, 0.625)}) {
    run.add_epoch(metrics);
    results.add_epoch(metrics);
    // Whole lines are in the file while the run goes on.
    EXPECT_TRUE(read_text_file(run.path() / kMetricsFile).ends_with(to_json_line(metrics) + "\n"));
  }
  run.add_steps(std::vector<StepRecord>{{1, 0.1, 0.25}, {2, 1e-7, 1}});
  EXPECT_EQ(read_text_file(run.path() / kStepsFile),
            "{\"step\":1,\"loss\":0.1,\"accuracy\":0.25}\n"
            "{\"step\":2,\"loss\":1e-07,\"accuracy\":1.0}\n");
  EXPECT_FALSE(std::filesystem::exists(run.path() / kResultFile));

  RunResult result = results.result(epoch(2, 0.5, 0.625));
  result.parameter_count = 7850;
  EXPECT_EQ(result.last.epoch, 2);
  EXPECT_EQ(result.best.epoch, 1);  // by validation accuracy
  EXPECT_EQ(result.train_seconds, 1.0);
  EXPECT_EQ(result.weights_per_second(), 7850.0);
  run.finish(result, {{make_f32_tensor("1.bias", {2}, std::vector<float>{1, 2})}, {}});
  EXPECT_TRUE(std::filesystem::exists(run.path() / kResultFile));

  const SavedRun saved = load_run(run.path());
  EXPECT_EQ(saved.experiment, small_experiment());
  EXPECT_EQ(f32_values(saved.parameters.tensors.at(0)), (std::vector<float>{1, 2}));
}

TEST(RunFolder, BestIsByTestAccuracyWithoutValidation) {
  RunResultBuilder results;
  for (const double accuracy : {0.5, 0.75, 0.75, 0.25}) {
    EpochMetrics metrics = epoch(0, 0, accuracy);
    metrics.validation.reset();
    results.add_epoch(metrics);
  }
  EXPECT_EQ(results.result(epoch(4, 0, 0.25)).best.test.accuracy, 0.75);
  EXPECT_EQ(results.result(epoch(4, 0, 0.25)).last.test.accuracy, 0.25);
}

TEST(RunFolder, OverfittingGapIsOfTheLosses) {
  RunResult result;
  EXPECT_EQ(result.overfitting_gap(), std::nullopt);
  result.last.train_loss = 0.25;
  result.last.validation = EvaluationMetrics{.loss = 0.375};
  EXPECT_EQ(result.overfitting_gap(), 0.125);
}

TEST(RunFolder, RefusesAFolderInUse) {
  TemporaryFolder folder;
  write_file_atomically(folder / "file", "x");
  expect_error([&] { require_unused(folder.path()); }, {folder.path().string(), "--run-dir"});
  expect_error([&] { require_unused(folder / "file"); }, {"file", "--run-dir"});
  expect_error([&] { RunFolder(folder / "file/run", small_experiment(), {}, {}); }, {"file/run"});
  require_unused(folder / "new");
  EXPECT_EQ(folder.names(), std::vector<std::string>{"file"});
}

TEST(RunFolder, NewFoldersAreNumbered) {
  TemporaryFolder folder;
  EXPECT_EQ(make_new_folder(folder / "runs/x"), folder / "runs/x");
  EXPECT_EQ(make_new_folder(folder / "runs/x"), folder / "runs/x-2");
  EXPECT_EQ(make_new_folder(folder / "runs/x"), folder / "runs/x-3");
  write_file_atomically(folder / "file", "x");
  EXPECT_EQ(make_new_folder(folder / "file"), folder / "file-2");
}

TEST(RunJson, NotANumberIsNull) {
  EpochMetrics metrics = epoch(1, 0, 0);
  metrics.validation.reset();
  metrics.train_loss = std::numeric_limits<double>::quiet_NaN();
  metrics.test.loss = std::numeric_limits<double>::infinity();
  EXPECT_EQ(to_json_line(metrics),
            "{\"epoch\":1,\"learning_rate\":0.0,\"train_loss\":null,\"train_accuracy\":0.0,\"val_"
            "loss\":null,"
            "\"val_accuracy\":null,\"test_loss\":null,\"test_accuracy\":0.0,\"seconds\":0.5,"
            "\"images_per_second\":0.0}");
}

TEST(RunJson, DeviceNamesNeedNotBeUtf8) {
  runtime::DeviceProfile device;
  device.name = "bad \xff name";
  EXPECT_NE(device_json(device, {}).find("bad"), std::string::npos);
}

TEST(Statistics, MeanAndSampleDeviation) {
  EXPECT_EQ(mean_of(std::vector<double>{1, 2, 6}), 3.0);
  EXPECT_EQ(sample_deviation(std::vector<double>{1, 3, 5}), 2.0);
  EXPECT_EQ(sample_deviation(std::vector<double>{1}), std::nullopt);
}

TEST(Inference, SoftmaxAndPrediction) {
  const std::vector<float> logits = {1000, 1000, 0, 0, 0, 1};
  const std::vector<double> p = softmax(std::span(logits).first(3));
  EXPECT_DOUBLE_EQ(p[0], 0.5);
  EXPECT_DOUBLE_EQ(p[1], 0.5);
  EXPECT_EQ(p[2], 0.0);
  EXPECT_EQ(predicted_class(std::span(logits).first(3)), 0u);  // the first of equals
  EXPECT_EQ(predicted_class(std::span(logits).last(3)), 2u);
}

TEST(Confusion, AccuraciesAndTheLargest) {
  Confusion none(3, {2, 0, 0, 0, 0, 0, 0, 0, 4});
  EXPECT_FALSE(none.largest());
  EXPECT_FALSE(none.class_accuracy(1));  // no image of it
  Confusion sum;
  sum += none;
  sum += Confusion(3, {1, 1, 0, 2, 1, 0, 0, 2, 0});
  EXPECT_EQ(sum.images(1), 3);
  EXPECT_EQ(sum.class_accuracy(0), 0.75);
  const std::optional<Confusion::Pair> largest = sum.largest();  // 1 for 0 as often as 2 for 1
  ASSERT_TRUE(largest);
  EXPECT_EQ(largest->truth, 1u);
  EXPECT_EQ(largest->predicted, 0u);
  EXPECT_EQ(largest->count, 2);
}

}  // namespace
}  // namespace vktrain::nn
