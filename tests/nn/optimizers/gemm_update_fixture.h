// What tests of weight gradients that update their weights have in common: a few steps of several
// replicas on the device against the double-precision reference.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/nn/optimizers/gemm_update_rig.h"

namespace vktrain::testing {

using Names = std::vector<std::string>;

nn::OptimizerConfig config_of(nn::OptimizerKind kind, nn::OptimizerDefinition definition);

// Of different learning rates and weight decays.
std::vector<nn::OptimizerConfig> replicas_of(const nn::OptimizerConfig& config,
                                             std::size_t count = 2);
std::vector<nn::OptimizerConfig> adam_replicas();

bool has_merged(const Names& kernels);

class GemmUpdateTest : public DeviceTest {
 protected:
  bool can_merge();

  // The kernels of what the product updates and those of the rest, which has two parts in the
  // range, and three around a bias that the product updates.
  Names with_rest(const UpdateCase& c, Names kernels, std::string_view rest);

  // Three steps of all replicas against their references, and of the last one alone bit by bit.
  // Returns the kernels.
  Names check(const UpdateCase& c, const UpdateGraph& g);
  Names check(const UpdateCase& c) { return check(c, UpdateGraph(c)); }
  void check_merged(const UpdateCase& c, const std::string& shader);
};

class MergedGemmUpdateTest : public GemmUpdateTest {
 protected:
  void SetUp() override;

  // The run of a case with a product and an optimizer of their own.
  std::unique_ptr<OpRun> run_apart(const UpdateCase& c, const UpdateGraph& g);
  // Whether K of a product that updates nothing would be split.
  bool splits_alone(const UpdateCase& c);
  // A device that binds the range of a slot of two replicas, but not of two slots.
  void bind_no_joined_slots(UpdateGraph& g);

  // One step leaves everything but the rows of these members alone, of all replicas: other
  // parameters and all state, padding included.
  void check_leaves_others_alone(const UpdateCase& c, const std::vector<std::size_t>& members);
};

}  // namespace vktrain::testing
