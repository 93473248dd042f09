// y[n, c, h, w] = x[n, c, h, w] + bias[c]
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"
#include "texels.glsl"

layout(set = 0, binding = 0, std430) readonly buffer X { vec4 x[]; };
READ_FLOAT(1, bias)
layout(set = 0, binding = 2, std430) writeonly buffer Y { vec4 y[]; };

layout(push_constant, std430) uniform Push {
    Planes planes;
    uint x_replica;     // in vec4
    uint bias_replica;  // in floats
    uint y_replica;     // in vec4
} p;

void main() {
    Planes s = p.planes;
    if (column4() >= s.row_stride) return;
    vec4 b = OF_CHANNELS(bias, replica() * p.bias_replica, channels_of_columns(s));
    uint x_at = replica() * p.x_replica + column4();
    uint y_at = replica() * p.y_replica + column4();
    for (uint row = begin_row(s); row < end_row(s); ++row) {
        y[y_at + row * s.row_stride] = x[x_at + row * s.row_stride] + b;
    }
}
