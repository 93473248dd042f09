// A last linear layer with its loss, for tests of the operation that merges them.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <vector>

#include "nn/ops/activation.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {

struct Head {
  std::int64_t batch = 1, in = 1, classes = 1;
  bool bias = true, data_gradient = true;
  nn::ActivationSpec activation = {};
  double smoothing = 0;
  bool apart = false;  // by the product, the loss and the product that it stands for
};

inline std::string to_string(const Head& h) {
  return fmt::format("{} x {} -> {}, bias {}, data gradient {}, {}, smoothing {}{}", h.batch, h.in,
                     h.classes, h.bias, h.data_gradient, nn::to_string(h.activation.kind),
                     h.smoothing, h.apart ? ", apart" : "");
}

// Those whose derivative is a function of the output.
inline const std::vector<nn::ActivationSpec> kActivations = {
    {nn::Activation::none},      {nn::Activation::relu},      {nn::Activation::tanh},
    {nn::Activation::sigmoid},   {nn::Activation::elu, 0.5f}, {nn::Activation::leaky_relu, 0.25f},
    {nn::Activation::elu, 1.75f}};

class HeadTest : public OpTest {
 protected:
  // The device at hand, the same without texel buffers, and a GPU's share of work.
  std::vector<runtime::DeviceProfile> profiles() {
    std::vector<runtime::DeviceProfile> all(3, device().profile());
    all[1].max_texel_elements = 0;
    all[2].kind = runtime::DeviceKind::discrete;
    return all;
  }

  runtime::DeviceProfile next_profile() { return profiles()[turn_++ % 3]; }

 private:
  std::size_t turn_ = 0;
};

}  // namespace vktrain::testing
