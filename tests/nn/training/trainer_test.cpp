// Whole trainings on small data: repeatable, metrics equal to what the host computes, parameters in
// and out, refusals.
#include "nn/training/trainer.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "apps/vktrain/embedded_experiments.h"
#include "nn/experiment/experiment_library.h"
#include "nn/training/device_dataset.h"
#include "nn/training/evaluator.h"
#include "nn/training/inference.h"
#include "runtime/error.h"
#include "tests/nn/expect_error.h"
#include "tests/nn/training/trainer_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

TEST_F(TrainerTest, LearnsAndRepeatsItself) {
  Experiment experiment = with_dropout_and_batch_norm();
  experiment.training.epochs = 8;
  const Outcome first = train({experiment}).front();
  EXPECT_EQ(first, train({experiment}).front());
  const double first_loss = first.epochs.front()[0], last_loss = first.epochs[21][0];
  EXPECT_LT(last_loss, 0.5 * first_loss);
  experiment.training.seed += 1;
  EXPECT_FALSE(first == train({experiment}).front());
}

TEST_F(TrainerTest, FusionsChangeResultsByRoundingOnly) {
  const Experiment experiment = small_experiment(kSide);
  const Outcome fused = train({experiment}).front();
  const Outcome plain = train({experiment}, {.fusion = FusionOptions::none()}).front();
  for (std::size_t i = 0; i < fused.steps.size(); ++i) {
    EXPECT_NEAR(fused.steps[i][1], plain.steps[i][1], 1e-4 * plain.steps[i][1]);
  }
}

// 300 images, a tenth validates: 270 in batches of 64 are 4 full ones and one of 14.
TEST_F(TrainerTest, LastBatchIsSmaller) {
  Experiment experiment = small_experiment(kSide);
  experiment.data.split.kind = SplitRule::Kind::first;
  experiment.data.split.count = 30;
  const Outcome result = train({experiment}).front();
  ASSERT_EQ(result.steps.size(), 10u);
  const double whole = result.steps[4][2] * 14;
  EXPECT_NEAR(whole, std::round(whole), 1e-9);
  double loss = 0;
  for (std::size_t i = 0; i < 5; ++i) loss += result.steps[i][1] * (i < 4 ? 64 : 14);
  EXPECT_NEAR(result.epochs[0][0], loss / 270, 1e-9);
}

// A batch larger than the data set is the whole data set.
TEST_F(TrainerTest, BatchLargerThanTheDataSet) {
  Experiment experiment = small_experiment(kSide);
  experiment.data.split.kind = SplitRule::Kind::none;
  experiment.data.shuffle = false;
  experiment.training.batch_size = 1000;
  const Outcome large = train({experiment}).front();
  EXPECT_EQ(large.steps.size(), 2u);
  experiment.training.batch_size = kTrain;
  EXPECT_EQ(large, train({experiment}).front());
}

// The first steps do not depend on how many follow.
TEST_F(TrainerTest, StepsAreCapped) {
  Experiment experiment = small_experiment(kSide);
  const Outcome whole = train({experiment}).front();
  for (const std::int64_t cap : {1, 5, 7}) {
    experiment.training.steps = cap;
    const Outcome capped = train({experiment}).front();
    ASSERT_EQ(capped.steps.size(), static_cast<std::size_t>(cap));
    for (std::size_t i = 0; i < capped.steps.size(); ++i) {
      EXPECT_EQ(capped.steps[i], whole.steps[i]);
    }
  }
  experiment.training.steps = 100000;
  EXPECT_EQ(train({experiment}).front(), whole);
}

TEST_F(TrainerTest, LogsEveryNthStep) {
  Experiment experiment = small_experiment(kSide);
  experiment.training.log_every = 3;
  const Outcome result = train({experiment}).front();
  ASSERT_EQ(result.steps.size(), 3u);
  EXPECT_EQ(result.steps[2][0], 9);
}

TEST_F(TrainerTest, LastBatchMetricsAreTheLastSteps) {
  Experiment experiment = small_experiment(kSide);
  experiment.metrics.train = TrainMetric::last_batch;
  const Outcome result = train({experiment}).front();
  EXPECT_EQ(result.epochs.front()[0], result.steps[4][1]);
  EXPECT_EQ(result.epochs.front()[1], result.steps[4][2]);
}

Confusion confusion_of(const std::vector<float>& logits, std::span<const std::uint8_t> labels) {
  constexpr std::size_t kClasses = 10;
  std::vector<std::int64_t> counts(kClasses * kClasses, 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto row = std::span(logits).subspan(i * kClasses, kClasses);
    ++counts[labels[i] * kClasses + predicted_class(row)];
  }
  return {kClasses, std::move(counts)};
}

