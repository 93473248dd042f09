#include "nn/ops/gemm.h"

#include <fmt/format.h>

#include <stdexcept>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/ops/gemm_product.h"
#include "nn/ops/split_sum.h"
#include "nn/reference/activation.h"
#include "nn/reference/bias_add.h"
#include "nn/reference/gemm.h"
#include "nn/reference/half.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

std::vector<ValueId> gemm_inputs(ValueId a, ValueId b, const GemmEpilogue& epilogue) {
  std::vector<ValueId> inputs = {a, b};
  if (epilogue.bias != kNoValue) inputs.push_back(epilogue.bias);
  if (epilogue.gradient_output != kNoValue) inputs.push_back(epilogue.gradient_output);
  return inputs;
}

std::vector<ValueId> gemm_outputs(ValueId c, const GemmEpilogue& epilogue) {
  std::vector<ValueId> outputs = {c};
  if (epilogue.column_sum != kNoValue) outputs.push_back(epilogue.column_sum);
  return outputs;
}

}  // namespace

std::string_view to_string(GemmForm form) {
  switch (form) {
    case GemmForm::nt:
      return "nt";
    case GemmForm::nn:
      return "nn";
    case GemmForm::tn:
      return "tn";
  }
  return "?";
}

Gemm::Gemm(GemmForm form, ValueId a, ValueId b, ValueId c, const GemmEpilogue& epilogue)
    : Operation(gemm_inputs(a, b, epilogue), gemm_outputs(c, epilogue)),
      form_(form),
      epilogue_(epilogue) {}

ValueId linear_product(Graph& graph, ValueId x, ValueId weight, std::string_view label) {
  const Shape x_shape = graph.value(x).shape;
  const Shape w_shape = graph.value(weight).shape;
  if (x_shape.rank() < 2 || x_shape.elements_per_row() != w_shape.elements_per_row()) {
    throw Error(fmt::format("[gemm] {}: expected an input of shape [batch, {}], found {}", label,
                            w_shape.elements_per_row(), to_string(x_shape)));
  }
  const ValueId y =
      graph.add_activation(fmt::format("{}.product", label), {x_shape[0], w_shape[0]});
  graph.add(std::make_unique<Gemm>(GemmForm::nt, x, weight, y)).label = label;
  return y;
}

// For y = x W^T: dx = dy W and dW = dy^T x.
void Gemm::differentiate(Differentiator& differentiator) const {
  if (form_ != GemmForm::nt || outputs_.size() != 1 || inputs_.size() != 2) {
    Operation::differentiate(differentiator);
  }
  const ValueId dy = differentiator.gradient_of(c());
  Graph& graph = differentiator.graph();
  if (differentiator.needs_gradient(b())) {
    const ValueId dw = differentiator.new_gradient(b());
    graph.add(std::make_unique<Gemm>(GemmForm::tn, dy, a(), dw)).label = label;
  }
  if (differentiator.needs_gradient(a())) {
    const ValueId dx = differentiator.new_gradient(a());
    graph.add(std::make_unique<Gemm>(GemmForm::nn, dy, b(), dx)).label = label;
  }
}

void Gemm::gather(const GatheredBatch& batch) {
  if (form_ == GemmForm::nn) throw std::invalid_argument("gemm nn: no operand is a batch");
  gathered_ = batch;
  inputs_.insert(inputs_.end(), {batch.images, batch.places});
}

void Gemm::lower(Lowering& l) const {
  GemmProduct operands = {form_, a(), b(), precision, may_split, small_tiles};
  const bool gathers = gathered_ && wants_gathered(l, operands);
  const GemmVariant variant = choose_gemm_variant(l, operands);
  if (gathered_) take_batch(l, *gathered_, gathers, variant, operands);
  const SplitSum sum = make_split_sum(l, c(), epilogue_.column_sum, variant.splits);
  const bool split = variant.splits > 1;
  const SplitEpilogue last = {.bias = epilogue_.bias,
                              .activation = epilogue_.activation,
                              .gradient_activation = epilogue_.gradient_activation,
                              .gradient_output = epilogue_.gradient_output};
  lower_product(l, operands, variant, sum, split ? SplitEpilogue{} : last);
  lower_split_sum(l, fmt::format("{} gemm {}", label, to_string(form_)), sum, last);
}

