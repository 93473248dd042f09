// The maximum of each window, and where in its plane it stands: the first one in row-major order.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "pool2d.glsl"
#include "pool2d_forward.glsl"

layout(set = 0, binding = 1, std430) writeonly buffer Y { vec4 y[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Winners { uvec4 winners[]; };

const uint NONE = 0xffffffffu;

float maximum;
uint winner;

void take(uint index, float value) {
    bool better = winner == NONE || value > maximum;
    maximum = better ? value : maximum;
    winner = better ? index : winner;
}

void main() {
    uint item = item_index();
    if (item >= p.count) return;
    Place o = first_output(item);
    vec4 maxima = vec4(0.0);
    uvec4 places = uvec4(0);
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        if (o.plane < CHANNELS) {
            winner = NONE;
            walk_window(row_of_x(item), o);
            maxima[i] = maximum;
            places[i] = winner;
        }
        o = next(o, OUT_H, OUT_W);
    }
    uint target = replica() * (p.y_replica / 4) + item;
    y[target] = maxima;
    winners[target] = places;
}
