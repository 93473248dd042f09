// What one layer makes of its inputs' shapes, and how many parameters it has. Private to
// nn/experiment.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "nn/experiment/layer_graph.h"

namespace vktrain::nn {

// The most values an example may have, and the most parameters a layer: keeps products of sizes
// far from overflow.
inline constexpr std::int64_t kMaxElements = std::int64_t{1} << 26;
inline constexpr std::int64_t kMaxParameters = std::int64_t{1} << 40;

std::int64_t elements(const Extent& extent);

struct LayerResult {
  Extent output;
  std::int64_t parameters = 0;
};

// Throws UsageError, starting with `subject`, when the inputs do not fit the layer.
LayerResult result_of(const LayerSpec& layer, std::span<const Extent> inputs,
                      const std::string& subject);

}  // namespace vktrain::nn
