// Whole trainings of small networks on small data, and all that they leave behind, to compare.
#pragma once

#include <cstdint>
#include <vector>

#include "nn/io/safetensors.h"
#include "nn/training/trainer.h"
#include "tests/nn/training/training_rig.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {

inline constexpr std::int64_t kSide = 5;  // 25 pixels: rows end in padding
inline constexpr std::int64_t kTrain = 300, kTest = 70;

// What a run leaves behind, without the times.
struct Outcome {
  nn::SafeTensors parameters;
  std::vector<std::vector<double>> epochs;
  std::vector<std::vector<double>> steps;

  bool operator==(const Outcome&) const = default;
};

// The metrics without the confusion matrix, in the order of their declaration.
std::vector<double> numbers(const nn::EvaluationMetrics& metrics);
Outcome outcome(const nn::Trainer& trainer, const RecordingObserver& observer,
                std::uint32_t replica);

nn::Experiment with_dropout_and_batch_norm();

class TrainerTest : public DeviceTest {
 protected:
  std::vector<Outcome> train(const std::vector<nn::Experiment>& replicas,
                             const nn::TrainerOptions& options = {});
  void expect_replicas_equal_singles(const std::vector<nn::Experiment>& experiments);

  nn::ImageSet train_ = noisy_images(kTrain, kSide, 1);
  nn::ImageSet test_ = noisy_images(kTest, kSide, 2);
};

}  // namespace vktrain::testing