// Metrics of a set from its logits, on the host.
EvaluationMetrics metrics_of(const std::vector<float>& logits, std::span<const std::uint8_t> labels,
                             std::size_t batch, AccuracyRule rule) {
  constexpr std::size_t kClasses = 10;
  EvaluationMetrics m;
  std::vector<double> losses, accuracies;
  double loss = 0;
  for (std::size_t first = 0; first < labels.size(); first += batch) {
    const std::size_t count = std::min(batch, labels.size() - first);
    double batch_loss = 0, hits = 0;
    for (std::size_t i = first; i < first + count; ++i) {
      const auto row = std::span(logits).subspan(i * kClasses, kClasses);
      batch_loss -= std::log(softmax(row)[labels[i]]);
      hits += predicted_class(row) == labels[i] ? 1 : 0;
    }
    losses.push_back(batch_loss / static_cast<double>(count));
    accuracies.push_back(hits / static_cast<double>(count));
    loss += batch_loss;
    m.correct += static_cast<std::int64_t>(hits);
  }
  const auto batches = static_cast<double>(losses.size());
  m.images = static_cast<std::int64_t>(labels.size());
  m.exact_accuracy = static_cast<double>(m.correct) / static_cast<double>(m.images);
  for (const double a : accuracies) m.batch_mean_accuracy += a / batches;
  for (const double a : accuracies) {
    m.batch_sigma += (a - m.batch_mean_accuracy) * (a - m.batch_mean_accuracy) / batches;
  }
  m.batch_sigma = std::sqrt(m.batch_sigma);
  m.loss = loss / static_cast<double>(m.images);
  m.accuracy = m.exact_accuracy;
  if (rule == AccuracyRule::exact) return m;
  m.accuracy = m.batch_mean_accuracy;
  m.loss = 0;
  for (const double l : losses) m.loss += l / batches;
  return m;
}

// 70 test images in batches of 32: the last one of 6.
TEST_F(TrainerTest, EvaluationIsWhatTheHostComputes) {
  for (const AccuracyRule rule : {AccuracyRule::exact, AccuracyRule::batch_mean}) {
    Experiment experiment = with_dropout_and_batch_norm();
    experiment.metrics.accuracy = rule;
    Trainer trainer(device(), {experiment}, train_, test_);
    RecordingObserver observer;
    const EpochMetrics last = trainer.train(observer).front();
    std::vector<std::uint32_t> indices;
    for (std::uint32_t i = 0; i < kTest; ++i) indices.push_back(i);
    Inference inference(device(), experiment, trainer.parameters(0), test_, indices, 32);
    const EvaluationMetrics expected = metrics_of(inference.logits(), test_.labels, 32, rule);
    for (const EvaluationMetrics& m :
         {last.test, trainer.evaluate_test().front(), inference.evaluate()}) {
      const std::vector<double> found = numbers(m), wanted = numbers(expected);
      for (std::size_t i = 0; i < found.size(); ++i) EXPECT_NEAR(found[i], wanted[i], 2e-6) << i;
      EXPECT_EQ(m.confusion, confusion_of(inference.logits(), test_.labels));
    }
    EXPECT_GT(last.test.batch_sigma, 0);
  }
}

TEST_F(TrainerTest, LossIncludesThePenaltyWhereAsked) {
  Experiment experiment = small_experiment(kSide);
  experiment.optimizer.l1 = 1e-3;
  experiment.optimizer.l2 = 1e-2;
  const auto test_losses = [&](bool included) {
    experiment.metrics.loss_includes_penalty = included;
    Trainer trainer(device(), {experiment}, train_, test_);
    RecordingObserver observer;
    const EpochMetrics last = trainer.train(observer).front();
    EXPECT_EQ(last.test.loss, trainer.evaluate_test().front().loss);
    double penalty = 0;
    for (const char* name : {"1.weight", "3.weight"}) {
      for (const float w : f32_values(*trainer.parameters(0).find(name))) {
        penalty += 1e-3 * std::fabs(double{w}) + 1e-2 * double{w} * double{w};
      }
    }
    return std::pair(last.test.loss, penalty);
  };
  const auto [without, penalty] = test_losses(false);
  const auto [with, same_penalty] = test_losses(true);
  EXPECT_GT(penalty, 0.1);
  EXPECT_NEAR(with, without + penalty, 1e-6);
}

TEST_F(TrainerTest, CountsTheBatchesOfBatchNorm) {
  Experiment experiment = with_dropout_and_batch_norm();
  const SafeTensors trained = train({experiment}).front().parameters;
  const SafeTensor* counter = trained.find("2.num_batches_tracked");
  ASSERT_NE(counter, nullptr);
  EXPECT_TRUE(counter->shape.empty());
  EXPECT_EQ(i64_values(*counter), std::vector<std::int64_t>{10});
  Trainer more(device(), {experiment}, train_, test_);
  more.load_parameters(0, trained);
  EXPECT_TRUE(more.parameters(0) == trained);
  RecordingObserver observer;
  more.train(observer);
  EXPECT_EQ(i64_values(*more.parameters(0).find("2.num_batches_tracked")).at(0), 20);
}

class LoadParametersTest : public TrainerTest {
 protected:
  // The message; nothing may have been written.
  std::string refusal(const SafeTensors& tensors) {
    try {
      trainer_.load_parameters(0, tensors);
    } catch (const Error& error) {
      EXPECT_TRUE(trainer_.parameters(0) == original_);
      return error.what();
    }
    ADD_FAILURE() << "no error";
    return "";
  }

