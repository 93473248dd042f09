// The gradient of shaders/max_pool2d_tiles_forward.comp: every element of dx is under one window. With
// TEXELS the operands are read as texels (nn/lowering.h: reads_texels).
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "pool2d.glsl"
#include "max_pool2d_backward.glsl"

layout(set = 0, binding = 1, std430) writeonly buffer DX { vec2 dx[]; };
READ_VEC4(0, dy)
#ifdef TEXELS
layout(set = 0, binding = 10) uniform usamplerBuffer winners_texels;
uvec4 load_winners(uint i) { return texelFetch(winners_texels, int(i)); }
#else
layout(set = 0, binding = 2, std430) readonly buffer Winners { uvec4 winners[]; };
uvec4 load_winners(uint i) { return winners[i]; }
#endif

layout(push_constant, std430) uniform Push {
    uint count;       // vec4 of dy
    uint dy_replica;  // also of the winners
    uint dx_replica;
} p;

void main() {
    uint item = item_index();
    if (item >= p.count) return;
    uint source = replica() * (p.dy_replica / 4) + item;
    vec4 gradient = times_derivative(load_dy(source), source);
    uvec4 winner = load_winners(source);
    uint dx_start = replica() * (p.dx_replica / 2);
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        uint window = 4 * item + i;
        uint row = window / OUT_W, column = window % OUT_W;
        uvec2 own = row % OUT_H * (2 * W) + 2 * column + uvec2(0, 1);
        uint target = dx_start + row * W + column;
        dx[target] = mix(vec2(0.0), vec2(gradient[i]), equal(own, uvec2(winner[i])));
        dx[target + OUT_W] = mix(vec2(0.0), vec2(gradient[i]), equal(own + W, uvec2(winner[i])));
    }
}
