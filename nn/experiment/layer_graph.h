// The layers of a model as a graph: which layer reads which, in which order they run, and what
// shape each gives. Every mistake in the way layers fit together is found here, in words, before
// anything is built.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "nn/experiment/experiment.h"
#include "nn/ops/window2d.h"

namespace vktrain::nn {

// One example between two layers: [channels, height, width] or [features].
using Extent = std::vector<std::int64_t>;

std::string to_string(const Extent& extent);  // "[8, 28, 28]"

// Stands for the images among a layer's inputs.
inline constexpr std::size_t kModelInput = std::numeric_limits<std::size_t>::max();

struct LayerNode {
  std::size_t index = 0;  // in ModelSpec::layers
  std::string name;       // of the layer, or its index: the names of its parameters start with it
  std::vector<std::size_t> inputs;  // indices in ModelSpec::layers, or kModelInput
  Extent output;
  std::int64_t parameters = 0;  // trainable
};

struct LayerGraph {
  // In an order in which they can run, that of the list if it is one; the last gives the output.
  std::vector<LayerNode> nodes;
};

// Throws UsageError, naming the layer, what was expected and what was found: for names that are
// unknown or taken, cycles, outputs that nobody uses, and shapes that do not fit.
LayerGraph resolve_layers(const ModelSpec& model);

// The window of a conv2d or pooling layer over an input of this size: the default stride and the
// padding rule resolved.
Window2d window_of(const LayerSpec& layer, Size2d input);

// "model.layers[2] (conv2d)", with the layer's name if it has one: "model.layers[2] (conv2d stem)".
std::string layer_subject(const ModelSpec& model, std::size_t index);

}  // namespace vktrain::nn
