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

// Memory of the partial products when K is split: per replica [splits][C, then the column sums].
struct Gemm::Partials {
  std::uint32_t scratch = 0;
  std::int64_t sums = 0;     // elements behind C for the column sums; 0 without
  std::int64_t split = 0;    // elements of one partial result
  std::int64_t replica = 0;  // elements of one replica's
};

Gemm::Partials Gemm::make_partials(Lowering& l, const GemmVariant& variant) const {
  Partials partials;
  if (epilogue_.column_sum != kNoValue) {
    partials.sums = l.layout(epilogue_.column_sum).row_stride;
  }
  partials.split = l.layout(c()).size() + partials.sums;
  partials.replica = round_up(partials.split * variant.splits, kAlignmentElements);
  if (variant.splits > 1) partials.scratch = l.scratch(partials.replica);
  return partials;
}

void Gemm::lower(Lowering& l) const {
  const Layout la = l.layout(a()), lb = l.layout(b());
  const GemmSizes sizes = sizes_of(form_, la.rows, la.columns, lb.rows, lb.columns);
  const GemmVariant variant = choose_gemm_variant(form_, sizes, l.device());
  const Partials partials = make_partials(l, variant);
  lower_product(l, sizes, variant, partials);
  if (variant.splits > 1) lower_reduce(l, variant, partials);
}

void Gemm::lower_product(Lowering& l, const GemmSizes& sizes, const GemmVariant& variant,
                         const Partials& partials) const {
  using runtime::Access;
  const Layout la = l.layout(a()), lb = l.layout(b()), lc = l.layout(c());
  const ValueId bias = epilogue_.bias, output = epilogue_.gradient_output;
  const ValueId sums = epilogue_.column_sum;
  const bool split = variant.splits > 1;
  const auto replica_of = [&](ValueId id) { return id == kNoValue ? 0 : l.replica_stride(id); };
  const PlannedBinding result =
      split ? l.scratch_binding(partials.scratch, Access::write) : l.write(c());
  PlannedDispatch product;
  product.label = fmt::format("{} gemm {}", label, to_string(form_));
  product.shader = variant.shader;
  product.constants = gemm_constants(variant, form_);
  product.constants[1] = bias != kNoValue ? 1 : 0;
  product.constants[2] = static_cast<std::uint32_t>(epilogue_.activation.kind);
  product.constants[3] = static_cast<std::uint32_t>(epilogue_.gradient_activation.kind);
  // Slots without an operand are bound to one that is there; the shader does not touch them.
  product.bindings = {l.read(a()),
                      l.read(b()),
                      result,
                      l.read(bias != kNoValue ? bias : a()),
                      l.read(output != kNoValue ? output : a()),
                      sums != kNoValue && !split ? l.write(sums) : result};
  product.push = push_bytes(GemmPush{
      .m = to_u32(sizes.m),
      .n = to_u32(sizes.n),
      .k = to_u32(sizes.k),
      .a_stride = to_u32(la.row_stride / 4),
      .b_stride = to_u32(lb.row_stride / 4),
      .c_stride = to_u32(lc.row_stride / 4),
      .a_replica = l.replica_stride(a()) / 4,
      .b_replica = l.replica_stride(b()) / 4,
      .c_replica = (split ? to_u32(partials.replica) : l.replica_stride(c())) / 4,
      .bias_replica = replica_of(bias) / 4,
      .output_replica = replica_of(output) / 4,
      .bias_gradient_replica = split ? to_u32(partials.replica) : replica_of(sums),
      .splits = variant.splits,
      .k_per_split = to_u32(variant.k_per_split),
      .split_stride = split ? to_u32(partials.split / 4) : 0,
      .alpha = epilogue_.activation.kind != Activation::none ? epilogue_.activation.alpha
                                                             : epilogue_.gradient_activation.alpha,
      .sum_a = sums != kNoValue ? 1u : 0u});
  product.groups = {to_u32(divide_up(sizes.n, variant.tile_columns)),
                    to_u32(divide_up(sizes.m, variant.tile_rows)), variant.splits};
  product.flops = 2.0 * static_cast<double>(sizes.m * sizes.n) * static_cast<double>(sizes.k);
  product.bytes = bytes_of(la.size() + lb.size() + partials.split * variant.splits);
  l.dispatch(std::move(product));
}

void Gemm::lower_reduce(Lowering& l, const GemmVariant& variant, const Partials& partials) const {
  const ValueId sums = epilogue_.column_sum;
  const std::int64_t c_size = l.layout(c()).size();
  PlannedDispatch reduce;
  reduce.label = fmt::format("{} gemm {} reduce", label, to_string(form_));
  reduce.shader = "gemm_reduce";
  reduce.constants = {kElementwiseWorkgroup};
  reduce.bindings = {l.scratch_binding(partials.scratch, runtime::Access::read), l.write(c()),
                     l.write(sums != kNoValue ? sums : c())};
  reduce.push =
      push_bytes(ReducePush{.c_size = to_u32(c_size / 4),
                            .bias_size = to_u32(partials.sums / 4),
                            .splits = variant.splits,
                            .split_stride = to_u32(partials.split / 4),
                            .partial_replica = to_u32(partials.replica / 4),
                            .c_replica = l.replica_stride(c()) / 4,
                            .bias_replica = sums != kNoValue ? l.replica_stride(sums) / 4 : 0});
  reduce.groups = l.groups_for(partials.split / 4, kElementwiseWorkgroup);
  reduce.flops = static_cast<double>(partials.split * variant.splits);
  reduce.bytes = bytes_of(partials.split * (variant.splits + 1));
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
