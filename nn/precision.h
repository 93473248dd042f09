// The precision of matrix products and convolutions. Everything else computes in f32, and every
// value in memory is f32: parameters, optimizer state, activations and gradients.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace vktrain::nn {

class Graph;

enum class Precision {
  f32,
  // Both operands of a product are rounded to half floats (to nearest, ties to even; magnitudes
  // past 65504 become that), their products summed in f32. Gradients are scaled by `loss_scale`
  // before they are rounded and the sums scaled back, so that small ones survive. Depthwise
  // convolutions stay f32: they are bound by memory.
  mixed,
};
std::string_view to_string(Precision precision);  // "f32"

// Of all matrix products and convolutions of a graph.
void set_precision(Graph& graph, Precision precision);

// What gradients of a mean over `batch` examples are multiplied with: a power of two that brings
// the gradient of a logit, at most 1 / batch, to at most 16 to 32. There are 11 binary digits from
// there up to the largest half float, 33 down to the least.
float loss_scale(std::int64_t batch);

}  // namespace vktrain::nn
