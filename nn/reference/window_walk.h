// Walks over the windows of pooling, for the references.
#pragma once

#include <cstddef>

#include "nn/ops/pool2d.h"

namespace vktrain::nn::reference {

// Calls visit(output, input) for every output element of all planes and every input element under
// its window, in row-major order; both are indices into the row-major tensors.
template <class Visit>
void walk_windows(const Pool2dSizes& s, std::size_t outputs, const Visit& visit) {
  const Window2d& w = s.window;
  const std::int64_t out_plane = s.output.height * s.output.width;
  for (std::int64_t o = 0; o < static_cast<std::int64_t>(outputs); ++o) {
    const std::int64_t top = o % out_plane / s.output.width * w.stride.height;
    const std::int64_t left = o % s.output.width * w.stride.width;
    for (std::int64_t k = 0; k < w.kernel.height * w.kernel.width; ++k) {
      const std::int64_t row =
          top - w.padding_begin.height + k / w.kernel.width * w.dilation.height;
      const std::int64_t column =
          left - w.padding_begin.width + k % w.kernel.width * w.dilation.width;
      if (row < 0 || row >= s.input.height || column < 0 || column >= s.input.width) continue;
      const std::int64_t plane_row = o / out_plane * s.input.height + row;
      visit(static_cast<std::size_t>(o),
            static_cast<std::size_t>(plane_row * s.input.width + column));
    }
  }
}

}  // namespace vktrain::nn::reference
