// dx = dy * f', one vec4 an invocation; f' is a function of y or x (shaders/activation.glsl).
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#include "texels.glsl"
layout(constant_id = 1) const uint ACTIVATION = 0;

READ_VEC4(0, dy)
READ_VEC4(1, operand)
layout(set = 0, binding = 2, std430) writeonly buffer DX { vec4 dx[]; };

// In vec4.
layout(push_constant, std430) uniform Push {
    uint count;
    uint dy_replica;
    uint operand_replica;
    uint dx_replica;
    float alpha;
} p;

void main() {
    uint item = item_index();
    if (item >= p.count) return;
    vec4 derivative = activation_derivative(
        ACTIVATION, load_operand(replica() * p.operand_replica + item), p.alpha);
    dx[replica() * p.dx_replica + item] = load_dy(replica() * p.dy_replica + item) * derivative;
}
