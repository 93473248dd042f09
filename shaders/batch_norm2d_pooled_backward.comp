// The gradient of batch_norm2d_backward.comp from that of the maxima over tiles of 2 x 2: dy is the
// tile's at its winner, else 0.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"
#include "texels.glsl"
#include "batch_norm2d.glsl"
#include "batch_norm2d_pooled.glsl"

READ_VEC4(3, dy)
READ_FLOAT(4, weight)
READ_FLOAT(5, dweight)
READ_FLOAT(6, dbias)
layout(set = 0, binding = 7, std430) writeonly buffer DX { vec2 dx[]; };

layout(push_constant, std430) uniform Push {
    Normalisation normalisation;  // of the tiles
    uint weight_replica;          // in floats
    uint dweight_replica;
    uint dbias_replica;
    uint dy_replica;  // in vec4
    uint x_replica;   // in pairs
    uint dx_replica;
    float per_value;  // training: 1 / n, evaluation: 0
} p;

void main() {
    Planes s = p.normalisation.planes;
    if (column4() >= s.row_stride) return;
    uvec4 channel = channels_of_columns(s);
    Statistics statistics = load_statistics(p.normalisation, channel);
    vec4 mean_dy = OF_CHANNELS(dbias, replica() * p.dbias_replica, channel) * p.per_value;
    vec4 mean_dy_xhat = OF_CHANNELS(dweight, replica() * p.dweight_replica, channel) * p.per_value;
    vec4 slope = mean_dy_xhat * statistics.inv_std;
    vec4 factor =
        OF_CHANNELS(weight, replica() * p.weight_replica, channel) * statistics.inv_std;
    uvec4 pairs = upper_pairs();
    uint dy_at = replica() * p.dy_replica + column4();
    for (uint row = begin_row(s); row < end_row(s); ++row) {
        uint start = row * s.row_stride * PAIRS;
        Tiles tiles = load_centred(replica() * p.x_replica + start, pairs, statistics);
        uvec4 winners = winners_of(tiles, factor);
        vec4 d = load_dy(dy_at + row * s.row_stride);
        [[unroll]] for (uint e = 0; e < 4; ++e) {
            vec4 won = mix(vec4(0.0), d, equal(winners, uvec4(e)));
            tiles.element[e] = (won - mean_dy - tiles.element[e] * slope) * factor;
        }
        uint dx_start = replica() * p.dx_replica + start;
        [[unroll]] for (uint i = 0; i < 4; ++i) {
            uint at = dx_start + pairs[i];
            dx[at] = vec2(tiles.element[0][i], tiles.element[1][i]);
            dx[at + ROW_TILES] = vec2(tiles.element[2][i], tiles.element[3][i]);
        }
    }
}
