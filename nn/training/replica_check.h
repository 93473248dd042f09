// Whether experiments can train as replicas of one plan, and fit the data.
#pragma once

#include <vector>

#include "nn/data/image_set.h"
#include "nn/experiment/experiment.h"

namespace vktrain::nn {

// Returns the experiments unchanged. Throws UsageError when there are none, or they differ in
// something that a plan has only once, and Error when the images are not of the model's size.
std::vector<Experiment> check_replicas(std::vector<Experiment> replicas, const ImageSet& images);

}  // namespace vktrain::nn
