// y = f(x), one vec4 an invocation; padding goes through the same function and stays finite.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#include "texels.glsl"
layout(constant_id = 1) const uint ACTIVATION = 0;

READ_VEC4(0, x)
layout(set = 0, binding = 1, std430) writeonly buffer Y { vec4 y[]; };

// In vec4.
layout(push_constant, std430) uniform Push {
    uint count;
    uint x_replica;
    uint y_replica;
    float alpha;
} p;

void main() {
    uint item = item_index();
    if (item >= p.count) return;
    y[replica() * p.y_replica + item] =
        activate(ACTIVATION, load_x(replica() * p.x_replica + item), p.alpha);
}
