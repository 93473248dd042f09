// parts[chunk, column] = sum of x over the rows of a chunk; channel_sum_finish.comp sums the parts.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"

layout(set = 0, binding = 0, std430) readonly buffer X { vec4 x[]; };
layout(set = 0, binding = 1, std430) writeonly buffer Parts { vec4 parts[]; };

// Strides in vec4.
layout(push_constant, std430) uniform Push {
    Planes planes;
    uint x_replica;
    uint parts_replica;
} p;

void main() {
    Planes s = p.planes;
    if (column4() >= s.row_stride) return;
    vec4 sum = vec4(0.0);
    for (uint row = begin_row(s); row < end_row(s); ++row) {
        sum += x[replica() * p.x_replica + row * s.row_stride + column4()];
    }
    parts[replica() * p.parts_replica + gl_WorkGroupID.y * s.row_stride + column4()] = sum;
}
