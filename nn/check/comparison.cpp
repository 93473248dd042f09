#include "nn/check/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>
#include <map>
#include <set>

#include "nn/ops/batch_norm.h"
#include "nn/ops/gather_batch.h"
#include "nn/ops/linear_cross_entropy.h"
#include "nn/optimizers/optimizer_operation.h"

namespace vktrain::nn {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr double kUnit = 0x1p-23;
constexpr double kNothing = 1e-37;

double ulp_of_error(double error, double reference, const Tolerance& tolerance) {
  if (std::isnan(error)) return kInfinite;
  if (error <= kNothing) return 0;
  double magnitude = std::abs(reference);
  if (tolerance.relative > 0) magnitude += tolerance.absolute / tolerance.relative;
  return magnitude > 0 ? error / (kUnit * magnitude) : kInfinite;
}

// Two values of steps hold words of several kinds under one type: metrics are [loss, correct (an
// integer), penalty, reserved], and optimizers read floats from the hyperparameters.
bool holds_float(const Operation& operation, const Value& value, std::size_t word) {
  if (value.dtype == DType::f32) return true;
  if (value.name == "metrics") return word % 4 != 1;
  return value.name == "hyperparameters" && updates_weights(operation);
}

std::vector<double> to_doubles(const Operation& operation, const Value& value,
                               const std::vector<std::uint32_t>& words) {
  std::vector<double> values(words.size());
  for (std::size_t i = 0; i < words.size(); ++i) {
    values[i] = holds_float(operation, value, i) ? double{std::bit_cast<float>(words[i])}
                                                 : static_cast<double>(words[i]);
  }
  return values;
}

// Which values operations update in place, and which operation is the last to write each.
struct Writers {
  explicit Writers(const Graph& graph) {
    for (const auto& operation : graph.operations()) {
      for (const ValueId id : operation->outputs()) {
        last[id] = operation.get();
        if (std::ranges::count(operation->inputs(), id) > 0) in_place.insert(id);
      }
    }
  }

  bool updates(const Operation& operation) const {
    return std::ranges::any_of(operation.outputs(),
                               [this](ValueId id) { return in_place.contains(id); });
  }

  std::map<ValueId, const Operation*> last;
  std::set<ValueId> in_place;
};

// What the device has, but for what it has overwritten by now.
void load_inputs(const Operation& operation, const CaseGraph& ops, const CaseRun& run,
                 std::uint32_t replica, const Writers& writers, ReferenceMemory& memory) {
  for (const ValueId id : operation.inputs()) {
    if (id == kNoValue) continue;
    const Value& value = ops.graph.value(id);
    if (value.kind == ValueKind::state || writers.in_place.contains(id)) continue;
    memory[id] = to_doubles(operation, value, run.words(id, replica));
  }
}

// The device holds the mean of batch norm as a sum of two floats, the reference in one number; it
// shows in everything else that the operation makes. Logits that are merged with their loss and
// a batch that products gather are not stored.
bool is_comparable(const Operation& operation, ValueId output) {
  const auto* train = dynamic_cast<const BatchNormTrain*>(&operation);
  const auto* head = dynamic_cast<const LinearCrossEntropy*>(&operation);
  const auto* batch = dynamic_cast<const GatherBatch*>(&operation);
  return operation.kind() != "weighted_loss" && !(train && output == train->mean()) &&
         !(head && output == head->values().logits) &&
         !(batch && batch->has_places() && output == batch->x());
}

std::vector<OutputComparison> compare_optimizer_state(const Operation& operation,
                                                      const CaseGraph& ops, const CaseRun& run,
                                                      std::uint32_t replica,
                                                      ReferenceMemory& memory) {
  std::vector<OutputComparison> result;
  for (const ValueId id : operation.outputs()) {
    const Value& value = ops.graph.value(id);
    if (value.kind != ValueKind::parameter) continue;
    for (std::uint32_t slot = 0; slot < run.storage().optimizer_slots(); ++slot) {
      const std::vector<float> found =
          run.storage().read_optimizer_state(slot, value.parameter, replica);
      const std::vector<double>& state = memory.optimizer_state(slot, value.parameter);
      const std::vector<double> values(found.begin(), found.end());
      // Terms of a state are as large as its largest value, and not below what squares of ordinary
      // gradients are.
      const Tolerance tolerance = {.relative = 34, .absolute = 34 * std::max(1e-3, largest(state))};
      result.push_back(
          {&operation, id, slot + 1, compare_values(state, values, DType::f32, tolerance)});
    }
  }
  return result;
}

}  // namespace

