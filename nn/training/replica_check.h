// Whether experiments can train as replicas of one plan, and fit the data.
#pragma once

#include <vector>

#include "nn/data/image_set.h"
#include "nn/experiment/experiment.h"

namespace vktrain::nn {

// Throws Error when there are no images, they are not of the model's size, or a label is not below
// the number of classes.
void check_images(const Experiment& experiment, const ImageSet& images);

// Returns the experiments unchanged. Throws UsageError when there are none, or they differ in
// something that a plan has only once, and what check and check_images throw.
std::vector<Experiment> check_replicas(std::vector<Experiment> replicas, const ImageSet& images);

}  // namespace vktrain::nn
