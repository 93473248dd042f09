// What all optimizers share as operations: a dispatch over the parameters' range (over each part of
// it, where others update some parameters), the penalties, and the loop of the reference over
// parameters. A subclass names its shader's variant and its update of one tensor.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nn/lowering.h"
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

  const OptimizerConfig& config() const { return config_; }
  const OptimizerValues& values() const { return values_; }

  // What the update needs in any kernel that does it: bindings 2 to 5 and specialization constants
  // 1 to 3 (shaders/optimizer_values.glsl), for a part of the range.
  virtual std::string_view shader() const { return kind(); }
  std::array<PlannedBinding, 4> bindings(const Lowering& lowering, RangePart part) const;
  std::uint32_t slots() const { return optimizer_slots(config_); }
  virtual std::array<std::uint32_t, 3> variant() const = 0;             // the constants
  std::uint32_t table_stride(const Lowering& lowering) const;           // in entries
  std::uint32_t hyperparameter_stride(const Lowering& lowering) const;  // in blocks
  double update_flops(std::int64_t weights) const;
  double update_bytes(std::int64_t weights) const;  // without the gradient's

 protected:
  virtual double flops_per_weight() const = 0;
  // One tensor's update in double. Penalties are already in the gradients.
  virtual void update(const OptimizerStep& step, std::span<double> weights,
                      std::span<const double> gradients,
                      std::array<std::span<double>, 2> slots) const = 0;

 private:
  std::vector<RangePart> parts(const Lowering& lowering) const;
  void lower_part(Lowering& lowering, RangePart part) const;
  std::vector<double> penalised_gradients(ReferenceMemory& memory, std::size_t member, double l1,
                                          double l2) const;

  OptimizerConfig config_;
  OptimizerValues values_;
};

// Of the config's kind.
std::unique_ptr<OptimizerOperation> make_optimizer(const OptimizerConfig& config,
                                                   OptimizerValues values);

}  // namespace vktrain::nn
