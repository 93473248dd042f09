// The second part of `vktrain check`: short trainings whose losses are known from the
// double-precision reference, and whose bits must come again.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "nn/check/operation_check.h"
#include "nn/check/report.h"
#include "nn/data/image_set.h"
#include "nn/experiment/experiment.h"

namespace vktrain::nn {

struct TrainingCase {
  std::string name;  // "convolutional, 30 steps"
  Experiment experiment;
  ImageSet images;  // one epoch
  std::span<const double> known_losses;
  double final_limit = 1e-4;  // relative, of the last loss; of every other one: 1e-4
};

std::vector<TrainingCase> training_cases();

// Losses compiled into the program, as reference_losses computes them (a test compares); see
// training_case's names.
std::span<const double> known_losses(std::string_view name);

// Adds rows, and the losses of the trainings that ran.
void check_trainings(runtime::Device& device, const CheckOptions& options, DeviceReport& report);
std::vector<CheckRow> list_trainings(const CheckOptions& options);

}  // namespace vktrain::nn
