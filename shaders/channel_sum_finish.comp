// sum[c] = sum of the parts that channel_sum_partial.comp or batch_norm2d_backward_partial.comp left
// for the columns of channel c. One workgroup a channel; padding becomes 0.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"
#include "channel_parts.glsl"

layout(set = 0, binding = 0, std430) readonly buffer Parts { vec4 parts[]; };
layout(set = 0, binding = 1, std430) writeonly buffer Sum { float sum[]; };

layout(push_constant, std430) uniform Push {
    Planes planes;
    uint parts_replica;  // in vec4
    uint sum_replica;    // in floats
    uint sums;           // channels with padding
} p;

void main() {
    Planes s = p.planes;
    if (channel() >= p.sums) return;
    float total = 0.0;
    if (channel() < s.channels) {
        Span span = channel_span(s);
        vec4 lanes = vec4(0.0);
        for (uint item = gl_LocalInvocationIndex; item < span.items; item += gl_WorkGroupSize.x) {
            vec4 part = parts[replica() * p.parts_replica + part_index(s, span, item)];
            lanes += mix(vec4(0.0), part, inside(s, span, item));
        }
        total = sum_lanes(vec2(sum_components(lanes), 0.0)).x;
    }
    if (gl_LocalInvocationIndex == 0) sum[replica() * p.sum_replica + channel()] = total;
}
