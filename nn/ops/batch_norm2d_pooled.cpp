#include <fmt/format.h>

#include <stdexcept>

#include "nn/ops/batch_norm2d_pass.h"

namespace vktrain::nn::batch_norm2d::pooled {
namespace {

using plane_walk::Planes;
using runtime::Access;
using runtime::TexelFormat;

// Mirrors shaders/batch_norm2d_pooled_backward_partial.comp.
struct BackwardPartialPush {
  Normalisation normalisation;
  std::uint32_t weight_replica, dy_replica, x_replica, parts_replica;
};

// Tiles of a row of `maxima`'s planes.
std::uint32_t row_tiles(const Lowering& l, ValueId maxima) {
  if (l.layout(maxima).columns % 4 != 0) {
    throw std::logic_error("batch_norm2d: pooled rows with padding");
  }
  return to_u32(l.graph().value(maxima).shape[3]);
}

double elements_of(const Planes& tiles) { return 4.0 * static_cast<double>(tiles.size()); }

}  // namespace

void apply(const ApplyOperands& o, Lowering& l, const BatchNormOptions& options,
           const std::string& label) {
  const Planes tiles = plane_walk::for_writing(plane_walk::planes_of(l, o.y));
  const ActivationSpec& activation = o.epilogue.activation;
  PlannedDispatch d = plane_walk::walk(
      tiles, by_texels(l.device(), "batch_norm2d_pooled_apply"),
      {o.training ? 1u : 0u, row_tiles(l, o.y), static_cast<std::uint32_t>(activation.kind)});
  d.label = fmt::format("{} batch_norm and max_pool2d", label);
  d.bindings = {
      read_floats(l, o.mean),   read_floats(l, o.scale), l.read(o.x).as_texels(TexelFormat::rg32f),
      read_floats(l, o.weight), read_floats(l, o.bias),  l.write(o.y)};
  d.push = push_bytes(ApplyPush{normalisation(l, tiles, o.mean, o.scale, options),
                                l.replica_stride(o.weight), l.replica_stride(o.x) / 2,
                                l.replica_stride(o.y) / 4, activation.alpha});
  d.flops = 4.0 * elements_of(tiles);
  d.bytes = bytes_of(5 * tiles.size() + 5 * tiles.channel_stride());
  l.dispatch(std::move(d));
}

void backward_partial(const BatchNormBackward& norm, Lowering& l, const Planes& tiles,
                      const BackwardParts& parts) {
  PlannedDispatch d =
      plane_walk::walk(tiles, by_texels(l.device(), "batch_norm2d_pooled_backward_partial"),
                       {norm.training() ? 1u : 0u, row_tiles(l, norm.dy())});
  d.label = fmt::format("{} batch_norm and max_pool2d backward sums", norm.label);
  d.bindings = {read_floats(l, norm.mean()),
                read_floats(l, norm.scale()),
                l.read(norm.x()).as_texels(TexelFormat::rg32f),
                l.read(norm.dy()),
                read_floats(l, norm.weight()),
                l.scratch_binding(parts.bias, Access::write),
                l.scratch_binding(parts.weight, Access::write)};
  d.push = push_bytes(BackwardPartialPush{
      normalisation(l, tiles, norm.mean(), norm.scale(), norm.options()),
      l.replica_stride(norm.weight()), l.replica_stride(norm.dy()) / 4,
      l.replica_stride(norm.x()) / 2, plane_walk::scratch_stride(tiles.part_size()) / 4});
  d.flops = 3.0 * elements_of(tiles);
  d.bytes = bytes_of(5 * tiles.size() + 2 * tiles.part_size());
  l.dispatch(std::move(d));
}

void input_gradient(const BatchNormBackward& norm, Lowering& l) {
  const Planes tiles = plane_walk::for_writing(plane_walk::planes_of(l, norm.dy()));
  const double values = 4 * tiles.values();
  PlannedDispatch d = plane_walk::walk(tiles, by_texels(l.device(), "batch_norm2d_pooled_backward"),
                                       {norm.training() ? 1u : 0u, row_tiles(l, norm.dy())});
  d.label = fmt::format("{} batch_norm and max_pool2d backward", norm.label);
  d.bindings = {read_floats(l, norm.mean()),
                read_floats(l, norm.scale()),
                l.read(norm.x()).as_texels(TexelFormat::rg32f),
                l.read(norm.dy()),
                read_floats(l, norm.weight()),
                read_floats(l, norm.dweight()),
                read_floats(l, norm.dbias()),
                l.write(norm.dx())};
  d.push = push_bytes(BackwardPush{
      .normalisation = normalisation(l, tiles, norm.mean(), norm.scale(), norm.options()),
      .weight_replica = l.replica_stride(norm.weight()),
      .dweight_replica = l.replica_stride(norm.dweight()),
      .dbias_replica = l.replica_stride(norm.dbias()),
      .dy_replica = l.replica_stride(norm.dy()) / 4,
      .x_replica = l.replica_stride(norm.x()) / 2,
      .dx_replica = l.replica_stride(norm.dx()) / 2,
      .per_value = norm.training() ? static_cast<float>(1 / values) : 0.0f});
  d.flops = 8.0 * elements_of(tiles);
  d.bytes = bytes_of(9 * tiles.size() + 6 * tiles.channel_stride());
  l.dispatch(std::move(d));
}

}  // namespace vktrain::nn::batch_norm2d::pooled
