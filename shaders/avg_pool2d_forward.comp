// The mean of each window.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "pool2d.glsl"
#include "pool2d_forward.glsl"
#include "avg_pool2d.glsl"

layout(set = 0, binding = 1, std430) writeonly buffer Y { vec4 y[]; };

float sum;

void take(uint index, float value) { sum += value; }

void main() {
    uint item = item_index();
    if (item >= p.count) return;
    Place o = first_output(item);
    vec4 means = vec4(0.0);
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        if (o.plane < CHANNELS) {
            sum = 0.0;
            walk_window(row_of_x(item), o);
            means[i] = sum / divisor(o.row, o.column);
        }
        o = next(o, OUT_H, OUT_W);
    }
    y[replica() * (p.y_replica / 4) + item] = means;
}
