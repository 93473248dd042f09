#include "nn/ops/gemm.h"

#include <fmt/format.h>

#include <algorithm>

#include "nn/differentiate.h"
#include "nn/lowering.h"
#include "nn/ops/gemm_variants.h"
#include "nn/ops/split_sum.h"
#include "nn/reference/activation.h"
#include "nn/reference/bias_add.h"
#include "nn/reference/gemm.h"
#include "nn/reference/half.h"
#include "nn/reference/reference_memory.h"
#include "nn/tuning/single_operation.h"
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

double flops_of(const GemmSizes& sizes) {
  return 2.0 * static_cast<double>(sizes.m * sizes.n) * static_cast<double>(sizes.k);
}

std::unique_ptr<SingleOperation> probe(GemmForm form, const GemmSizes& sizes, Precision precision,
                                       ProbeSize size) {
  if (size == ProbeSize::whole) return single_gemm({form, sizes.m, sizes.n, sizes.k, precision});
  constexpr std::int64_t kTile = 128;   // the largest
  constexpr std::int64_t kDepth = 256;  // more of K, so that a split one stays split
  return single_gemm({form, capped_size(sizes.m, kTile), capped_size(sizes.n, kTile),
                      capped_size(sizes.k, kDepth), precision});
}

// "gemm nt", "gemm nt mixed".
std::string family_of(GemmForm form, Precision precision) {
  return fmt::format("gemm {}{}", to_string(form), precision == Precision::mixed ? " mixed" : "");
}

GemmVariant choose_variant(Lowering& l, GemmForm form, const GemmSizes& sizes,
                           Precision precision) {
  std::vector<GemmVariant> variants = gemm_candidates(form, sizes, l.device(), precision);
  VariantQuestion question = {.family = family_of(form, precision),
                              .shape = fmt::format("{}x{}x{}", sizes.m, sizes.n, sizes.k),
                              .candidates = {},
                              .flops = flops_of(sizes),
                              .probe = [form, sizes, precision](ProbeSize size) {
                                return probe(form, sizes, precision, size);
                              }};
  std::stable_partition(variants.begin(), variants.end(),
                        [](const auto& variant) { return !variant.last_resort; });
  for (const GemmVariant& variant : variants) {
    question.candidates.push_back(variant.name);
    question.last_resorts += variant.last_resort ? 1 : 0;
  }
  return variants[l.choose(std::move(question))];
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
  float a_scale, a_unscale;
};

// A is a gradient in the forms that backward passes have.
float scale_of_a(GemmForm form, Precision precision, std::int64_t batch) {
  return precision == Precision::mixed && form != GemmForm::nt ? loss_scale(batch) : 1;
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

void Gemm::lower(Lowering& l) const {
  const Layout la = l.layout(a()), lb = l.layout(b());
  const GemmSizes sizes = sizes_of(form_, la.rows, la.columns, lb.rows, lb.columns);
  const GemmVariant variant = choose_variant(l, form_, sizes, precision);
  const SplitSum sum = make_split_sum(l, c(), epilogue_.column_sum, variant.splits);
  const bool split = variant.splits > 1;
  const SplitEpilogue last = {.bias = epilogue_.bias,
                              .activation = epilogue_.activation,
                              .gradient_activation = epilogue_.gradient_activation,
                              .gradient_output = epilogue_.gradient_output};
  lower_product(l, sizes, variant, sum, split ? SplitEpilogue{} : last);
  lower_split_sum(l, fmt::format("{} gemm {}", label, to_string(form_)), sum, last);
}

void Gemm::lower_product(Lowering& l, const GemmSizes& sizes, const GemmVariant& variant,
                         const SplitSum& sum, const SplitEpilogue& epilogue) const {
  const Layout la = l.layout(a()), lb = l.layout(b()), lc = l.layout(c());
  const ValueId bias = epilogue.bias, output = epilogue.gradient_output;
  const float scale = scale_of_a(form_, precision, l.batch());
  const auto replica_of = [&](ValueId id) { return id == kNoValue ? 0 : l.replica_stride(id); };
  PlannedDispatch product;
  product.label = fmt::format("{} gemm {}", label, to_string(form_));
  product.shader = variant.shader;
  product.constants = gemm_constants(variant, form_);
  product.constants[1] = bias != kNoValue ? 1 : 0;
  product.constants[2] = static_cast<std::uint32_t>(epilogue.activation.kind);
  product.constants[3] = static_cast<std::uint32_t>(epilogue.gradient_activation.kind);
  product.constants[4] = precision == Precision::mixed ? 1 : 0;
  // Slots without an operand are bound to one that is there; the shader does not touch them.
  product.bindings = {l.read(a()),
                      l.read(b()),
                      sum.result_binding(l),
                      l.read(bias != kNoValue ? bias : a()),
                      l.read(output != kNoValue ? output : a()),
                      sum.vector_binding(l)};
  product.push = push_bytes(GemmPush{
      .m = to_u32(sizes.m),
      .n = to_u32(sizes.n),
      .k = to_u32(sizes.k),
      .a_stride = to_u32(la.row_stride / 4),
      .b_stride = to_u32(lb.row_stride / 4),
      .c_stride = to_u32(lc.row_stride / 4),
      .a_replica = l.replica_stride(a()) / 4,
      .b_replica = l.replica_stride(b()) / 4,
      .c_replica = sum.result_replica(l) / 4,
      .bias_replica = replica_of(bias) / 4,
      .output_replica = replica_of(output) / 4,
      .bias_gradient_replica = sum.vector_replica(l) / 4,
      .splits = variant.splits,
      .k_per_split = to_u32(variant.k_per_split),
      .split_stride = variant.splits > 1 ? to_u32(sum.split_elements / 4) : 0,
      .alpha = epilogue.activation.kind != Activation::none ? epilogue.activation.alpha
                                                            : epilogue.gradient_activation.alpha,
      .sum_a = epilogue_.column_sum != kNoValue ? 1u : 0u,
      .a_scale = scale,
      .a_unscale = 1 / scale});
  product.groups = {to_u32(divide_up(sizes.n, variant.tile_columns)),
                    to_u32(divide_up(sizes.m, variant.tile_rows)), variant.splits};
  if (variant.rows_first) std::swap(product.groups[0], product.groups[1]);
  product.turns = variant.turns.of(variant.k_per_split);
  product.flops = flops_of(sizes);
  product.bytes = bytes_of(la.size() + lb.size() + sum.split_elements * variant.splits);
  l.dispatch(std::move(product));
}

void Gemm::reference(ReferenceMemory& memory) const {
  const Shape sa = memory.shape(a()), sb = memory.shape(b());
  const GemmSizes sizes =
      sizes_of(form_, sa[0], sa.elements_per_row(), sb[0], sb.elements_per_row());
  std::vector<double> left = memory[a()], right = memory[b()];
  if (precision == Precision::mixed) {
    left = reference::half_operand(left, scale_of_a(form_, precision, memory.batch()));
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
