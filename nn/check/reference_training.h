// A whole training by the double-precision references: where the known losses come from.
#pragma once

#include <vector>

#include "nn/data/image_set.h"
#include "nn/experiment/experiment.h"

namespace vktrain::nn {

// Mean losses of the steps of one epoch over `images` in their order, a whole number of batches.
// Without dropout and augmentation.
std::vector<double> reference_losses(const Experiment& experiment, const ImageSet& images);

}  // namespace vktrain::nn
