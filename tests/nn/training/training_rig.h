// Small data sets and experiments for tests of training.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "nn/check/synthetic_images.h"
#include "nn/data/image_set.h"
#include "nn/experiment/experiment.h"
#include "nn/training/trainer.h"

namespace vktrain::testing {

using nn::noisy_images;

// Keeps all that a training reports, by replica.
class RecordingObserver : public nn::TrainObserver {
 public:
  void on_steps(std::uint32_t replica, std::span<const nn::StepRecord> records) override {
    steps[replica].insert(steps[replica].end(), records.begin(), records.end());
  }
  void on_epoch(std::uint32_t replica, const nn::EpochMetrics& metrics) override {
    epochs[replica].push_back(metrics);
  }

  std::map<std::uint32_t, std::vector<nn::StepRecord>> steps;
  std::map<std::uint32_t, std::vector<nn::EpochMetrics>> epochs;
};

// Flatten, linear 12, relu, linear 10 on images of side x side; adam, batches of 64, two epochs,
// every step logged.
nn::Experiment small_experiment(std::int64_t side);

}  // namespace vktrain::testing