void Gemm::lower_product(Lowering& l, const GemmProduct& operands, const GemmVariant& variant,
                         const SplitSum& sum, const SplitEpilogue& epilogue) const {
  const ValueId bias = epilogue.bias, output = epilogue.gradient_output;
  const auto replica_of = [&](ValueId id) { return id == kNoValue ? 0 : l.replica_stride(id); };
  auto [product, push] = gemm_dispatch(l, operands, variant);
  product.label = fmt::format("{} gemm {}", label, to_string(form_));
  product.constants[1] = bias != kNoValue ? 1 : 0;
  product.constants[2] = static_cast<std::uint32_t>(epilogue.activation.kind);
  product.constants[3] = static_cast<std::uint32_t>(epilogue.gradient_activation.kind);
  // Slots without an operand are bound to one that is there (x may not be); the shader does not
  // touch them.
  const ValueId there = form_ == GemmForm::nt ? b() : a();
  product.bindings.insert(product.bindings.end(),
                          {sum.result_binding(l), l.read(bias != kNoValue ? bias : there),
                           l.read(output != kNoValue ? output : there), sum.vector_binding(l)});
  if (operands.gathered)
    product.bindings.push_back(
        l.read(operands.gathered->places).as_texels(runtime::TexelFormat::r32ui));
  push.c_stride = to_u32(l.layout(c()).row_stride / 4);
  push.c_replica = sum.result_replica(l) / 4;
  push.bias_replica = replica_of(bias) / 4;
  push.output_replica = replica_of(output) / 4;
  push.bias_gradient_replica = sum.vector_replica(l) / 4;
  push.split_stride = variant.splits > 1 ? to_u32(sum.split_elements / 4) : 0;
  push.alpha = epilogue.activation.kind != Activation::none ? epilogue.activation.alpha
                                                            : epilogue.gradient_activation.alpha;
  push.sum_a = epilogue_.column_sum != kNoValue ? 1u : 0u;
  product.push = push_bytes(push);
  product.bytes += bytes_of(sum.split_elements * variant.splits);
  l.dispatch(std::move(product));
}

void Gemm::reference(ReferenceMemory& memory) const {
  const Shape sa = memory.shape(a()), sb = memory.shape(b());
  const GemmSizes sizes =
      gemm_sizes(form_, sa[0], sa.elements_per_row(), sb[0], sb.elements_per_row());
  if (gathered_) memory[form_ == GemmForm::nt ? a() : b()] = gathered_->reference(memory);
  std::vector<double> left = memory[a()], right = memory[b()];
  if (precision == Precision::mixed) {
    left = reference::half_operand(left, gemm_scale_of_a(form_, precision, memory.batch()));
    right = reference::half_operand(right, 1);
  }
  reference::gemm(form_ == GemmForm::tn, form_ == GemmForm::nt, sizes.m, sizes.n, sizes.k, left,
                  right, memory[c()]);
  std::vector<double>& result = memory[c()];
  const std::span<const double> bias = memory.optional(epilogue_.bias);
  const std::span<const double> output = memory.optional(epilogue_.gradient_output);
  for (std::size_t i = 0; i < result.size(); ++i) {
    if (!bias.empty()) result[i] += bias[i % static_cast<std::size_t>(sizes.n)];
    result[i] = reference::activation(epilogue_.activation, result[i]);
    if (!output.empty()) {
      result[i] *= reference::activation_derivative(epilogue_.gradient_activation, output[i]);
    }
  }
  if (epilogue_.column_sum != kNoValue) {
    reference::column_sum(sizes.k, sizes.m, left, memory[epilogue_.column_sum]);
  }
}

}  // namespace vktrain::nn
