// A model's parameters as tensors of a safetensors file, with the names, shapes and types of a
// PyTorch state_dict: load_state_dict takes them as they are, and the other way round.
#pragma once

#include <cstdint>

#include "nn/io/safetensors.h"
#include "nn/parameters.h"

namespace vktrain::nn {

// Batch norm layers get their `num_batches_tracked` (I64 scalar) from `batches_tracked`.
SafeTensors export_parameters(const ParameterStorage& storage, std::uint32_t replica,
                              std::int64_t batches_tracked);

// Returns num_batches_tracked (0 without batch norm). Throws Error when a tensor is missing, not
// the model's, or of another shape or type; then nothing was written.
std::int64_t import_parameters(ParameterStorage& storage, std::uint32_t replica,
                               const SafeTensors& tensors);

}  // namespace vktrain::nn
