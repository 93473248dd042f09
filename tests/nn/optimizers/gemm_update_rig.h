// A graph of a weight gradient that updates its weights (nn/optimizers/gemm_update.h), with or
// without their bias, and of the rest of the optimizer, which has parameters on both sides of them
// in the range, and between weights and bias: on the device for several replicas, and the same in
// double.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nn/optimizers/optimizer.h"
#include "tests/nn/ops/op_test.h"

namespace vktrain::testing {

struct UpdateCase {
  std::int64_t batch = 19, out = 37, in = 101;
  std::vector<nn::OptimizerConfig> replicas = {};
  bool bias = true;
  bool own_bias = false;  // the product updates the bias, too
  bool others = true;     // without: only what the product updates
  nn::Precision precision = nn::Precision::f32;
  bool exact = true;  // sums of products are, in any order; never in mixed precision
  std::string kernel = "shuffle 8x8";  // empty: the proposal
};

struct UpdateValues {
  nn::StepInputs step;
  nn::ValueId dy = nn::kNoValue, x = nn::kNoValue;
  std::vector<nn::ValueId> parameters;  // front, weight, between, bias if there is one, behind
};

class UpdateGraph {
 public:
  explicit UpdateGraph(const UpdateCase& c);

  OpGraph& ops() { return ops_; }
  const OpGraph& ops() const { return ops_; }
  const UpdateValues& values() const { return values_; }

  // Runs a step on the device, whose replica 0 is the case's replica `first`.
  void step(OpRun& run, std::uint32_t step, std::uint32_t first, std::uint32_t replicas) const;
  nn::ReferenceMemory reference(std::uint32_t replica) const;
  void step(nn::ReferenceMemory& memory, std::uint32_t step, std::uint32_t replica) const;

  // The parameters, then as many of each slot of state.
  std::vector<std::vector<float>> results(const OpRun& run, std::uint32_t replica) const;
  // Fails the test where they differ from the reference or their padding is not 0.
  void expect_reference(const OpRun& run, std::uint32_t replica, nn::ReferenceMemory& memory) const;

 private:
  std::map<nn::ValueId, std::vector<std::uint32_t>> inputs(std::uint32_t step,
                                                           std::uint32_t replica) const;
  std::vector<std::uint32_t> operand(std::int64_t count, nn::PhiloxRng& rng) const;
  std::array<std::uint32_t, 32> hyperparameters(std::uint32_t replica) const;
  OpCase operation_case();

  UpdateCase c_;
  UpdateValues values_;
  OpGraph ops_;
};

// Of all planned dispatches.
std::vector<std::string> shaders(const OpRun& run);

}  // namespace vktrain::testing
