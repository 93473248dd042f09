// A convolution between two activations, for tests of all three passes.
#pragma once

#include <cstdint>
#include <string>

#include "nn/ops/conv2d.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {

struct ConvCase {
  std::int64_t batch = 1;
  std::int64_t in_channels = 1;
  nn::Size2d input;
  std::int64_t out_channels = 1;
  nn::Conv2dOptions options;

  nn::Shape weight_shape() const {
    const nn::Size2d& kernel = options.window.kernel;
    return {out_channels, in_channels / options.groups, kernel.height, kernel.width};
  }
};

std::string to_string(const ConvCase& c);

// x -> activation -> convolution; with an activation also with all of the convolution's epilogues.
OpCase network(const ConvCase& conv, const nn::ActivationSpec& spec, std::uint64_t seed);

}  // namespace vktrain::testing
