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
  std::vector<ValueId> inputs = {dy, x};
  inputs.insert(inputs.end(), values.parameters.begin(), values.parameters.end());
  inputs.insert(inputs.end(), {values.step.state, values.step.table, values.step.hyperparameters});
  return inputs;
}

std::vector<ValueId> outputs_of(ValueId bias_gradient, const OptimizerOperation& update) {
  const std::vector<ValueId>& parameters = update.values().parameters;
  std::vector<ValueId> outputs = {parameters.at(0), bias_gradient};
  outputs.insert(outputs.end(), parameters.begin() + 1, parameters.end());
  return outputs;
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
    : Operation(inputs_of(dy, x, *update), outputs_of(bias_gradient, *update)),
      update_(std::move(update)) {
  const OptimizerValues& values = update_->values();
  if (values.parameters.size() > 2 || values.penalty_partials != kNoValue) {
    throw std::invalid_argument(
        "gemm_update: takes an optimizer of weights and at most a bias, no penalties");
  }
  if (updates_bias() && values.gradients[1] != bias_gradient) {
    throw std::invalid_argument("gemm_update: the bias has another gradient");
  }
}

bool GemmUpdate::supports(const OptimizerOperation& optimizer, const ParameterSet& parameters,
                          const runtime::DeviceProfile& device) {
  const std::uint32_t slots = optimizer.slots();
  return gemm_can_shuffle(device) && optimizer.values().penalty_partials == kNoValue &&
         (slots == 0 ||
          ParameterStorage::joins_slots(device, ParameterLayout(parameters), 1, slots));
}

std::unique_ptr<Gemm> GemmUpdate::product() const {
  GemmEpilogue epilogue;
  epilogue.column_sum = bias_gradient();
  auto product = std::make_unique<Gemm>(GemmForm::tn, dy(), x(), gradient(), epilogue);
  product->label = label;
  product->precision = precision;
  if (gathered_) product->gather(*gathered_);
  return product;
}

void GemmUpdate::gather(const GatheredBatch& batch) {
  if (!can_gather())
    throw std::invalid_argument("gemm_update: no slot is left for a batch's places");
  gathered_ = batch;
  inputs_.insert(inputs_.end(), {batch.images, batch.places});
}

void GemmUpdate::lower(Lowering& l) const {
  // Also where the two stay apart: the number of replicas may be why, and changes no bits.
  const std::unique_ptr<Gemm> apart = product();
  apart->may_split = l.batch() > kMostWholeBatch;
  GemmProduct operands = {GemmForm::tn, dy(), x(), precision, apart->may_split};
  if (wants_merged(l, *update_, gemm_sizes(l, operands))) {
    operands.small_tiles = !operands.may_split && l.layout(weight()).size() < kManyWeights;
    const bool gathers = gathered_ && wants_gathered(l, operands);
    const GemmVariant variant = choose_gemm_variant(l, operands);
    if (can_update(variant)) {
      if (gathered_) take_batch(l, *gathered_, gathers, variant, operands);
      return lower_merged(l, operands, variant);
    }
    apart->small_tiles = operands.small_tiles;  // the same question
  }
  apart->lower(l);
  update_->lower(l);
}

// Of the range: the weights, or from them to the bias.
RangePart GemmUpdate::part(const Lowering& l) const {
  RangePart part = part_of(l.parameters(), l.graph().value(weight()));
  if (!updates_bias()) return part;
  const RangePart bias = part_of(l.parameters(), l.graph().value(update_->values().parameters[1]));
  part.elements = bias.offset + bias.elements - part.offset;
  return part;
}

std::uint32_t GemmUpdate::bias_offset(const Lowering& l) const {
  if (!updates_bias()) return 0;
  const ParameterLayout& layout = l.parameters();
  const std::vector<ValueId>& parameters = update_->values().parameters;
  const auto offset = [&](ValueId id) { return layout.offset(l.graph().value(id).parameter); };
  return to_u32((offset(parameters[1]) - offset(parameters[0])) / 4);
}

void GemmUpdate::lower_merged(Lowering& l, const GemmProduct& operands,
                              const GemmVariant& variant) const {
  const RangePart part = this->part(l);
  const Layout layout = l.layout(weight());
  const auto replica_of = [&](ValueId id) { return id == kNoValue ? 0 : l.replica_stride(id) / 4; };
  auto [dispatch, push] = gemm_dispatch(l, operands, variant);
  dispatch.label = fmt::format("{} gemm tn, {}", label, update_->kind());
  dispatch.shader =
      fmt::format("gemm_update_{}{}", update_->shader(), operands.gathered ? "_gathered" : "");
  std::swap(dispatch.groups[0], dispatch.groups[1]);  // along the rows of W
  std::ranges::copy(update_->variant(), dispatch.constants.begin() + 1);
  // Slots without an operand are bound to one that is there; the shader does not touch them.
  const auto bindings = update_->bindings(l, part);
  std::ranges::copy(bindings, std::back_inserter(dispatch.bindings));
  dispatch.bindings.push_back(
      update_->slots() > 0
          ? Lowering::range(Range::optimizer_states, runtime::Access::read_write, part)
          : bindings[0]);
  if (operands.gathered) {
    dispatch.bindings.push_back(
        l.read(operands.gathered->places).as_texels(runtime::TexelFormat::r32ui));
  } else {
    dispatch.bindings.push_back(bias_gradient() != kNoValue ? l.write(bias_gradient())
                                                            : bindings[0]);
  }
  push.c_stride = to_u32(layout.row_stride / 4);
  push.c_replica = replica_of(weight());
  push.bias_gradient_replica = replica_of(bias_gradient());
  push.sum_a = bias_gradient() != kNoValue ? 1 : 0;
  push.bias_offset = bias_offset(l);
  push.table_stride = update_->table_stride(l);
  push.hyperparameter_stride = update_->hyperparameter_stride(l);
  push.slot_stride = to_u32(l.parameters().trainable_size() * l.replicas() / 4);
  dispatch.push = push_bytes(push);
  const std::int64_t updated = layout.size() + (updates_bias() ? layout.rows : 0);
  dispatch.flops += update_->update_flops(updated);
  dispatch.bytes += update_->update_bytes(updated);
  l.dispatch(std::move(dispatch));
}

void GemmUpdate::reference(ReferenceMemory& memory) const {
  product()->reference(memory);
  update_->reference(memory);
}

}  // namespace vktrain::nn