double Discrepancy::share() const {
  if (ulp == 0) return 0;
  return limit_ulp > 0 ? ulp / limit_ulp : kInfinite;
}

Discrepancy compare_values(std::span<const double> reference, std::span<const double> values,
                           DType dtype, const Tolerance& tolerance) {
  Discrepancy worst;
  double size = 0, largest_error = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double error = std::abs(values[i] - reference[i]);
    size = std::max(size, std::abs(reference[i]));
    largest_error = std::isnan(error) ? kInfinite : std::max(largest_error, error);
    Discrepancy now = {.element = i, .device = values[i], .reference = reference[i]};
    if (dtype == DType::u32) {
      now.ulp = error == 0 ? 0 : kInfinite;
    } else {
      now.ulp = ulp_of_error(error, reference[i], tolerance);
      now.limit_ulp = tolerance.limit_ulp();
    }
    if (i == 0 || now.share() > worst.share()) worst = now;
  }
  if (largest_error > kNothing) worst.relative = size > 0 ? largest_error / size : kInfinite;
  return worst;
}

std::string to_string(const OutputComparison& comparison, const Graph& graph) {
  const Discrepancy& d = comparison.worst;
  const std::string slot =
      comparison.slot > 0 ? fmt::format(", optimizer state {}", comparison.slot) : "";
  return fmt::format("{} -> {}{} [{}]: device {:.9g}, reference {:.9g}, {:.3g} of {:.3g} ULP",
                     comparison.operation->kind(), graph.value(comparison.output).name, slot,
                     d.element, d.device, d.reference, d.ulp, d.limit_ulp);
}

std::vector<OutputComparison> compare_operations(
    const OperationCase& c, const CaseGraph& ops, const CaseRun& run, std::uint32_t replica,
    ReferenceMemory& memory, const std::function<bool(const Operation&)>& wanted) {
  const Writers writers(ops.graph);
  std::vector<OutputComparison> result;
  for (const auto& operation : ops.graph.operations()) {
    const bool skipped = wanted && !wanted(*operation);
    if (skipped && !writers.updates(*operation)) continue;
    load_inputs(*operation, ops, run, replica, writers, memory);
    operation->reference(memory);
    if (skipped) continue;
    for (const ValueId id : operation->outputs()) {
      if (id == kNoValue || writers.last.at(id) != operation.get()) continue;
      const Value& value = ops.graph.value(id);
      if (!is_comparable(*operation, id) || (c.ignore && c.ignore(value))) continue;
      std::optional<Tolerance> tolerance;
      if (c.tolerance) tolerance = c.tolerance(*operation, id, memory);
      if (!tolerance) tolerance = tolerance_of(*operation, id, memory);
      const std::vector<double> values = to_doubles(*operation, value, run.words(id, replica));
      const DType dtype = holds_float(*operation, value, 0) ? DType::f32 : DType::u32;
      result.push_back(
          {operation.get(), id, 0, compare_values(memory[id], values, dtype, *tolerance)});
    }
    if (!updates_weights(*operation)) continue;
    std::ranges::move(compare_optimizer_state(*operation, ops, run, replica, memory),
                      std::back_inserter(result));
  }
  return result;
}

std::optional<ValueId> wrong_padding(const CaseGraph& ops, const CaseRun& run,
                                     std::uint32_t replica) {
  for (ValueId id = 0; id < ops.graph.value_count(); ++id) {
    const Value& value = ops.graph.value(id);
    if (id == ops.loss || value.dtype != DType::f32 || value.kind == ValueKind::external) continue;
    // What a whole graph makes is not all read as vectors.
    if (ops.x == kNoValue && value.kind == ValueKind::activation) continue;
    if (!run.has(id)) continue;
    for (const std::uint32_t word : run.padding(id, replica)) {
      const float number = std::bit_cast<float>(word);
      const bool good = value.kind == ValueKind::activation ? std::isfinite(number) : number == 0;
      if (!good) return id;
    }
  }
  return std::nullopt;
}

}  // namespace vktrain::nn
