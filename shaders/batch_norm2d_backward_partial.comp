// First pass of the gradients of batch normalisation for [N, C, H, W]: of each column of a chunk of
// rows the sums of dy and of dy * xhat, xhat = (x - mean) * inv_std. channel_sum_finish.comp turns
// them into dbias and dweight.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"
#include "texels.glsl"
#include "batch_norm2d.glsl"

READ_VEC4(2, dy)
READ_VEC4(3, x)
layout(set = 0, binding = 4, std430) writeonly buffer BiasParts { vec4 bias_parts[]; };
layout(set = 0, binding = 5, std430) writeonly buffer WeightParts { vec4 weight_parts[]; };

// Strides in vec4.
layout(push_constant, std430) uniform Push {
    Normalisation normalisation;
    uint dy_replica;
    uint x_replica;
    uint parts_replica;
} p;

void main() {
    Planes s = p.normalisation.planes;
    if (column4() >= s.row_stride) return;
    Statistics statistics = load_statistics(p.normalisation, channels_of_columns(s));
    uint dy_at = replica() * p.dy_replica + column4();
    uint x_at = replica() * p.x_replica + column4();
    vec4 sum_dy = vec4(0.0);
    vec4 sum_dy_centred = vec4(0.0);
    for (uint row = begin_row(s); row < end_row(s); ++row) {
        vec4 d = load_dy(dy_at + row * s.row_stride);
        sum_dy += d;
        sum_dy_centred += d * centre(load_x(x_at + row * s.row_stride), statistics);
    }
    uint part = replica() * p.parts_replica + gl_WorkGroupID.y * s.row_stride + column4();
    bias_parts[part] = sum_dy;
    weight_parts[part] = sum_dy_centred * statistics.inv_std;
}
