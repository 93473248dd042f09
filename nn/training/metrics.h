// What a training run reports: per step, per epoch, per evaluation.
#pragma once

#include <cstdint>
#include <optional>

#include "nn/training/confusion.h"

namespace vktrain::nn {

// Result of one pass over a set of images.
struct EvaluationMetrics {
  double loss = 0;                 // by the experiment's rule, penalty included if it says so
  double accuracy = 0;             // by the experiment's rule
  double exact_accuracy = 0;       // correct / images
  double batch_mean_accuracy = 0;  // unweighted mean over batches
  double batch_sigma = 0;          // population standard deviation of the batches' accuracies
  std::int64_t correct = 0;
  std::int64_t images = 0;
  Confusion confusion = {};  // counted on the device; its diagonal adds up to `correct`
};

struct EpochMetrics {
  std::int64_t epoch = 0;  // from 1
  double train_loss = 0;
  double train_accuracy = 0;
  std::optional<EvaluationMetrics> validation;  // absent without a validation split
  EvaluationMetrics test;
  double seconds = 0;  // of the training steps, evaluations excluded
  double images_per_second = 0;
  double learning_rate = 0;  // of the last step
};

struct StepRecord {
  std::int64_t step = 0;  // from 1, over all epochs
  double loss = 0;        // mean of the batch before the update, with the penalty if reported so
  double accuracy = 0;
};

}  // namespace vktrain::nn
