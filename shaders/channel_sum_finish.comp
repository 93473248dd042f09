// sum[c] = sum of the parts that channel_sum_partial.comp, batch_norm2d_backward_partial.comp or its
// pooled form left for the columns of channel c; with SECOND also of a second array of parts. One workgroup a channel;
// padding becomes 0.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"
#include "channel_parts.glsl"
layout(constant_id = 2) const uint SECOND = 0;

layout(set = 0, binding = 0, std430) readonly buffer Parts { vec4 parts[]; };
layout(set = 0, binding = 1, std430) writeonly buffer Sum { float sum[]; };
layout(set = 0, binding = 2, std430) readonly buffer SecondParts { vec4 second_parts[]; };
layout(set = 0, binding = 3, std430) writeonly buffer SecondSum { float second_sum[]; };

layout(push_constant, std430) uniform Push {
    Planes planes;
    uint parts_replica;  // in vec4
    uint sum_replica;    // in floats, as the next
    uint second_sum_replica;
    uint sums;  // channels with padding
} p;

// Of this invocation's share of the parts.
vec2 partial_sums(Planes s) {
    Span span = channel_span(s);
    uint start = replica() * p.parts_replica;
    vec4 first = vec4(0.0);
    vec4 second = vec4(0.0);
    for (uint item = gl_LocalInvocationIndex; item < span.items; item += gl_WorkGroupSize.x) {
        uint part = start + part_index(s, span, item);
        bvec4 mine = inside(s, span, item);
        first += mix(vec4(0.0), parts[part], mine);
        if (SECOND != 0) second += mix(vec4(0.0), second_parts[part], mine);
    }
    return vec2(sum_components(first), sum_components(second));
}

void main() {
    Planes s = p.planes;
    if (channel() >= p.sums) return;
    vec2 total = channel() < s.channels ? sum_lanes(partial_sums(s)) : vec2(0.0);
    if (gl_LocalInvocationIndex != 0) return;
    sum[replica() * p.sum_replica + channel()] = total.x;
    if (SECOND != 0) second_sum[replica() * p.second_sum_replica + channel()] = total.y;
}
