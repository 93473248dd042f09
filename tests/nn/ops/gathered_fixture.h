// What tests of products that read a batch's images in the data set have in common: a step, or a
// few of an update, of several replicas on the device against the double-precision reference.
#pragma once

#include <string>
#include <vector>

#include "tests/nn/ops/gathered_rig.h"

namespace vktrain::testing {

// Of all planned dispatches.
std::vector<std::string> shaders_of(const nn::Plan& plan);

class GatheredTest : public DeviceTest {
 protected:
  void SetUp() override;

  // All replicas against their references, and the last one alone bit by bit; an update for three
  // steps. Returns the kernels.
  std::vector<std::string> check(const GatheredCase& c, const GatheredGraph& g);
  std::vector<std::string> check(const GatheredCase& c) {
    return check(c, GatheredGraph(c, device().profile()));
  }
};

}  // namespace vktrain::testing
