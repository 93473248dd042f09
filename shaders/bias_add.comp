// y[n, c] = x[n, c] + bias[c]. A column tile walks down the rows, so that no index is divided.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "column_tile.glsl"

layout(set = 0, binding = 0, std430) readonly buffer X { vec4 x[]; };
layout(set = 0, binding = 1, std430) readonly buffer Bias { vec4 bias[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Y { vec4 y[]; };

// Strides in vec4.
layout(push_constant, std430) uniform Push {
    uint rows;
    uint row_stride;
    uint x_replica;
    uint bias_replica;
    uint y_replica;
} p;

void main() {
    if (column4() >= p.row_stride) return;
    vec4 b = bias[replica() * p.bias_replica + column4()];
    uint step = gl_NumWorkGroups.y * row_lanes();
    for (uint row = gl_WorkGroupID.y * row_lanes() + row_lane(); row < p.rows; row += step) {
        uint i = row * p.row_stride + column4();
        y[replica() * p.y_replica + i] = x[replica() * p.x_replica + i] + b;
    }
}
