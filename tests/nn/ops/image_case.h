// Operations on [batch, C, H, W] in the harness of op_test.h, whose values are [batch, columns].
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "nn/check/image_case.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {

using nn::image_case;
using nn::ImageShape;

// Batches of 1 to 65, 1 to 9 channels, planes of 1 x 1 to 12 x 12, most of them no whole vec4; the
// first ones fixed, the others drawn.
std::vector<ImageShape> odd_images(std::size_t count, std::uint64_t seed);

// The message of the Error that the statement throws; empty if it throws none.
std::string error_of(const std::function<void()>& statement);

}  // namespace vktrain::testing
