// Whole trainings on small data: repeatable, replicas equal to single runs, metrics equal to what
// the host computes.
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
#include "tests/nn/training/training_rig.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

constexpr std::int64_t kSide = 5;  // 25 pixels: rows end in padding
constexpr std::int64_t kTrain = 300, kTest = 70;

// What a run leaves behind, without the times.
struct Outcome {
  SafeTensors parameters;
  std::vector<std::vector<double>> epochs;
  std::vector<std::vector<double>> steps;

  bool operator==(const Outcome&) const = default;
};

std::vector<double> numbers(const EvaluationMetrics& m) {
  return {m.loss,
          m.accuracy,
          m.exact_accuracy,
          m.batch_mean_accuracy,
          m.batch_sigma,
          static_cast<double>(m.correct),
          static_cast<double>(m.images)};
}

Outcome outcome(const Trainer& trainer, const RecordingObserver& observer, std::uint32_t replica) {
  Outcome result;
  result.parameters = trainer.parameters(replica);
  for (const EpochMetrics& epoch : observer.epochs.at(replica)) {
    result.epochs.push_back({epoch.train_loss, epoch.train_accuracy});
    result.epochs.push_back(numbers(epoch.test));
    if (epoch.validation) result.epochs.push_back(numbers(*epoch.validation));
  }
  for (const StepRecord& step : observer.steps.at(replica)) {
    result.steps.push_back({static_cast<double>(step.step), step.loss, step.accuracy});
  }
  return result;
}

class TrainerTest : public DeviceTest {
 protected:
  std::vector<Outcome> train(const std::vector<Experiment>& replicas,
                             const TrainerOptions& options = {}) {
    Trainer trainer(device(), replicas, train_, test_, options);
    RecordingObserver observer;
    trainer.train(observer);
    std::vector<Outcome> outcomes;
    for (std::uint32_t r = 0; r < trainer.replicas(); ++r) {
      outcomes.push_back(outcome(trainer, observer, r));
    }
    return outcomes;
  }

  void expect_replicas_equal_singles(const std::vector<Experiment>& experiments) {
    const std::vector<Outcome> together = train(experiments);
    for (std::size_t r = 0; r < experiments.size(); ++r) {
      const Outcome alone = train({experiments[r]}).front();
      EXPECT_TRUE(together[r].parameters == alone.parameters) << "parameters of replica " << r;
      EXPECT_EQ(together[r].epochs, alone.epochs) << "replica " << r;
      EXPECT_EQ(together[r].steps, alone.steps) << "replica " << r;
    }
    EXPECT_FALSE(together[0].parameters == together[1].parameters);
  }

  ImageSet train_ = noisy_images(kTrain, kSide, 1);
  ImageSet test_ = noisy_images(kTest, kSide, 2);
};

Experiment with_dropout_and_batch_norm() {
  Experiment experiment = small_experiment(kSide);
  experiment.model.layers = {
      {.type = LayerType::flatten},           {.type = LayerType::linear, .out = 17},
      {.type = LayerType::batch_norm},        {.type = LayerType::elu},
      {.type = LayerType::dropout, .p = 0.2}, {.type = LayerType::linear, .out = 10}};
  return experiment;
}

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

TEST_F(TrainerTest, ReplicasOfSeedsAndInitialisers) {
  std::vector<Experiment> replicas(3, with_dropout_and_batch_norm());
  replicas[1].training.seed = (std::uint64_t{7} << 32) + 5;
  replicas[2].training.seed = std::numeric_limits<std::int64_t>::max();
  replicas[1].init.weight = {InitializerKind::xavier_normal};
  replicas[2].init.bias = {InitializerKind::constant, 0.1};
  replicas[2].model.layers[1].weight_init = Initializer{InitializerKind::normal, 0.05};
  replicas[1].model.layers[4].p = 0;
  replicas[2].model.layers[4].p = 0.6;
  expect_replicas_equal_singles(replicas);
}

TEST_F(TrainerTest, ReplicasOfLearningRatesAndPenalties) {
  std::vector<Experiment> replicas(3, small_experiment(kSide));
  replicas[1].optimizer.learning_rate = 0.02;
  replicas[1].optimizer.l1 = 1e-3;
  replicas[2].optimizer.l2 = 1e-2;
  replicas[2].optimizer.weight_decay = 0.01;
  replicas[2].optimizer.beta1 = 0.8;
  for (Experiment& experiment : replicas) experiment.metrics.loss_includes_penalty = true;
  expect_replicas_equal_singles(replicas);
}

