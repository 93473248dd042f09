// What all optimizers share as operations: one dispatch over the whole parameter range, the
// penalties, and the loop of the reference over parameters. A subclass names its shader's variant
// and its update of one tensor.
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/operation.h"
#include "nn/optimizers/optimizer.h"
#include "nn/reference/optimizer_step.h"

namespace vktrain::nn {

// The values that an optimizer works on; parameters and gradients in the order of the set.
struct OptimizerValues {
  StepInputs step;
  std::vector<ValueId> parameters;
  std::vector<ValueId> gradients;
  ValueId penalty_partials = kNoValue;
};

// Workgroups of an optimizer's dispatch that see penalised weights: a function of the layout alone,
// so that shapes are known before a device is.
std::int64_t penalty_groups(const ParameterLayout& layout);

class OptimizerOperation : public Operation {
 public:
  OptimizerOperation(const OptimizerConfig& config, OptimizerValues values);

  void lower(Lowering& lowering) const final;
  void reference(ReferenceMemory& memory) const final;

 protected:
  const OptimizerConfig& config() const { return config_; }

  virtual std::string_view shader() const { return kind(); }
  // Specialization constants from id 2 on; 0 is the workgroup size, 1 switches penalties.
  virtual std::vector<std::uint32_t> variant() const = 0;
  virtual double flops_per_weight() const = 0;
  // One tensor's update in double. Penalties are already in the gradients.
  virtual void update(const OptimizerStep& step, std::span<double> weights,
                      std::span<const double> gradients,
                      std::array<std::span<double>, 2> slots) const = 0;

 private:
  std::vector<double> penalised_gradients(ReferenceMemory& memory, std::size_t member, double l1,
                                          double l2) const;

  OptimizerConfig config_;
  OptimizerValues values_;
};

}  // namespace vktrain::nn
