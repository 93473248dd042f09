// The device's rate of memory: y = x (copy) or y = x + factor z (triad, after McCalpin's STREAM),
// several vec4 an invocation, a workgroup's side by side.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(constant_id = 1) const bool kTriad = false;

layout(set = 0, binding = 0, std430) readonly buffer X { vec4 x[]; };
layout(set = 0, binding = 1, std430) readonly buffer Z { vec4 z[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Y { vec4 y[]; };

layout(push_constant, std430) uniform Push {
    uint count;  // vec4
    float factor;
} p;

const uint kPerInvocation = 4;

void main() {
    uint first = group_index() * gl_WorkGroupSize.x * kPerInvocation + gl_LocalInvocationID.x;
    for (uint i = 0; i < kPerInvocation; ++i) {
        uint item = first + i * gl_WorkGroupSize.x;
        if (item >= p.count) return;
        if (kTriad) {
            y[item] = x[item] + p.factor * z[item];
        } else {
            y[item] = x[item];
        }
    }
}