// One replica needs no momentum buffer, the other does.
TEST_F(TrainerTest, ReplicasWithAndWithoutMomentum) {
  for (const OptimizerKind kind : {OptimizerKind::sgd, OptimizerKind::rmsprop}) {
    std::vector<Experiment> replicas(3, small_experiment(kSide));
    for (Experiment& experiment : replicas) {
      experiment.optimizer = default_optimizer(kind, OptimizerDefinition::pytorch);
    }
    replicas[1].optimizer.momentum = 0.9;
    if (kind == OptimizerKind::sgd) replicas[1].optimizer.dampening = 0.2;
    replicas[2].optimizer.momentum = 0.5;
    expect_replicas_equal_singles(replicas);
  }
}

TEST_F(TrainerTest, ReplicasOfAccumulators) {
  std::vector<Experiment> replicas(2, small_experiment(kSide));
  for (Experiment& experiment : replicas) {
    experiment.optimizer = default_optimizer(OptimizerKind::adagrad, OptimizerDefinition::keras);
    experiment.optimizer.learning_rate = 0.05;
  }
  replicas[1].optimizer.initial_accumulator = 0.5;
  expect_replicas_equal_singles(replicas);
}

TEST_F(TrainerTest, ReplicasThatDifferInMoreAreRefused) {
  std::vector<Experiment> replicas(2, small_experiment(kSide));
  replicas[1].training.batch_size = 32;
  EXPECT_THROW(train(replicas), UsageError);
  replicas[1] = replicas[0];
  replicas[1].optimizer = default_optimizer(OptimizerKind::sgd, OptimizerDefinition::pytorch);
  EXPECT_THROW(train(replicas), UsageError);
  EXPECT_THROW(train({}), UsageError);
}

TEST_F(TrainerTest, SeedsAndRatesExpandToReplicas) {
  Experiment experiment = small_experiment(kSide);
  experiment.training.seeds = {3, 4};
  experiment.learning_rates = {0.1, 0.2};
  const std::vector<Experiment> replicas = expand_replicas(experiment);
  ASSERT_EQ(replicas.size(), 4u);
  EXPECT_EQ(replicas[2].training.seed, 4u);
  EXPECT_EQ(replicas[1].optimizer.learning_rate, 0.2);
  EXPECT_TRUE(replicas[3].training.seeds.empty() && replicas[3].learning_rates.empty());
}

TEST_F(TrainerTest, ReplicasOfSchedules) {
  std::vector<Experiment> replicas(4, small_experiment(kSide));
  for (Experiment& experiment : replicas) experiment.training.epochs = 3;
  replicas[1].schedule = {.kind = ScheduleKind::cosine, .warmup_steps = 3};
  replicas[2].schedule = {.kind = ScheduleKind::plateau, .patience = 0, .threshold = 0.9};
  replicas[3].schedule = {.kind = ScheduleKind::one_cycle};
  expect_replicas_equal_singles(replicas);
}

// The device takes the rate of the table: with a gamma below every float the second epoch changes
// nothing.
TEST_F(TrainerTest, SchedulesReachTheDevice) {
  Experiment experiment = small_experiment(kSide);
  experiment.optimizer = default_optimizer(OptimizerKind::sgd, OptimizerDefinition::pytorch);
  experiment.schedule = {.kind = ScheduleKind::multi_step, .milestones = {1}, .gamma = 1e-60};
  Trainer trainer(device(), {experiment}, train_, test_);
  RecordingObserver observer;
  trainer.train(observer);
  EXPECT_EQ(observer.epochs[0][0].learning_rate, experiment.optimizer.learning_rate);
  EXPECT_DOUBLE_EQ(observer.epochs[0][1].learning_rate, 1e-62);
  experiment.training.epochs = 1;
  experiment.schedule = {};
  EXPECT_TRUE(trainer.parameters(0) == train({experiment}).front().parameters);
}

