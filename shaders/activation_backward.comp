// dx = dy * f', one vec4 an invocation; f' is a function of y or x (shaders/activation.glsl).
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
layout(constant_id = 1) const uint ACTIVATION = 0;

layout(set = 0, binding = 0, std430) readonly buffer DY { vec4 dy[]; };
layout(set = 0, binding = 1, std430) readonly buffer Operand { vec4 operand[]; };
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
        ACTIVATION, operand[replica() * p.operand_replica + item], p.alpha);
    dx[replica() * p.dx_replica + item] = dy[replica() * p.dy_replica + item] * derivative;
}
