// The rewrite by which products read a batch's images in the data set.
#pragma once

#include "nn/graph.h"
#include "runtime/device_profile.h"

namespace vktrain::nn {

// Where only matrix products that `device` has kernels for read a batch, these may read the images
// as bytes where they lie (GatheredBatch), so that the batch is not stored. Each product normalises
// what it reads, once for each of its tiles along the layer's outputs: worth it for narrow layers.
void fuse_gather_batch(Graph& graph, const runtime::DeviceProfile& device);

}  // namespace vktrain::nn
