// Puts values one behind the other along the channels (or features): dimension 1.
#pragma once

#include <span>
#include <string_view>

#include "nn/operation.h"

namespace vktrain::nn {

// inputs [batch, C_i, ...] with equal other dimensions -> [batch, sum of C_i, ...]. Throws Error
// when they differ elsewhere or there are fewer than two.
ValueId concat(Graph& graph, std::span<const ValueId> inputs, std::string_view label);

}  // namespace vktrain::nn
