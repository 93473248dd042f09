// The kernels that can do a convolution, and the choice between them for a device and its sizes.
// Each kernel family lowers its three passes in files of its own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nn/lowering.h"
#include "nn/ops/conv2d.h"

namespace vktrain::nn {

enum class Conv2dVariant {
  tiled,      // implicit GEMM through shared memory: the baseline on GPUs, every shape
  rows,       // a row of an image an invocation, every grouping: for CPU drivers
  depthwise,  // one input channel per group
};

enum class Conv2dPass { forward, data_gradient, weight_gradient };
std::string_view to_string(Conv2dPass pass);  // "data gradient"

// Of the "tiled" kernels: results of a workgroup, and of an invocation.
struct Conv2dTiling {
  std::int64_t rows = 32, columns = 32;
  std::int64_t result_rows = 4, result_columns = 4;

  constexpr std::int64_t invocations() const {
    return rows / result_rows * (columns / result_columns);
  }
};

struct Conv2dCandidate {
  std::string name;  // "rows": as the tuner remembers it
  Conv2dVariant variant = Conv2dVariant::tiled;
  Conv2dTiling tiling = {};  // of a tiled one
};

// The kernels within the device's limits that can do this pass, the proposal first. The list never
// depends on the number of replicas.
std::vector<Conv2dCandidate> conv2d_candidates(Conv2dPass pass, const Conv2dSizes& sizes,
                                               const runtime::DeviceProfile& device);

// The operands of the three passes. kNoValue: absent.
struct Conv2dForward {
  ValueId x, weight, y, bias;
  ActivationSpec activation;
  ValueId winners;
};

struct Conv2dDataGradientOperands {
  ValueId dy, weight, dx, gradient_output;
  ActivationSpec gradient_activation;
  ValueId winners;
};

struct Conv2dWeightGradientOperands {
  ValueId dy, x, dweight, dbias, winners;
};

namespace conv2d_tiled {
// Those that suit the pass, the proposal first; one alone on CPU drivers, where all are slow.
std::vector<Conv2dCandidate> candidates(Conv2dPass pass, const Conv2dSizes& sizes,
                                        const runtime::DeviceProfile& device);
void lower(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dForward& o,
           const Conv2dTiling& tiling);
void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dDataGradientOperands& o, const Conv2dTiling& tiling);
void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dWeightGradientOperands& o, const Conv2dTiling& tiling);
}  // namespace conv2d_tiled

namespace conv2d_rows {
// Whether the device is one that these kernels are made for, and they can hold what one result
// column reads.
bool supports(const Conv2dSizes& sizes, const runtime::DeviceProfile& device);
// Whether they can also pool the output by tiles of 2 x 2 and read such a gradient (the other
// kernels cannot): where the output has an even height and width, and no row of it or of the input
// is cut.
bool pools(const Conv2dSizes& sizes, const runtime::DeviceProfile& device);
void lower(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dForward& o);
void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dDataGradientOperands& o);
void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dWeightGradientOperands& o);
}  // namespace conv2d_rows

namespace conv2d_depthwise {
void lower(Lowering& l, std::string_view label, const Conv2dSizes& s, const Conv2dForward& o);
void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dDataGradientOperands& o);
void lower(Lowering& l, std::string_view label, const Conv2dSizes& s,
           const Conv2dWeightGradientOperands& o);
}  // namespace conv2d_depthwise

// PlannedDispatch::for_fewer_turns of the passes that sum over channels and the kernel.
inline constexpr std::string_view kForFewerTurns = "use fewer channels or a smaller kernel";

// Multiply-adds of one pass over the batch, times 2.
double conv2d_flops(const Conv2dSizes& sizes);

}  // namespace vktrain::nn
