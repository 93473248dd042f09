// The fixed list of shapes that `vktrain check` runs every operation on: sizes that fill tiles and
// vec4s and sizes that do not, and some of the built-in experiments.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/check/operation_case.h"

namespace vktrain::nn {

struct CatalogueCase {
  std::string name;  // "65 x 33 -> 17, tanh, fused"
  OperationCase operation;
  bool own_kernels = false;  // rewritten for the device's own: not for those of other devices
};

// One replica each. The same seed gives the same inputs everywhere but for the last bit of what
// goes through the platform's logarithm, sine and cosine; the reference gets the same inputs.
// The cases are the same for all devices, but for fusions that ask for `device`'s kernels.
std::vector<CatalogueCase> operation_catalogue(std::uint64_t seed,
                                               const runtime::DeviceProfile& device);

// Its parts, each in a file of its own.
std::vector<CatalogueCase> product_catalogue(std::uint64_t seed,  // GEMM and convolution
                                             const runtime::DeviceProfile& device);
std::vector<CatalogueCase> layer_catalogue(std::uint64_t seed);  // other layers
std::vector<CatalogueCase> step_catalogue(std::uint64_t seed,    // batch, loss, metrics
                                          const runtime::DeviceProfile& device);
std::vector<CatalogueCase> optimizer_catalogue(std::uint64_t seed,  // and clipping
                                               const runtime::DeviceProfile& device);

}  // namespace vktrain::nn
