// sum = f(a + b), one vec4 an invocation; padding becomes f(0).
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#include "texels.glsl"
layout(constant_id = 1) const uint ACTIVATION = 0;

READ_VEC4(0, a)
READ_VEC4(1, b)
layout(set = 0, binding = 2, std430) writeonly buffer Sum { vec4 sum[]; };

// In vec4.
layout(push_constant, std430) uniform Push {
    uint count;
    uint a_replica;
    uint b_replica;
    uint sum_replica;
    float alpha;
} p;

void main() {
    uint item = item_index();
    if (item >= p.count) return;
    vec4 plain = load_a(replica() * p.a_replica + item) + load_b(replica() * p.b_replica + item);
    sum[replica() * p.sum_replica + item] = activate(ACTIVATION, plain, p.alpha);
}
