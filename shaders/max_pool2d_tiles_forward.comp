// Maximum over tiles of 2 x 2 that cover an input of even height and width: 4 windows an invocation.
// Rows of x and y have no padding here, so that all planes are one image of width W. With TEXELS
// the operands are read as texels (nn/lowering.h: reads_texels).
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "pool2d.glsl"

#ifdef TEXELS
layout(set = 0, binding = 8) uniform samplerBuffer x_texels;
vec2 pair(uint i) { return texelFetch(x_texels, int(i)).xy; }
#else
layout(set = 0, binding = 0, std430) readonly buffer X { vec2 x[]; };
vec2 pair(uint i) { return x[i]; }
#endif
layout(set = 0, binding = 1, std430) writeonly buffer Y { vec4 y[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Winners { uvec4 winners[]; };

layout(push_constant, std430) uniform Push {
    uint count;  // vec4 of y
    uint x_replica;
    uint y_replica;  // also of the winners
} p;

void take(float value, uint index, inout float best, inout uint winner) {
    bool better = value > best;
    best = better ? value : best;
    winner = better ? index : winner;
}

void main() {
    uint item = item_index();
    if (item >= p.count) return;
    uint x_start = replica() * (p.x_replica / 2);
    vec4 best;
    uvec4 winner;
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        uint window = 4 * item + i;
        uint row = window / OUT_W, column = window % OUT_W;
        vec2 top = pair(x_start + row * W + column);
        vec2 bottom = pair(x_start + row * W + OUT_W + column);
        uint own = row % OUT_H * (2 * W) + 2 * column;
        best[i] = top.x;
        winner[i] = own;
        take(top.y, own + 1, best[i], winner[i]);
        take(bottom.x, own + W, best[i], winner[i]);
        take(bottom.y, own + W + 1, best[i], winner[i]);
    }
    uint target = replica() * (p.y_replica / 4) + item;
    y[target] = best;
    winners[target] = winner;
}
