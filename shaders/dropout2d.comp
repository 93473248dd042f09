// y[n, c, h, w] = factor[n, c] * x[n, c, h, w], and 0 where the factor is 0 whatever x holds. The
// backward pass runs the same kernels on the gradient.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"
#include "texels.glsl"

READ_VEC4(0, x)
READ_FLOAT(1, factors)
layout(set = 0, binding = 2, std430) writeonly buffer Y { vec4 y[]; };

layout(push_constant, std430) uniform Push {
    Planes planes;
    uint x_replica;        // in vec4
    uint factors_replica;  // in floats
    uint y_replica;        // in vec4
} p;

void main() {
    Planes s = p.planes;
    if (column4() >= s.row_stride) return;
    uvec4 channel = channels_of_columns(s);
    uint x_at = replica() * p.x_replica + column4();
    uint y_at = replica() * p.y_replica + column4();
    for (uint row = begin_row(s); row < end_row(s); ++row) {
        uint at = row * s.row_stride;
        vec4 factor =
            OF_CHANNELS(factors, replica() * p.factors_replica + row * s.channels, channel);
        y[y_at + at] = mix(vec4(0.0), factor * load_x(x_at + at), greaterThan(factor, vec4(0.0)));
    }
}
