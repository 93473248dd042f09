// sum = a + b, one vec4 an invocation.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(set = 0, binding = 0, std430) readonly buffer A { vec4 a[]; };
layout(set = 0, binding = 1, std430) readonly buffer B { vec4 b[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Sum { vec4 sum[]; };

// In vec4.
layout(push_constant, std430) uniform Push {
    uint count;
    uint a_replica;
    uint b_replica;
    uint sum_replica;
} p;

void main() {
    uint item = item_index();
    if (item >= p.count) return;
    sum[replica() * p.sum_replica + item] =
        a[replica() * p.a_replica + item] + b[replica() * p.b_replica + item];
}
