// The model as a table, shown before training.
#pragma once

#include <string>

#include "nn/training/trainer.h"

namespace vktrain::app {

// Layer, type, output shape, parameters and multiply-adds (per image, forward), their totals, and a
// line with the planned memory and the dispatches of a step.
std::string model_summary(const nn::Trainer& trainer, const nn::Experiment& experiment,
                          const runtime::DeviceProfile& device);

}  // namespace vktrain::app
