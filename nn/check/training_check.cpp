#include "nn/check/training_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <functional>
#include <limits>
#include <memory>

#include "nn/check/synthetic_images.h"
#include "nn/training/trainer.h"

namespace vktrain::nn {
namespace {

constexpr std::int64_t kBatch32 = 32;
constexpr std::int64_t kTestImages = 64;
constexpr double kStepLimit = 1e-4;  // relative
constexpr double kUlp = 0x1p-23;

// The order of the images is that of the file, and all of them train.
Experiment plain_experiment(std::string id, std::int64_t side, std::vector<LayerSpec> layers) {
  Experiment experiment;
  experiment.id = std::move(id);
  experiment.data.mean = 0.3;
  experiment.data.std = 0.2;
  experiment.data.split.kind = SplitRule::Kind::none;
  experiment.data.shuffle = false;
  experiment.model.input = {1, side, side};
  experiment.model.layers = std::move(layers);
  experiment.training.epochs = 1;
  experiment.training.batch_size = kBatch32;
  experiment.training.test_batch_size = kTestImages;
  experiment.training.seed = 3;
  experiment.training.log_every = 1;
  return experiment;
}

TrainingCase make_case(std::string name, Experiment experiment, std::int64_t steps) {
  const std::int64_t side = experiment.model.input[1];
  TrainingCase c = {.name = std::move(name),
                    .experiment = std::move(experiment),
                    .images = noisy_images(steps * kBatch32, side, 5),
                    .known_losses = {}};
  c.known_losses = known_losses(c.name);
  return c;
}

Experiment fully_connected() {
  Experiment experiment = plain_experiment("check-fcn", 8,
                                           {{.type = LayerType::flatten},
                                            {.type = LayerType::linear, .out = 33},
                                            {.type = LayerType::tanh},
                                            {.type = LayerType::linear, .out = 16},
                                            {.type = LayerType::relu},
                                            {.type = LayerType::linear, .out = 10}});
  experiment.optimizer = default_optimizer(OptimizerKind::adam, OptimizerDefinition::pytorch);
  experiment.optimizer.learning_rate = 0.005;
  return experiment;
}

Experiment convolutional() {
  Experiment experiment =
      plain_experiment("check-cnn", 12,
                       {{.type = LayerType::conv2d, .out = 8, .kernel = {3, 3}, .padding = {1, 1}},
                        {.type = LayerType::batch_norm},
                        {.type = LayerType::relu},
                        {.type = LayerType::max_pool2d, .kernel = {2, 2}},
                        {.type = LayerType::conv2d, .out = 12, .kernel = {3, 3}},
                        {.type = LayerType::tanh},
                        {.type = LayerType::avg_pool2d, .kernel = {2, 2}},
                        {.type = LayerType::flatten},
                        {.type = LayerType::linear, .out = 10}});
  experiment.optimizer = default_optimizer(OptimizerKind::sgd, OptimizerDefinition::pytorch);
  experiment.optimizer.learning_rate = 0.05;
  experiment.optimizer.momentum = 0.9;
  return experiment;
}

class StepLosses : public TrainObserver {
 public:
  void on_steps(std::uint32_t replica, std::span<const StepRecord> records) override {
    if (replica != 0) return;
    for (const StepRecord& record : records) losses.push_back(record.loss);
  }

