// The images that an experiment trains on.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "nn/data/fashion_mnist.h"
#include "nn/experiment/experiment.h"

namespace vktrain::app {

// `folder`, or where find_fashion_mnist finds the data set.
std::filesystem::path find_data(const std::optional<std::string>& folder);

// Loads the experiment's data set from find_data(folder). Throws UsageError for an unknown data
// set, Error when a file is not what it should be. Whether the images suit the experiment, Trainer
// and Inference check.
nn::FashionMnist load_data(const nn::Experiment& experiment,
                           const std::optional<std::string>& folder);

}  // namespace vktrain::app
