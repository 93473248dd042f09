// The dispatch and the reference loop of all optimizers; see optimizer_operation.h.
#include "nn/optimizers/optimizer_operation.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <stdexcept>

#include "nn/reference/reference_memory.h"

namespace vktrain::nn {

namespace {

constexpr std::uint32_t kWorkgroupSize = 64;
constexpr std::uint32_t kVectorsPerInvocation = 4;
constexpr std::int64_t kWeightsPerGroup = std::int64_t{4} * kWorkgroupSize * kVectorsPerInvocation;

// Push-constant block of shaders/optimizer.glsl.
struct Push {
  std::uint32_t vectors;
  std::uint32_t range_vectors;
  std::uint32_t penalised_vectors;
  std::uint32_t vectors_per_invocation;
  std::uint32_t table_stride;
  std::uint32_t hyperparameter_stride;
  std::uint32_t partials;
  std::uint32_t partials_stride;
};

std::vector<ValueId> inputs_of(const OptimizerValues& values) {
  std::vector<ValueId> inputs = values.gradients;
  inputs.insert(inputs.end(), values.parameters.begin(), values.parameters.end());
  inputs.insert(inputs.end(), {values.step.state, values.step.table, values.step.hyperparameters});
  return inputs;
}

std::vector<ValueId> outputs_of(const OptimizerValues& values) {
  std::vector<ValueId> outputs = values.parameters;
  if (values.penalty_partials != kNoValue) outputs.push_back(values.penalty_partials);
  return outputs;
}

OptimizerStep step_of(const ReferenceMemory& memory, const StepInputs& inputs) {
  const std::vector<double>& state = memory[inputs.state];
  const std::vector<double>& table = memory[inputs.table];
  const std::vector<double>& words = memory[inputs.hyperparameters];
  const auto at = [&](std::size_t byte_offset) { return words.at(byte_offset / 4); };
  const auto entry = static_cast<std::size_t>(state.at(1)) * 4;
  return {
      .first = state.at(0) == 0,
      .learning_rate = table.at(entry),
      .bias_correction1 = table.at(entry + 1),
      .sqrt_bias_correction2 = table.at(entry + 2),
      .weight_decay = at(offsetof(Hyperparameters, weight_decay)),
      .momentum = at(offsetof(Hyperparameters, momentum)),
      .dampening = at(offsetof(Hyperparameters, dampening)),
      .beta1 = at(offsetof(Hyperparameters, beta1)),
      .beta2 = at(offsetof(Hyperparameters, beta2)),
      .one_minus_beta1 = at(offsetof(Hyperparameters, one_minus_beta1)),
      .one_minus_beta2 = at(offsetof(Hyperparameters, one_minus_beta2)),
      .epsilon = at(offsetof(Hyperparameters, epsilon)),
  };
}

double sign(double x) { return x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0; }

}  // namespace

std::int64_t penalty_groups(const ParameterLayout& layout) {
  return divide_up(layout.penalised_size(), kWeightsPerGroup);
}

OptimizerOperation::OptimizerOperation(const OptimizerConfig& config, OptimizerValues values)
    : Operation(inputs_of(values), outputs_of(values)),
      config_(config),
      values_(std::move(values)) {}

void OptimizerOperation::lower(Lowering& lowering) const {
  const std::vector<RangePart> all = parts(lowering);
  if (values_.penalty_partials != kNoValue) {
    const ParameterLayout& layout = lowering.parameters();
    if (all.size() != 1 || all[0].elements != layout.trainable_size() ||
        lowering.layout(values_.penalty_partials).columns != penalty_groups(layout)) {
      throw std::logic_error(
          "optimizer: penalties need all parameters, but some are another operation's or were "
          "declared after it was added to the graph");
    }
  }
  for (const RangePart& part : all) lower_part(lowering, part);
}

// Neighbours in the range go together.
std::vector<RangePart> OptimizerOperation::parts(const Lowering& lowering) const {
  std::vector<RangePart> parts;
  for (const ValueId parameter : values_.parameters) {
    parts.push_back(part_of(lowering.parameters(), lowering.graph().value(parameter)));
  }
  std::ranges::sort(parts, {}, &RangePart::offset);
  std::vector<RangePart> joined;
  for (const RangePart& part : parts) {
    if (!joined.empty() && joined.back().offset + joined.back().elements == part.offset) {
      joined.back().elements += part.elements;
    } else {
      joined.push_back(part);
    }
  }
  return joined;
}

std::array<PlannedBinding, 4> OptimizerOperation::bindings(const Lowering& lowering,
                                                           RangePart part) const {
  return {Lowering::range(Range::parameters, runtime::Access::read_write, part),
          lowering.read(values_.step.table), lowering.read(values_.step.hyperparameters),
          lowering.read(values_.step.state)};
}

std::uint32_t OptimizerOperation::table_stride(const Lowering& lowering) const {
  return lowering.replica_stride(values_.step.table) / 4;
}

std::uint32_t OptimizerOperation::hyperparameter_stride(const Lowering& lowering) const {
  return lowering.replica_stride(values_.step.hyperparameters) /
         std::uint32_t{sizeof(Hyperparameters) / 4};
}

double OptimizerOperation::update_flops(std::int64_t weights) const {
  return static_cast<double>(weights) * flops_per_weight();
}

double OptimizerOperation::update_bytes(std::int64_t weights) const {
  return bytes_of(weights * (2 + 2 * std::int64_t{slots()}));
}

void OptimizerOperation::lower_part(Lowering& lowering, RangePart part) const {
  using runtime::Access;
  const ParameterLayout& layout = lowering.parameters();
  const bool penalties = values_.penalty_partials != kNoValue;
  PlannedDispatch dispatch;
  dispatch.label = std::string(kind());
  dispatch.shader = by_texels(lowering.device(), shader());
  const std::array<std::uint32_t, 3> own = variant();
  dispatch.constants = {kWorkgroupSize, own[0], own[1], own[2], penalties};
  // A slot that the variant does not use still needs a buffer: the parameters, whose access is
  // declared anyway.
  const std::array<PlannedBinding, 4> update = bindings(lowering, part);
  const auto slot = [&](std::uint32_t number, Range range) {
    return number < slots() ? Lowering::range(range, Access::read_write, part) : update[0];
  };
  dispatch.bindings = {Lowering::range(Range::gradients, Access::read, part),
                       penalties ? lowering.write(values_.penalty_partials) : update[0]};
  dispatch.bindings.insert(dispatch.bindings.end(), update.begin(), update.end());
  dispatch.bindings.push_back(slot(0, Range::optimizer_state_0));
  dispatch.bindings.push_back(slot(1, Range::optimizer_state_1));
  dispatch.push = push_bytes(Push{
      .vectors = to_u32(part.elements / 4),
      .range_vectors = to_u32(layout.trainable_size() / 4),
      .penalised_vectors = to_u32(layout.penalised_size() / 4),
      .vectors_per_invocation = kVectorsPerInvocation,
      .table_stride = table_stride(lowering),
      .hyperparameter_stride = hyperparameter_stride(lowering),
      .partials = to_u32(penalty_groups(layout)),
      .partials_stride = penalties ? lowering.replica_stride(values_.penalty_partials) : 0,
  });
  dispatch.groups = lowering.groups_for(part.elements, kWeightsPerGroup);
  dispatch.flops = update_flops(part.elements);
  dispatch.bytes = bytes_of(part.elements) + update_bytes(part.elements);
  lowering.dispatch(std::move(dispatch));
}

// Adds the penalties of one parameter to its workgroups' partials, as the kernel divides the work.
std::vector<double> OptimizerOperation::penalised_gradients(ReferenceMemory& memory,
                                                            std::size_t member, double l1,
                                                            double l2) const {
  std::vector<double> gradients = memory[values_.gradients[member]];
  const Value& value = memory.graph().value(values_.parameters[member]);
  const ParameterSet& set = memory.graph().parameters();
  if (values_.penalty_partials == kNoValue || !set[value.parameter].penalised) return gradients;
  const std::vector<double>& weights = memory[values_.parameters[member]];
  std::vector<double>& partials = memory[values_.penalty_partials];
  const Layout layout = layout_of(value.shape);
  const std::int64_t offset = ParameterLayout(set).offset(value.parameter);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double w = weights[i];
    const auto index = static_cast<std::int64_t>(i);
    const std::int64_t place =
        offset + index / layout.columns * layout.row_stride + index % layout.columns;
    partials.at(static_cast<std::size_t>(place / kWeightsPerGroup)) +=
        l2 * w * w + l1 * std::abs(w);
    gradients[i] += 2 * l2 * w + l1 * sign(w);
  }
  return gradients;
}