  std::vector<double> losses;
};

struct Trained {
  std::vector<double> losses;           // of replica 0
  std::vector<SafeTensors> parameters;  // by replica
};

Trained train(runtime::Device& device, const TrainingCase& c,
              const std::vector<std::uint64_t>& seeds) {
  std::vector<Experiment> replicas;
  for (const std::uint64_t seed : seeds) {
    replicas.push_back(c.experiment);
    replicas.back().training.seed = seed;
  }
  const std::int64_t side = c.experiment.model.input[1];
  Trainer trainer(device, replicas, c.images, noisy_images(kTestImages, side, 6));
  StepLosses observer;
  trainer.train(observer);
  Trained trained = {std::move(observer.losses), {}};
  for (std::uint32_t r = 0; r < replicas.size(); ++r) {
    trained.parameters.push_back(trainer.parameters(r));
  }
  return trained;
}

double relative_error(double value, double reference) {
  const double error = std::abs(value - reference) / std::abs(reference);
  return std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
}

// Of the losses: the step nearest to its limit, or furthest past it.
void compare_losses(const TrainingCase& c, std::span<const double> losses, CheckRow& row) {
  if (losses.size() != c.known_losses.size()) {
    return fail(row, fmt::format("{} losses instead of {}", losses.size(), c.known_losses.size()));
  }
  row.error.emplace();
  double worst_share = -1;
  std::size_t worst = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const double error = relative_error(losses[i], c.known_losses[i]);
    const double limit = i + 1 == losses.size() ? c.final_limit : kStepLimit;
    row.error->relative = std::max(row.error->relative, error);
    if (error / limit <= worst_share) continue;
    worst_share = error / limit;
    row.error->ulp = error / kUlp;
    row.error->limit_ulp = limit / kUlp;
    worst = i;
  }
  if (worst_share > 1) {
    return fail(row, fmt::format("the loss of step {} is {:.8g} instead of {:.8g}", worst + 1,
                                 losses[worst], c.known_losses[worst]));
  }
  row.why = fmt::format("final loss {:.6g}, known {:.6g}", losses.back(), c.known_losses.back());
}

struct TrainingRow {
  std::string operation;
  std::function<void(runtime::Device&, CheckRow&, DeviceReport&)> fill;
};

std::vector<TrainingRow> training_rows() {
  std::vector<TrainingRow> rows;
  const auto cases = std::make_shared<const std::vector<TrainingCase>>(training_cases());
  for (const TrainingCase& shared : *cases) {
    rows.push_back({shared.name,
                    [cases, &shared](runtime::Device& device, CheckRow& row, DeviceReport& report) {
                      const Trained trained =
                          train(device, shared, {shared.experiment.training.seed});
                      compare_losses(shared, trained.losses, row);
                      report.losses.emplace_back(shared.name, trained.losses);
                    }});
  }
  for (std::size_t i = 0; i < 2; ++i) {
    const TrainingCase& c = (*cases)[i];
    rows.push_back(
        {c.name + ", twice", [cases, &c](runtime::Device& device, CheckRow& row, DeviceReport&) {
           const Trained first = train(device, c, {3}), second = train(device, c, {3});
           if (first.losses != second.losses || first.parameters != second.parameters) {
             fail(row, "the same training gives other bits the second time");
           }
         }});
    rows.push_back({c.name + ", two replicas",
                    [cases, &c](runtime::Device& device, CheckRow& row, DeviceReport&) {
                      const Trained both = train(device, c, {4, 3}), alone = train(device, c, {3});
                      if (both.parameters.at(1) != alone.parameters.at(0)) {
                        fail(row, "a replica's parameters are not those of the training alone");
                      }
                    }});
  }
  return rows;
}

}  // namespace

std::vector<TrainingCase> training_cases() {
  std::vector<TrainingCase> cases;
  cases.push_back(make_case("fully connected, 30 steps", fully_connected(), 30));
  cases.push_back(make_case("convolutional, 30 steps", convolutional(), 30));
  Experiment longer = fully_connected();
  longer.optimizer = default_optimizer(OptimizerKind::sgd, OptimizerDefinition::pytorch);
  longer.optimizer.learning_rate = 0.02;
  longer.optimizer.momentum = 0.9;
  cases.push_back(make_case("fully connected, 200 steps", std::move(longer), 200));
  cases.back().final_limit = 1e-3;
  return cases;
}

std::vector<CheckRow> list_trainings(const CheckOptions& options) {
  std::vector<CheckRow> rows;
  for (const TrainingRow& training : training_rows()) {
    CheckRow row = row_of("training", training.operation);
    if (options.wants(row)) rows.push_back(std::move(row));
  }
  return rows;
}

void check_trainings(runtime::Device& device, const CheckOptions& options, DeviceReport& report) {
  for (const TrainingRow& training : training_rows()) {
    CheckRow row = row_of("training", training.operation);
    if (!options.wants(row)) continue;
    options.progress(row.operation);
    run_row(row, [&] { training.fill(device, row, report); });
    report.rows.push_back(std::move(row));
  }
}

}  // namespace vktrain::nn
