#include "nn/ops/batch_norm2d.h"

#include <fmt/format.h>

#include "nn/ops/batch_norm2d_pass.h"
#include "nn/ops/channel_sum.h"
#include "nn/ops/plane_walk.h"

namespace vktrain::nn::batch_norm2d {
namespace {

using plane_walk::Planes;
using runtime::Access;

// Mirrors shaders/batch_norm2d_partial.comp.
struct PartialPush {
  Planes planes;
  std::uint32_t x_replica, parts_replica;
};

// Mirrors shaders/batch_norm2d_statistics.comp.
struct StatisticsPush {
  Planes planes;
  std::uint32_t parts_replica, state_replica, mean_replica, inv_std_replica, channel_stride;
  float per_value, epsilon, keep, momentum, unbias;
};

// Mirrors shaders/batch_norm2d_backward_partial.comp.
struct BackwardPartialPush {
  Normalisation normalisation;
  std::uint32_t dy_replica, x_replica, parts_replica;
};

// Parts of the statistics: anchor, offset and sum of squares.
constexpr std::int64_t kQuantities = 3;

constexpr std::int64_t kAnchorRows = 8;  // that make the anchor, as in the shader

void partial(const BatchNormTrain& norm, Lowering& l, const Planes& planes, std::uint32_t parts) {
  const std::int64_t size = kQuantities * planes.part_size();
  PlannedDispatch d = plane_walk::walk(planes, by_texels(l.device(), "batch_norm2d_partial"));
  d.label = fmt::format("{} batch_norm partial statistics", norm.label);
  d.turns += kAnchorRows;
  d.bindings = {l.read(norm.x()), l.scratch_binding(parts, Access::write)};
  d.push = push_bytes(
      PartialPush{planes, l.replica_stride(norm.x()) / 4, plane_walk::scratch_stride(size) / 4});
  d.flops = 4.0 * static_cast<double>(planes.size());
  d.bytes = bytes_of(planes.size() + size);
  l.dispatch(std::move(d));
}

void statistics(const BatchNormTrain& norm, Lowering& l, const Planes& planes,
                std::uint32_t parts) {
  const std::int64_t size = kQuantities * planes.part_size();
  const double n = planes.values();
  PlannedDispatch d = plane_walk::per_channel(l, planes, "batch_norm2d_statistics", 2);
  d.label = fmt::format("{} batch_norm statistics", norm.label);
  d.bindings = {l.scratch_binding(parts, Access::read), l.read_write(norm.running_mean()),
                l.read_write(norm.running_var()), l.write(norm.mean()), l.write(norm.inv_std())};
  d.push = push_bytes(StatisticsPush{.planes = planes,
                                     .parts_replica = plane_walk::scratch_stride(size) / 4,
                                     .state_replica = l.replica_stride(norm.running_mean()),
                                     .mean_replica = l.replica_stride(norm.mean()),
                                     .inv_std_replica = l.replica_stride(norm.inv_std()),
                                     .channel_stride = to_u32(planes.channel_stride()),
                                     .per_value = static_cast<float>(1 / n),
                                     .epsilon = static_cast<float>(norm.options().epsilon),
                                     .keep = static_cast<float>(1 - norm.options().momentum),
                                     .momentum = static_cast<float>(norm.options().momentum),
                                     .unbias = static_cast<float>(n / (n - 1))});
  d.flops = 4.0 * static_cast<double>(size);
  d.bytes = bytes_of(2 * size + 7 * planes.channel_stride());
  l.dispatch(std::move(d));
}

void apply(const ApplyOperands& o, Lowering& l, const BatchNormOptions& options,
           const std::string& label) {
  if (o.epilogue.max_pool) return pooled::apply(o, l, options, label);
  const ActivationSpec& activation = o.epilogue.activation;
  const Planes planes = plane_walk::for_writing(plane_walk::planes_of(l, o.x));
  PlannedDispatch d =
      plane_walk::walk(planes, by_texels(l.device(), "batch_norm2d_apply"),
                       {o.training ? 1u : 0u, static_cast<std::uint32_t>(activation.kind)});
  d.label = fmt::format("{} batch_norm", label);
  d.bindings = {read_floats(l, o.mean),   read_floats(l, o.scale), l.read(o.x),
                read_floats(l, o.weight), read_floats(l, o.bias),  l.write(o.y)};
  d.push = push_bytes(ApplyPush{normalisation(l, planes, o.mean, o.scale, options),
                                l.replica_stride(o.weight), l.replica_stride(o.x) / 4,
                                l.replica_stride(o.y) / 4, activation.alpha});
  d.flops = 4.0 * static_cast<double>(planes.size());
  d.bytes = bytes_of(2 * planes.size() + 5 * planes.channel_stride());
  l.dispatch(std::move(d));
}

void backward_partial(const BatchNormBackward& norm, Lowering& l, const Planes& planes,
                      const BackwardParts& parts) {
  if (norm.pooled()) return pooled::backward_partial(norm, l, planes, parts);
  const Normalisation n = normalisation(l, planes, norm.mean(), norm.scale(), norm.options());
  PlannedDispatch d = plane_walk::walk(
      planes, by_texels(l.device(), "batch_norm2d_backward_partial"), {norm.training() ? 1u : 0u});
  d.label = fmt::format("{} batch_norm backward sums", norm.label);
  d.bindings = {read_floats(l, norm.mean()),
                read_floats(l, norm.scale()),
                l.read(norm.dy()),
                l.read(norm.x()),
                l.scratch_binding(parts.bias, Access::write),
                l.scratch_binding(parts.weight, Access::write)};
  d.push = push_bytes(BackwardPartialPush{n, l.replica_stride(norm.dy()) / 4,
                                          l.replica_stride(norm.x()) / 4,
                                          plane_walk::scratch_stride(planes.part_size()) / 4});
  d.flops = 5.0 * static_cast<double>(planes.size());
  d.bytes = bytes_of(2 * planes.size() + 2 * planes.part_size());
  l.dispatch(std::move(d));
}

void input_gradient(const BatchNormBackward& norm, Lowering& l) {
  if (norm.pooled()) return pooled::input_gradient(norm, l);
  const Planes planes = plane_walk::for_writing(plane_walk::planes_of(l, norm.x()));
  const Normalisation n = normalisation(l, planes, norm.mean(), norm.scale(), norm.options());
  PlannedDispatch d = plane_walk::walk(planes, by_texels(l.device(), "batch_norm2d_backward"),
                                       {norm.training() ? 1u : 0u});
  d.label = fmt::format("{} batch_norm backward", norm.label);
  d.bindings = {read_floats(l, norm.mean()),
                read_floats(l, norm.scale()),
                l.read(norm.dy()),
                l.read(norm.x()),
                read_floats(l, norm.weight()),
                read_floats(l, norm.dweight()),
                read_floats(l, norm.dbias()),
                l.write(norm.dx())};
  d.push = push_bytes(
      BackwardPush{.normalisation = n,
                   .weight_replica = l.replica_stride(norm.weight()),
                   .dweight_replica = l.replica_stride(norm.dweight()),
                   .dbias_replica = l.replica_stride(norm.dbias()),
                   .dy_replica = l.replica_stride(norm.dy()) / 4,
                   .x_replica = l.replica_stride(norm.x()) / 4,
                   .dx_replica = l.replica_stride(norm.dx()) / 4,
                   .per_value = norm.training() ? static_cast<float>(1 / planes.values()) : 0.0f});
  d.flops = 6.0 * static_cast<double>(planes.size());
  d.bytes = bytes_of(3 * planes.size() + 6 * planes.channel_stride());
  l.dispatch(std::move(d));
}

}  // namespace

PlannedBinding read_floats(const Lowering& l, ValueId id) {
  return l.read(id).as_texels(runtime::TexelFormat::r32f);
}

Normalisation normalisation(const Lowering& l, const Planes& planes, ValueId mean, ValueId scale,
                            const BatchNormOptions& options) {
  return {planes, l.replica_stride(mean), l.replica_stride(scale),
          static_cast<float>(options.epsilon)};
}

void lower(const BatchNormTrain& norm, Lowering& l) {
  const Planes planes = plane_walk::planes_of(l, norm.x());
  const std::uint32_t parts = l.scratch(kQuantities * planes.part_size());
  partial(norm, l, planes, parts);
  statistics(norm, l, planes, parts);
  apply({.training = true,
         .x = norm.x(),
         .weight = norm.weight(),
         .bias = norm.bias(),
         .mean = norm.mean(),
         .scale = norm.inv_std(),
         .y = norm.y(),
         .epilogue = norm.epilogue()},
        l, norm.options(), norm.label);
}

void lower(const BatchNormEval& norm, Lowering& l) {
  apply({.training = false,
         .x = norm.x(),
         .weight = norm.weight(),
         .bias = norm.bias(),
         .mean = norm.running_mean(),
         .scale = norm.running_var(),
         .y = norm.y(),
         .epilogue = norm.epilogue()},
        l, norm.options(), norm.label);
}

void lower(const BatchNormBackward& norm, Lowering& l) {
  const Planes planes = plane_walk::planes_of(l, norm.dy());
  const std::uint32_t bias = l.scratch(planes.part_size());
  const std::uint32_t weight = l.scratch(planes.part_size());
  backward_partial(norm, l, planes, {bias, weight});
  sum_channel_parts(l, planes, {bias, norm.dbias()},
                    fmt::format("{} batch_norm parameter gradients", norm.label),
                    ChannelParts{weight, norm.dweight()});
  input_gradient(norm, l);
}

}  // namespace vktrain::nn::batch_norm2d