void OptimizerOperation::reference(ReferenceMemory& memory) const {
  const OptimizerStep step = step_of(memory, values_.step);
  const std::vector<double>& words = memory[values_.step.hyperparameters];
  const double l1 = words.at(offsetof(Hyperparameters, l1) / 4);
  const double l2 = words.at(offsetof(Hyperparameters, l2) / 4);
  if (values_.penalty_partials != kNoValue) {
    std::vector<double>& partials = memory[values_.penalty_partials];
    partials.assign(partials.size(), 0.0);
  }
  const std::vector<float> fill = optimizer_fill(config_);
  for (std::size_t member = 0; member < values_.parameters.size(); ++member) {
    const std::vector<double> gradients = penalised_gradients(memory, member, l1, l2);
    std::vector<double>& weights = memory[values_.parameters[member]];
    std::array<std::span<double>, 2> slots;
    for (std::uint32_t slot = 0; slot < fill.size(); ++slot) {
      const std::size_t parameter = memory.graph().value(values_.parameters[member]).parameter;
      std::vector<double>& state = memory.optimizer_state(slot, parameter);
      if (step.first) state.assign(weights.size(), static_cast<double>(fill[slot]));
      slots[slot] = state;
    }
    update(step, weights, gradients, slots);
  }
}

}  // namespace vktrain::nn
