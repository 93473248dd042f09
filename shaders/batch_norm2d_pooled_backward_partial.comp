// First pass of the gradients of batch normalisation for [N, C, H, W] from the gradient of its maxima
// over tiles of 2 x 2: of each column of tiles of a chunk of rows the sums of dy and of dy * xhat of
// the winner. channel_sum_finish.comp turns them into dbias and dweight.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"
#include "texels.glsl"
#include "batch_norm2d.glsl"
#include "batch_norm2d_pooled.glsl"

READ_VEC4(3, dy)
READ_FLOAT(4, weight)
layout(set = 0, binding = 5, std430) writeonly buffer BiasParts { vec4 bias_parts[]; };
layout(set = 0, binding = 6, std430) writeonly buffer WeightParts { vec4 weight_parts[]; };

layout(push_constant, std430) uniform Push {
    Normalisation normalisation;  // of the tiles
    uint weight_replica;          // in floats
    uint dy_replica;              // in vec4
    uint x_replica;               // in pairs
    uint parts_replica;           // in vec4
} p;

void main() {
    Planes s = p.normalisation.planes;
    if (column4() >= s.row_stride) return;
    uvec4 channel = channels_of_columns(s);
    Statistics statistics = load_statistics(p.normalisation, channel);
    vec4 factor =
        OF_CHANNELS(weight, replica() * p.weight_replica, channel) * statistics.inv_std;
    uvec4 pairs = upper_pairs();
    uint dy_at = replica() * p.dy_replica + column4();
    vec4 sum_dy = vec4(0.0);
    vec4 sum_dy_centred = vec4(0.0);
    for (uint row = begin_row(s); row < end_row(s); ++row) {
        uint start = replica() * p.x_replica + row * s.row_stride * PAIRS;
        Tiles tiles = load_centred(start, pairs, statistics);
        uvec4 winners = winners_of(tiles, factor);
        vec4 centred = tiles.element[0];
        [[unroll]] for (uint e = 1; e < 4; ++e)
            centred = mix(centred, tiles.element[e], equal(winners, uvec4(e)));
        vec4 d = load_dy(dy_at + row * s.row_stride);
        sum_dy += d;
        sum_dy_centred += d * centred;
    }
    uint part = replica() * p.parts_replica + gl_WorkGroupID.y * s.row_stride + column4();
    bias_parts[part] = sum_dy;
    weight_parts[part] = sum_dy_centred * statistics.inv_std;
}