  SafeTensor& tensor(SafeTensors& all, std::string_view name) {
    for (SafeTensor& one : all.tensors) {
      if (one.name == name) return one;
    }
    throw std::invalid_argument("no such tensor");
  }

  Trainer trainer_{device(), {with_dropout_and_batch_norm()}, train_, test_};
  SafeTensors original_ = trainer_.parameters(0);
};

TEST_F(LoadParametersTest, RefusesWhatIsNotTheModels) {
  SafeTensors missing = original_;
  missing.tensors.pop_back();
  EXPECT_EQ(refusal(missing),
            "the file has no tensor '5.bias' of shape [10], which the model needs");
  SafeTensors extra = original_;
  extra.tensors.push_back(make_f32_tensor("6.weight", {1}, {{1.0f}}));
  EXPECT_NE(refusal(extra).find("tensor '6.weight' is not one of the model's"), std::string::npos);
  SafeTensors shape = original_;
  tensor(shape, "1.weight").shape = {25, 17};
  EXPECT_EQ(refusal(shape), "tensor '1.weight' has shape [25, 17], expected [17, 25]");
  SafeTensors type = original_;
  tensor(type, "5.bias").dtype = "I32";
  EXPECT_EQ(refusal(type), "tensor '5.bias' is of type I32, expected F32");
  SafeTensors counter = original_;
  tensor(counter, "2.num_batches_tracked") = make_f32_tensor("2.num_batches_tracked", {}, {{3.0f}});
  EXPECT_NE(refusal(counter).find("2.num_batches_tracked"), std::string::npos);
  SafeTensors counters = original_;
  tensor(counters, "2.num_batches_tracked") =
      make_i64_tensor("2.num_batches_tracked", {2}, {{3, 4}});
  EXPECT_NE(refusal(counters).find("2.num_batches_tracked"), std::string::npos);
}

TEST_F(LoadParametersTest, CounterMayBeMissing) {
  SafeTensors tensors = original_;
  std::erase_if(tensors.tensors,
                [](const SafeTensor& t) { return t.name == "2.num_batches_tracked"; });
  trainer_.load_parameters(0, tensors);
  EXPECT_TRUE(trainer_.parameters(0) == original_);
}

TEST_F(TrainerTest, RefusesImagesThatDoNotFit) {
  const Experiment experiment = small_experiment(kSide);
  const auto refusal = [&](const ImageSet& train, const ImageSet& test) -> std::string {
    try {
      Trainer trainer(device(), {experiment}, train, test);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(refusal(noisy_images(50, 6, 1), noisy_images(50, 6, 1)).find("1x6x6"),
            std::string::npos);
  EXPECT_NE(refusal(train_, noisy_images(50, 6, 1)).find("1x6x6"), std::string::npos);
  for (const bool in_test : {false, true}) {
    ImageSet bad = train_;
    bad.labels[7] = 10;
    EXPECT_EQ(refusal(in_test ? train_ : bad, in_test ? bad : test_),
              "image 7 of the data set has label 10, but the model has 10 classes; set "
              "data.classes to the data set's number");
  }
  EXPECT_NE(refusal(train_, noisy_images(0, kSide, 1)).find("no images"), std::string::npos);
}

TEST_F(TrainerTest, RefusesADataSetBeyondTheStorageRange) {
  const std::uint64_t limit = device().profile().max_storage_range;
  if (limit > std::uint64_t{1} << 28) GTEST_SKIP() << "takes too much memory to test here";
  ImageSet huge;
  huge.count = 1;
  huge.height = 1;
  huge.width = static_cast<std::int64_t>(limit) + 1;
  huge.pixels.resize(limit + 1);
  huge.labels = {0};
  ImageSet none = huge;
  none.count = 0;
  try {
    DeviceDataset(device(), huge, none);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("images of the data set take"), std::string::npos);
  }
}

// Second passes of split-K depend on the device and do not count.
TEST_F(TrainerTest, StepOfTheMainExperimentIsAtMostTwelveDispatches) {
  if (!device().profile().timestamps) GTEST_SKIP() << "needs timestamps to list the dispatches";
  const ExperimentLibrary library(app::embedded_experiments());
  Experiment experiment = library.find("a-fcn-100k");
  experiment.training.steps = 1;
  experiment.data.split.kind = SplitRule::Kind::none;
  ASSERT_EQ(experiment.training.batch_size, 512);
  Trainer trainer(device(), {experiment}, noisy_images(600, 28, 1), noisy_images(10, 28, 2),
                  {.fusion = {}, .profile = true});
  RecordingObserver observer;
  trainer.train(observer);
  std::size_t dispatches = 0;
  std::string list;
  for (const runtime::DispatchTiming& timing : trainer.timings()) {
    EXPECT_EQ(timing.calls, 1u);
    if (timing.kernel.starts_with("gemm_reduce")) continue;
    ++dispatches;
    list += timing.label + "\n";
  }
  EXPECT_EQ(trainer.timings().size(), trainer.dispatches_per_step());
  EXPECT_GE(dispatches, 8u) << list;
  EXPECT_LE(dispatches, 12u) << list;
}

}  // namespace
}  // namespace vktrain::testing
