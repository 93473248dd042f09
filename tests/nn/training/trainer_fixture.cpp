#include "tests/nn/training/trainer_fixture.h"

namespace vktrain::testing {

using namespace nn;

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
std::vector<Outcome> TrainerTest::train(const std::vector<Experiment>& replicas,
                                        const TrainerOptions& options) {
  Trainer trainer(device(), replicas, train_, test_, options);
  RecordingObserver observer;
  trainer.train(observer);
  std::vector<Outcome> outcomes;
  for (std::uint32_t r = 0; r < trainer.replicas(); ++r) {
    outcomes.push_back(outcome(trainer, observer, r));
  }
  return outcomes;
}

void TrainerTest::expect_replicas_equal_singles(const std::vector<Experiment>& experiments) {
  const std::vector<Outcome> together = train(experiments);
  for (std::size_t r = 0; r < experiments.size(); ++r) {
    const Outcome alone = train({experiments[r]}).front();
    EXPECT_TRUE(together[r].parameters == alone.parameters) << "parameters of replica " << r;
    EXPECT_EQ(together[r].epochs, alone.epochs) << "replica " << r;
    EXPECT_EQ(together[r].steps, alone.steps) << "replica " << r;
  }
  EXPECT_FALSE(together[0].parameters == together[1].parameters);
}

Experiment with_dropout_and_batch_norm() {
  Experiment experiment = small_experiment(kSide);
  experiment.model.layers = {
      {.type = LayerType::flatten},           {.type = LayerType::linear, .out = 17},
      {.type = LayerType::batch_norm},        {.type = LayerType::elu},
      {.type = LayerType::dropout, .p = 0.2}, {.type = LayerType::linear, .out = 10}};
  return experiment;
}

}  // namespace vktrain::testing
