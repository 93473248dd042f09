// Replicas of a training: equal to the runs alone, whatever they differ in, and each with a course
// of its own: learning-rate schedule and early stopping.
#include "tests/nn/expect_error.h"
#include "tests/nn/training/trainer_fixture.h"

namespace vktrain::testing {
namespace {

using namespace nn;

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

}  // namespace
}  // namespace vktrain::testing
