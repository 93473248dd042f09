// Compares operations with their double-precision references on the device; nn/check has the cases,
// the runs and the comparison, which `vktrain check` shares. On top of that
//   - several replicas with different random inputs run at once, and one of them is run alone and
//     must give the same bits;
//   - the references of backward operations are compared with differences of the forward ones.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "nn/check/comparison.h"
#include "nn/check/operation_case.h"
#include "tests/support/device_fixture.h"

namespace vktrain::testing {

using nn::largest;
using nn::normal_values;
using nn::Tolerance;
using nn::words_of;
using OpCase = nn::OperationCase;
using OpGraph = nn::CaseGraph;
using OpRun = nn::CaseRun;

// Sizes that straddle vec4s, workgroups and chunks: pairs of 1, 3, 4, 5, 63..65, 127..129,
// 511..513, the first ones fixed, the others drawn.
std::vector<std::pair<std::int64_t, std::int64_t>> odd_shapes(std::size_t count,
                                                              std::uint64_t seed);

class OpTest : public DeviceTest {
 protected:
  // Everything at the top of this file.
  void check(const OpCase& c);
  // By the kernels for this device, and by those for GPUs.
  void check_both(OpCase c);
  // The backward references against central differences of the forward ones, for a few elements of
  // every parameter.
  void check_gradients(const OpCase& c);
};

}  // namespace vktrain::testing
