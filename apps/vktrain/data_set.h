// The images that an experiment trains on.
#pragma once

#include <optional>
#include <string>

#include "nn/data/fashion_mnist.h"
#include "nn/experiment/experiment.h"

namespace vktrain::app {

// Loads the experiment's data set from `folder`, or from where find_fashion_mnist finds it. Throws
// UsageError for an unknown data set, Error when a file is not what it should be. Whether the
// images suit the experiment, Trainer and Inference check.
nn::FashionMnist load_data(const nn::Experiment& experiment,
                           const std::optional<std::string>& folder);

}  // namespace vktrain::app
