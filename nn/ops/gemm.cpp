#include "nn/ops/gemm.h"

#include <fmt/format.h>

#include <algorithm>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/ops/gemm_variants.h"
#include "nn/reference/activation.h"
#include "nn/reference/bias_add.h"
#include "nn/reference/gemm.h"
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

GemmSizes sizes_of(GemmForm form, std::int64_t a_rows, std::int64_t a_columns, std::int64_t b_rows,
                   std::int64_t b_columns) {
  switch (form) {
    case GemmForm::nt:
      return {a_rows, b_rows, a_columns};
    case GemmForm::nn:
      return {a_rows, b_columns, a_columns};
    case GemmForm::tn:
      return {a_columns, b_columns, a_rows};
  }
  return {};
}

// Mirrors the push constants of shaders/gemm.glsl.
struct GemmPush {
  std::uint32_t m, n, k;
  std::uint32_t a_stride, b_stride, c_stride;
  std::uint32_t a_replica, b_replica, c_replica;
  std::uint32_t bias_replica, output_replica, bias_gradient_replica;
  std::uint32_t splits, k_per_split, split_stride;
  float alpha;
  std::uint32_t sum_a;
};

struct ReducePush {
  std::uint32_t c_size, bias_size, splits, split_stride;
  std::uint32_t partial_replica, c_replica, bias_replica;
};

std::uint32_t u32(std::int64_t value) { return static_cast<std::uint32_t>(value); }

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

void Gemm::lower(Lowering& l) const {
  const Layout la = l.layout(a()), lb = l.layout(b()), lc = l.layout(c());
  const GemmSizes sizes = sizes_of(form_, la.rows, la.columns, lb.rows, lb.columns);
  const bool sums = epilogue_.column_sum != kNoValue;
  const GemmVariant variant = choose_gemm_variant(form_, sizes, l.device());

  const std::int64_t bias_size = sums ? round_up(sizes.m, 4) : 0;
  const std::int64_t split_size = lc.size() + bias_size;  // elements of one partial result
  const std::int64_t partial_replica = round_up(split_size * variant.splits, kAlignmentElements);
  const bool split = variant.splits > 1;
  const std::uint32_t scratch = split ? l.scratch(partial_replica) : 0;

  using runtime::Access;
  const PlannedBinding result = split ? l.scratch_binding(scratch, Access::write) : l.write(c());
  const bool bias = epilogue_.bias != kNoValue, masks = epilogue_.gradient_output != kNoValue;
  PlannedDispatch product;
  product.label = fmt::format("{} gemm {}", label, to_string(form_));
  product.shader = variant.shader;
  product.constants = gemm_constants(variant, form_);
  product.constants[1] = bias ? 1 : 0;
  product.constants[2] = static_cast<std::uint32_t>(epilogue_.activation.kind);
  product.constants[3] = static_cast<std::uint32_t>(epilogue_.gradient_activation.kind);
  // Slots without an operand are bound to one that is there; the shader does not touch them.
  product.bindings = {l.read(a()),
                      l.read(b()),
                      result,
                      bias ? l.read(epilogue_.bias) : l.read(a()),
                      masks ? l.read(epilogue_.gradient_output) : l.read(a()),
                      sums && !split ? l.write(epilogue_.column_sum) : result};
  const std::uint32_t c_replica = split ? u32(partial_replica) : l.replica_stride(c());
  const std::uint32_t sums_replica = !sums   ? 0
                                     : split ? u32(partial_replica)
                                             : l.replica_stride(epilogue_.column_sum);
  product.push = push_bytes(GemmPush{
      .m = u32(sizes.m),
      .n = u32(sizes.n),
      .k = u32(sizes.k),
      .a_stride = u32(la.row_stride / 4),
      .b_stride = u32(lb.row_stride / 4),
      .c_stride = u32(lc.row_stride / 4),
      .a_replica = l.replica_stride(a()) / 4,
      .b_replica = l.replica_stride(b()) / 4,
      .c_replica = c_replica / 4,
      .bias_replica = bias ? l.replica_stride(epilogue_.bias) / 4 : 0,
      .output_replica = masks ? l.replica_stride(epilogue_.gradient_output) / 4 : 0,
      .bias_gradient_replica = sums_replica,
      .splits = variant.splits,
      .k_per_split = u32(variant.k_per_split),
      .split_stride = split ? u32(split_size / 4) : 0,
      .alpha = epilogue_.activation.kind != Activation::none ? epilogue_.activation.alpha
                                                             : epilogue_.gradient_activation.alpha,
      .sum_a = sums ? 1u : 0u});
  product.groups = {u32(divide_up(sizes.n, variant.tile_columns)),
                    u32(divide_up(sizes.m, variant.tile_rows)), variant.splits};
  product.flops = 2.0 * static_cast<double>(sizes.m * sizes.n) * static_cast<double>(sizes.k);
  product.bytes = 4.0 * static_cast<double>(la.size() + lb.size() + lc.size() * variant.splits);
  l.dispatch(std::move(product));
  if (!split) return;

  PlannedDispatch reduce;
  reduce.label = fmt::format("{} gemm {} reduce", label, to_string(form_));
  reduce.shader = "gemm_reduce";
  reduce.constants = {64};
  reduce.bindings = {l.scratch_binding(scratch, Access::read), l.write(c()),
                     sums ? l.write(epilogue_.column_sum) : l.write(c())};
  reduce.push =
      push_bytes(ReducePush{.c_size = u32(lc.size() / 4),
                            .bias_size = u32(bias_size / 4),
                            .splits = variant.splits,
                            .split_stride = u32(split_size / 4),
                            .partial_replica = u32(partial_replica / 4),
                            .c_replica = l.replica_stride(c()) / 4,
                            .bias_replica = sums ? l.replica_stride(epilogue_.column_sum) / 4 : 0});
  reduce.groups = l.groups_for((lc.size() + bias_size) / 4, 64);
  reduce.flops = static_cast<double>(split_size * variant.splits);
  reduce.bytes = 4.0 * static_cast<double>(split_size * (variant.splits + 1));
  l.dispatch(std::move(reduce));
}

void Gemm::reference(ReferenceMemory& memory) const {
  const Shape sa = memory.shape(a()), sb = memory.shape(b());
  const GemmSizes sizes =
      sizes_of(form_, sa[0], sa.elements_per_row(), sb[0], sb.elements_per_row());
  reference::gemm(form_ == GemmForm::tn, form_ == GemmForm::nt, sizes.m, sizes.n, sizes.k,
                  memory[a()], memory[b()], memory[c()]);
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
    reference::column_sum(sizes.k, sizes.m, memory[a()], memory[epilogue_.column_sum]);
  }
}

}  // namespace vktrain::nn
