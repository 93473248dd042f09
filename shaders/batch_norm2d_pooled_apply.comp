// Maxima of tiles of 2 x 2 of y = f(weight * (x - mean) * inv_std + bias) for [N, C, H, W], in training
// and evaluation; f does not decrease, so that it is taken of the maximum.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"
#include "texels.glsl"
#include "batch_norm2d.glsl"
#include "batch_norm2d_pooled.glsl"
#include "activation.glsl"
layout(constant_id = 4) const uint ACTIVATION = 0;

READ_FLOAT(3, weight)
READ_FLOAT(4, bias)
layout(set = 0, binding = 5, std430) writeonly buffer Y { vec4 y[]; };

layout(push_constant, std430) uniform Push {
    Normalisation normalisation;  // of the tiles
    uint parameter_replica;       // in floats
    uint x_replica;               // in pairs
    uint y_replica;               // in vec4
    float alpha;
} p;

void main() {
    Planes s = p.normalisation.planes;
    if (column4() >= s.row_stride) return;
    uvec4 channel = channels_of_columns(s);
    Statistics statistics = load_statistics(p.normalisation, channel);
    uint parameter = replica() * p.parameter_replica;
    vec4 factor = OF_CHANNELS(weight, parameter, channel) * statistics.inv_std;
    vec4 offset = OF_CHANNELS(bias, parameter, channel);
    uvec4 pairs = upper_pairs();
    uint y_at = replica() * p.y_replica + column4();
    for (uint row = begin_row(s); row < end_row(s); ++row) {
        uint start = replica() * p.x_replica + row * s.row_stride * PAIRS;
        Tiles tiles = load_centred(start, pairs, statistics);
        vec4 largest = tiles.element[0] * factor;
        [[unroll]] for (uint e = 1; e < 4; ++e) largest = max(largest, tiles.element[e] * factor);
        y[y_at + row * s.row_stride] = activate(ACTIVATION, largest + offset, p.alpha);
    }
}
