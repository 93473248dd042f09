// Rewrites that merge operations of a differentiated graph so that fewer dispatches run. Each can
// be switched off; results stay equal to the unfused graph's within rounding.
#pragma once

#include "nn/graph.h"
#include "runtime/device_profile.h"

namespace vktrain::nn {

struct FusionOptions {
  bool bias = true;                  // bias_add into the GEMM or convolution before it
  bool activation = true;            // activation into the GEMM, convolution (and bias), batch
                                     // normalisation or sum of two values before it
  bool activation_gradient = true;   // activation's derivative into the GEMM or convolution that
                                     // makes its gradient
  bool max_pool2d_gradient = true;   // activation's derivative into a max pooling's gradient
  bool bias_gradient = true;         // sum of a bias gradient into the weight gradient
  bool loss_gradient = true;         // softmax cross-entropy and its gradient in one kernel
  bool linear_cross_entropy = true;  // a classifier's last linear layer, and its data gradient,
                                     // into the loss with its gradient
  bool max_pool2d = true;     // max pooling over tiles of 2 x 2 and its gradient into the batch
                              // normalisation before it, or the convolution, where the device
                              // has kernels for that
  bool weight_update = true;  // the optimizer's update of many weights, and of their bias, into the
                              // GEMM that makes their gradient, where the device has kernels for it
  bool whole_update = true;   // that of few weights, too, where nothing is then left to the
                              // optimizer; pays for batches of at most
                              // GemmUpdate::kMostWholeBatch, else build_step_graph turns it off
  bool gather_batch = true;   // a batch's images into the products of a narrow first layer, where
                              // all that reads them can and the device has kernels for that
                              // (nn/fusion_gather_batch.h); not in mixed precision

  static FusionOptions none() {
    return {.bias = false,
            .activation = false,
            .activation_gradient = false,
            .max_pool2d_gradient = false,
            .bias_gradient = false,
            .loss_gradient = false,
            .linear_cross_entropy = false,
            .max_pool2d = false,
            .weight_update = false,
            .whole_update = false,
            .gather_batch = false};
  }
};

// Without a device no rewrite that asks for its kernels.
void fuse(Graph& graph, const FusionOptions& options = {},
          const runtime::DeviceProfile* device = nullptr);

}  // namespace vktrain::nn
