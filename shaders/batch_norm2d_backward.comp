// Gradient of the input of batch normalisation for [N, C, H, W], with xhat = (x - mean) * inv_std and
// n = N * H * W:
//   training:   dx = weight * inv_std * (dy - dbias / n - xhat * dweight / n)
//   evaluation: dx = weight * inv_std * dy   (the running statistics do not depend on x)
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"
#include "texels.glsl"
#include "batch_norm2d.glsl"

READ_VEC4(2, dy)
READ_VEC4(3, x)
READ_FLOAT(4, weight)
READ_FLOAT(5, dweight)
READ_FLOAT(6, dbias)
layout(set = 0, binding = 7, std430) writeonly buffer DX { vec4 dx[]; };

layout(push_constant, std430) uniform Push {
    Normalisation normalisation;
    uint weight_replica;  // in floats
    uint dweight_replica;
    uint dbias_replica;
    uint dy_replica;  // in vec4
    uint x_replica;
    uint dx_replica;
    float per_value;  // training: 1 / n, evaluation: 0
} p;

void main() {
    Planes s = p.normalisation.planes;
    if (column4() >= s.row_stride) return;
    uvec4 channel = channels_of_columns(s);
    bvec4 valid = valid_columns(s);
    Statistics statistics = load_statistics(p.normalisation, channel);
    vec4 mean_dy = OF_CHANNELS(dbias, replica() * p.dbias_replica, channel) * p.per_value;
    vec4 mean_dy_xhat = OF_CHANNELS(dweight, replica() * p.dweight_replica, channel) * p.per_value;
    vec4 w = OF_CHANNELS(weight, replica() * p.weight_replica, channel);
    // Zeros make the padding 0.
    vec4 slope = mix(vec4(0.0), mean_dy_xhat * statistics.inv_std, valid);
    vec4 factor = mix(vec4(0.0), w * statistics.inv_std, valid);
    uint dy_at = replica() * p.dy_replica + column4();
    uint x_at = replica() * p.x_replica + column4();
    uint dx_at = replica() * p.dx_replica + column4();
    for (uint row = begin_row(s); row < end_row(s); ++row) {
        uint at = row * s.row_stride;
        vec4 centred = centre(load_x(x_at + at), statistics);
        dx[dx_at + at] = (load_dy(dy_at + at) - mean_dy - centred * slope) * factor;
    }
}
