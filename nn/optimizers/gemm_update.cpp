#include "nn/optimizers/gemm_update.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <utility>
#include <vector>

#include "nn/lowering.h"
#include "nn/ops/gemm.h"
#include "nn/ops/gemm_product.h"

namespace vktrain::nn {
namespace {

std::vector<ValueId> inputs_of(ValueId dy, ValueId x, const OptimizerOperation& update) {
  const OptimizerValues& values = update.values();
  return {dy,
          x,
          values.parameters.at(0),
          values.step.state,
          values.step.table,
          values.step.hyperparameters};
}

// Whether the kernel that updates compiles here is asked apart from the tiles, so that a driver
// that refuses it keeps them. No contest measures it: docs/benchmarks.md has what it is worth.
bool wants_merged(Lowering& l, const OptimizerOperation& update, const GemmSizes& sizes) {
  const std::uint32_t slots = update.slots();
  if (slots > 0 &&
      !ParameterStorage::joins_slots(l.device(), l.parameters(), l.replicas(), slots)) {
    return false;
  }
  return l.choose({.family = fmt::format("gemm update {}", update.kind()),
                   .shape = fmt::format("{}x{}x{}", sizes.m, sizes.n, sizes.k),
                   .candidates = {"merged", "apart"},
                   .last_resorts = 1,
                   .flops = 0}) == 0;
}

// Register tiles by shuffles, not split.
bool can_update(const GemmVariant& variant) {
  return variant.shader == "gemm_shuffle_tn" && variant.splits == 1;
}

}  // namespace

GemmUpdate::GemmUpdate(ValueId dy, ValueId x, ValueId bias_gradient,
                       std::unique_ptr<OptimizerOperation> update)
    : Operation(inputs_of(dy, x, *update), {update->values().parameters.at(0), bias_gradient}),
      update_(std::move(update)) {
  const OptimizerValues& values = update_->values();
  if (values.parameters.size() != 1 || values.penalty_partials != kNoValue) {
    throw std::invalid_argument("gemm_update: takes an optimizer of one parameter, no penalties");
  }
}

bool GemmUpdate::supports(const OptimizerOperation& optimizer, const ParameterSet& parameters,
                          const runtime::DeviceProfile& device) {
  const std::uint32_t slots = optimizer.slots();
  return gemm_can_shuffle(device) && optimizer.values().penalty_partials == kNoValue &&
         (slots == 0 ||
          ParameterStorage::joins_slots(device, ParameterLayout(parameters), 1, slots));
}

std::unique_ptr<Operation> GemmUpdate::product() const {
  GemmEpilogue epilogue;
  epilogue.column_sum = bias_gradient();
  auto product = std::make_unique<Gemm>(GemmForm::tn, dy(), x(), gradient(), epilogue);
  product->label = label;
  product->precision = precision;
  return product;
}

void GemmUpdate::lower(Lowering& l) const {
  const GemmProduct operands = {GemmForm::tn, dy(), x(), precision};
  if (wants_merged(l, *update_, gemm_sizes(l, operands))) {
    const GemmVariant variant = choose_gemm_variant(l, operands);
    if (can_update(variant)) return lower_merged(l, operands, variant);
  }
  product()->lower(l);
  update_->lower(l);
}

void GemmUpdate::lower_merged(Lowering& l, const GemmProduct& operands,
                              const GemmVariant& variant) const {
  const RangePart part = part_of(l.parameters(), l.graph().value(weight()));
  const Layout layout = l.layout(weight());
  const auto replica_of = [&](ValueId id) { return id == kNoValue ? 0 : l.replica_stride(id) / 4; };
  auto [dispatch, push] = gemm_dispatch(l, operands, variant);
  dispatch.label = fmt::format("{} gemm tn, {}", label, update_->kind());
  dispatch.shader = fmt::format("gemm_update_{}", update_->shader());
  std::swap(dispatch.groups[0], dispatch.groups[1]);  // along the rows of W
  std::ranges::copy(update_->variant(), dispatch.constants.begin() + 1);
  // Slots without an operand are bound to one that is there; the shader does not touch them.
  const auto bindings = update_->bindings(l, part);
  std::ranges::copy(bindings, std::back_inserter(dispatch.bindings));
  dispatch.bindings.push_back(
      update_->slots() > 0
          ? Lowering::range(Range::optimizer_states, runtime::Access::read_write, part)
          : bindings[0]);
  dispatch.bindings.push_back(bias_gradient() != kNoValue ? l.write(bias_gradient()) : bindings[0]);
  push.c_stride = to_u32(layout.row_stride / 4);
  push.c_replica = replica_of(weight());
  push.bias_gradient_replica = replica_of(bias_gradient());
  push.sum_a = bias_gradient() != kNoValue ? 1 : 0;
  push.table_stride = update_->table_stride(l);
  push.hyperparameter_stride = update_->hyperparameter_stride(l);
  push.slot_stride = to_u32(l.parameters().trainable_size() * l.replicas() / 4);
  dispatch.push = push_bytes(push);
  dispatch.flops += update_->update_flops(layout.size());
  dispatch.bytes += update_->update_bytes(layout.size());
  l.dispatch(std::move(dispatch));
}

void GemmUpdate::reference(ReferenceMemory& memory) const {
  product()->reference(memory);
  update_->reference(memory);
}

}  // namespace vktrain::nn
