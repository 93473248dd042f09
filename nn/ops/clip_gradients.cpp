#include "nn/ops/clip_gradients.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "nn/lowering.h"
#include "nn/reference/clip_gradients.h"
#include "nn/reference/reference_memory.h"
#include "runtime/error.h"

namespace vktrain::nn {
namespace {

// Mirrors shaders/clip_gradients.glsl.
struct ClipPush {
  std::uint32_t vectors, vectors_per_invocation, partials, partials_replica;
  float value, norm;
};

constexpr std::int64_t kVectorsPerInvocation = 16;
// Every workgroup of the second pass adds up all partial sums: few of them.
constexpr std::int64_t kMaxPartials = 256;

void require_limit(double limit, std::string_view name) {
  if (limit >= 0 && std::isfinite(limit)) return;
  throw Error(fmt::format("[clip_gradients] expected a {} of 0 or more, found {}; 0 is no limit",
                          name, limit));
}

}  // namespace

void clip_gradients(Graph& graph, const GradientLimits& limits) {
  require_limit(limits.value, "largest value");
  require_limit(limits.norm, "largest norm");
  if (limits.value == 0 && limits.norm == 0) return;
  std::vector<ValueId> gradients;
  for (ValueId id = 0; id < graph.value_count(); ++id) {
    if (graph.value(id).kind == ValueKind::gradient) gradients.push_back(id);
  }
  if (gradients.empty()) {
    throw Error("[clip_gradients] expected gradients, found none; differentiate the graph first");
  }
  graph.add(std::make_unique<ClipGradients>(gradients, limits)).label = "gradients";
}

void ClipGradients::lower(Lowering& l) const {
  using runtime::Access;
  const std::int64_t vectors = l.parameters().trainable_size() / 4;
  const std::int64_t share = kElementwiseWorkgroup * kVectorsPerInvocation;
  const std::int64_t partials = std::min(divide_up(vectors, share), kMaxPartials);
  const bool by_norm = limits_.norm > 0;
  const std::uint32_t scratch = by_norm ? l.scratch(partials) : 0;
  const auto dispatch = [&](std::string_view pass, std::int64_t groups) {
    const std::int64_t vectors_per_invocation = divide_up(vectors, groups * kElementwiseWorkgroup);
    PlannedDispatch d;
    d.label = fmt::format("{} {}", label, pass);
    d.constants = {kElementwiseWorkgroup, limits_.value > 0 ? 1u : 0u, by_norm ? 1u : 0u};
    d.push = push_bytes(ClipPush{.vectors = to_u32(vectors),
                                 .vectors_per_invocation = to_u32(vectors_per_invocation),
                                 .partials = to_u32(partials),
                                 .partials_replica = to_u32(round_up(partials, kAlignmentElements)),
                                 .value = static_cast<float>(limits_.value),
                                 .norm = static_cast<float>(limits_.norm)});
    d.groups = l.groups_for(groups, 1);
    // Over the vectors, the partial sums, and what the lanes have.
    d.turns = vectors_per_invocation + 1;
    if (by_norm) d.turns += divide_up(partials, kElementwiseWorkgroup) + kElementwiseWorkgroup + 2;
    d.for_fewer_turns = "use a smaller model";
    d.flops = 8.0 * static_cast<double>(vectors);
    return d;
  };
  if (by_norm) {
    PlannedDispatch d = dispatch("norm", partials);
    d.shader = "clip_gradients_norm";
    d.bindings = {Lowering::range(Range::gradients, Access::read),
                  l.scratch_binding(scratch, Access::write)};
    d.bytes = bytes_of(4 * vectors);
    l.dispatch(std::move(d));
  }
  PlannedDispatch d = dispatch("clip", divide_up(vectors, share));
  d.shader = "clip_gradients";
  const PlannedBinding gradients = Lowering::range(Range::gradients, Access::read_write);
  d.bindings = {gradients, by_norm ? l.scratch_binding(scratch, Access::read) : gradients};
  d.bytes = bytes_of(8 * vectors);
  l.dispatch(std::move(d));
}

void ClipGradients::reference(ReferenceMemory& memory) const {
  std::vector<std::span<double>> gradients;
  for (const ValueId id : outputs_) gradients.emplace_back(memory[id]);
  if (limits_.value > 0) reference::clip_by_value(limits_.value, gradients);
  if (limits_.norm > 0) reference::clip_by_norm(limits_.norm, gradients);
}

}  // namespace vktrain::nn
