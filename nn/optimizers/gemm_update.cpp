#include "nn/optimizers/gemm_update.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
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

// Register tiles by shuffles, not split, and one binding for all slots of state.
bool can_update(const GemmVariant& variant, const Lowering& l, std::uint32_t slots) {
  return variant.shader == "gemm_shuffle_tn" && variant.splits == 1 &&
         (slots < 2 ||
          ParameterStorage::joins_slots(l.device(), l.parameters(), l.replicas(), slots));
}

}  // namespace

GemmUpdate::GemmUpdate(ValueId dy, ValueId x, ValueId bias_gradient,
                       std::unique_ptr<OptimizerOperation> update)
    : Operation(inputs_of(dy, x, *update), {update->values().parameters.at(0), bias_gradient}),
      update_(std::move(update)) {}

bool GemmUpdate::supports(const OptimizerOperation& optimizer,
                          const runtime::DeviceProfile& device) {
  return gemm_can_shuffle(device) && optimizer.values().penalty_partials == kNoValue;
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
  const GemmProduct of = {GemmForm::tn, dy(), x(), precision};
  const GemmVariant variant = choose_gemm_variant(l, of);
  if (!can_update(variant, l, update_->slots())) {
    product()->lower(l);
    update_->lower(l);
    return;
  }
  const RangePart part = part_of(l.parameters(), l.graph().value(weight()));
  const Layout layout = l.layout(weight());
  const auto replica_of = [&](ValueId id) { return id == kNoValue ? 0 : l.replica_stride(id) / 4; };
  auto [dispatch, push] = gemm_dispatch(l, of, variant);
  dispatch.label = fmt::format("{} gemm tn, {}", label, update_->kind());
  dispatch.shader = fmt::format("gemm_update_{}", update_->shader());
  std::ranges::copy(update_->constants(), dispatch.constants.begin() + 1);
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
  dispatch.flops += update_->flops_of(layout.size());
  dispatch.bytes += update_->bytes_of(layout.size());
  l.dispatch(std::move(dispatch));
}

void GemmUpdate::reference(ReferenceMemory& memory) const {
  product()->reference(memory);
  update_->reference(memory);
}

}  // namespace vktrain::nn