TEST_F(TrainerTest, EpochsTellTheRateOfTheirLastStep) {
  Experiment experiment = small_experiment(kSide);
  experiment.optimizer.learning_rate = 0.5;
  experiment.schedule.warmup_steps = 10;
  experiment.training.steps = 8;  // 5 and 3 steps
  Trainer trainer(device(), {experiment}, train_, test_);
  RecordingObserver observer;
  trainer.train(observer);
  EXPECT_DOUBLE_EQ(observer.epochs[0][0].learning_rate, 0.25);
  EXPECT_DOUBLE_EQ(observer.epochs[0][1].learning_rate, 0.4);
}

// No loss falls by 10: the first epoch stays the best.
Experiment stopping_after(std::int64_t patience, bool restore_best) {
  Experiment experiment = with_dropout_and_batch_norm();
  experiment.training.epochs = 6;
  experiment.early_stopping = {.patience = patience, .min_delta = 10, .restore_best = restore_best};
  return experiment;
}

TEST_F(TrainerTest, StoppedReplicasKeepTheirParametersWhileOthersTrainOn) {
  std::vector<Experiment> replicas = {stopping_after(2, true), stopping_after(3, false),
                                      stopping_after(100, true)};
  replicas[2].early_stopping.min_delta = 0;
  Trainer trainer(device(), replicas, train_, test_);
  RecordingObserver observer;
  const std::vector<EpochMetrics> last = trainer.train(observer);
  EXPECT_EQ(trainer.early_stop(0), (EarlyStop{1, 3, true}));
  EXPECT_EQ(trainer.early_stop(1), (EarlyStop{1, 4, false}));
  EXPECT_EQ(trainer.early_stop(2)->stopped_epoch, std::nullopt);
  EXPECT_EQ(observer.epochs[0].size(), 3u);
  EXPECT_EQ(observer.epochs[1].size(), 4u);
  EXPECT_EQ(observer.epochs[2].size(), 6u);
  EXPECT_EQ(observer.steps[0].size(), 15u);
  EXPECT_EQ(trainer.steps(0), 15);
  EXPECT_EQ(trainer.steps(2), 30);

  const std::vector<EvaluationMetrics> now = trainer.evaluate_test();
  constexpr std::int64_t kKept[] = {1, 4};  // epochs behind the parameters
  for (std::uint32_t r = 0; r < 2; ++r) {
    EXPECT_EQ(last[r].epoch, kKept[r]);
    EXPECT_EQ(numbers(now[r]), numbers(last[r].test));
    Experiment plain = with_dropout_and_batch_norm();
    plain.training.epochs = kKept[r];
    EXPECT_TRUE(trainer.parameters(r) == train({plain}).front().parameters) << r;
  }
  EXPECT_EQ(last[2].epoch, trainer.early_stop(2)->best_epoch);
  EXPECT_EQ(numbers(now[2]), numbers(last[2].test));
}

TEST_F(TrainerTest, StoppedReplicasEqualSingleRuns) {
  std::vector<Experiment> replicas = {stopping_after(1, true), stopping_after(3, true)};
  replicas[1].early_stopping.min_delta = 0;
  replicas[1].training.seed += 1;
  expect_replicas_equal_singles(replicas);
}

TEST_F(TrainerTest, EndsWhenAllHaveStopped) {
  Trainer trainer(device(), {stopping_after(1, true), stopping_after(2, true)}, train_, test_);
  struct Ends : TrainObserver {
    void on_epoch_end(std::int64_t epoch) override { last = epoch; }
    std::int64_t last = 0;
  } ends;
  trainer.train(ends);
  EXPECT_EQ(ends.last, 3);
}

TEST_F(TrainerTest, RefusesToFollowAValidationThatIsNone) {
  const auto refused = [&](Experiment experiment, const char* part) {
    experiment.data.split.kind = SplitRule::Kind::none;
    expect_error<UsageError>([&] { Trainer(device(), {experiment}, train_, test_); },
                             {part, "validation images"});
  };
  Experiment plateau = small_experiment(kSide);
  plateau.schedule.kind = ScheduleKind::plateau;
  refused(plateau, "plateau");
  refused(stopping_after(1, true), "early_stopping");
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

// The pacer puts many steps into one submission once it knows how long one takes.
}  // namespace
}  // namespace vktrain::testing
