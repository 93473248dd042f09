// Small data sets and experiments for tests of training.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "nn/data/image_set.h"
#include "nn/experiment/experiment.h"
#include "nn/training/trainer.h"

namespace vktrain::testing {

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

// Images of ten classes that a small network can learn: noise, and a bright pixel that tells the
// class.
nn::ImageSet noisy_images(std::int64_t count, std::int64_t side, std::uint64_t seed);

// Flatten, linear 12, relu, linear 10 on images of side x side; adam, batches of 64, two epochs,
// every step logged.
nn::Experiment small_experiment(std::int64_t side);

}  // namespace vktrain::testing
