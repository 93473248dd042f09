#include "nn/ops/split_sum.h"

#include <fmt/format.h>

namespace vktrain::nn {
namespace {

// Mirrors shaders/gemm_reduce.comp.
struct ReducePush {
  std::uint32_t c_size, bias_size, splits, split_stride;
  std::uint32_t partial_replica, c_replica, bias_gradient_replica;
  std::uint32_t c_stride, columns, bias_replica, output_replica;
  float alpha;
};

}  // namespace

PlannedBinding SplitSum::result_binding(const Lowering& l) const {
  return splits > 1 ? l.scratch_binding(scratch, runtime::Access::write) : l.write(result);
}

PlannedBinding SplitSum::vector_binding(const Lowering& l) const {
  return splits > 1 || vector == kNoValue ? result_binding(l) : l.write(vector);
}

std::uint32_t SplitSum::result_replica(const Lowering& l) const {
  return splits > 1 ? to_u32(replica_elements) : l.replica_stride(result);
}

std::uint32_t SplitSum::vector_replica(const Lowering& l) const {
  if (splits > 1) return to_u32(replica_elements);
  return vector == kNoValue ? 0 : l.replica_stride(vector);
}

SplitSum make_split_sum(Lowering& l, ValueId result, ValueId vector, std::uint32_t splits) {
  SplitSum sum{.result = result, .vector = vector, .splits = splits};
  if (vector != kNoValue) sum.vector_elements = l.layout(vector).row_stride;
  sum.split_elements = l.layout(result).size() + sum.vector_elements;
  sum.replica_elements = round_up(sum.split_elements * splits, kAlignmentElements);
  if (splits > 1) sum.scratch = l.scratch(sum.replica_elements);
  return sum;
}

void lower_split_sum(Lowering& l, const std::string& label, const SplitSum& sum,
                     const SplitEpilogue& epilogue) {
  if (sum.splits == 1) return;
  const ValueId result = sum.result, vector = sum.vector;
  const ValueId bias = epilogue.bias, output = epilogue.gradient_output;
  const Layout layout = l.layout(result);
  const auto replica_of = [&](ValueId id) { return id == kNoValue ? 0 : l.replica_stride(id) / 4; };
  PlannedDispatch d;
  d.label = fmt::format("{} reduce", label);
  d.shader = "gemm_reduce";
  d.constants = {kElementwiseWorkgroup, bias != kNoValue ? 1u : 0u,
                 static_cast<std::uint32_t>(epilogue.activation.kind),
                 static_cast<std::uint32_t>(epilogue.gradient_activation.kind)};
  const PlannedBinding partial = l.scratch_binding(sum.scratch, runtime::Access::read);
  // Slots without an operand are bound to one that is there; the shader does not touch them.
  d.bindings = {partial, l.write(result), l.write(vector != kNoValue ? vector : result),
                bias != kNoValue ? l.read(bias) : partial,
                output != kNoValue ? l.read(output) : partial};
  d.push = push_bytes(ReducePush{.c_size = to_u32(layout.size() / 4),
                                 .bias_size = to_u32(sum.vector_elements / 4),
                                 .splits = sum.splits,
                                 .split_stride = to_u32(sum.split_elements / 4),
                                 .partial_replica = to_u32(sum.replica_elements / 4),
                                 .c_replica = l.replica_stride(result) / 4,
                                 .bias_gradient_replica = replica_of(vector),
                                 .c_stride = to_u32(layout.row_stride / 4),
                                 .columns = to_u32(layout.columns),
                                 .bias_replica = replica_of(bias),
                                 .output_replica = replica_of(output),
                                 .alpha = epilogue.activation.kind != Activation::none
                                              ? epilogue.activation.alpha
                                              : epilogue.gradient_activation.alpha});
  d.groups = l.groups_for(sum.split_elements / 4, kElementwiseWorkgroup);
  d.turns = std::int64_t{sum.splits} + 1;
  d.flops = static_cast<double>(sum.split_elements * sum.splits);
  d.bytes = bytes_of(sum.split_elements * (sum.splits + 1));
  l.dispatch(std::move(d));
}

}  // namespace vktrain::nn
