// What the two passes of gradient clipping share: the limits and the walk over one replica's range
// of gradients as vec4. Padding holds 0 and stays 0.
#include "common.glsl"

layout(constant_id = 1) const bool CLIP_VALUE = false;
layout(constant_id = 2) const bool CLIP_NORM = false;

layout(push_constant, std430) uniform Push {
    uint vectors;  // vec4s of one replica's range
    uint vectors_per_invocation;
    uint partials;
    uint partials_replica;
    float value;
    float norm;
} p;

// The k-th vec4 of an invocation; past the end where it is p.vectors or more.
uint vector_index(uint k) {
    uint first = group_index() * gl_WorkGroupSize.x * p.vectors_per_invocation;
    return first + k * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
}

vec4 clipped(vec4 gradient) {
    return CLIP_VALUE ? clamp(gradient, vec4(-p.value), vec4(p.value)) : gradient;
}

shared float sums[gl_WorkGroupSize.x];

// The workgroup's sum, in the order of the invocations; valid in invocation 0.
float workgroup_sum(float own) {
    sums[gl_LocalInvocationID.x] = own;
    barrier();
    float total = 0.0;
    if (gl_LocalInvocationID.x == 0) {
        for (uint i = 0; i < gl_WorkGroupSize.x; ++i) total += sums[i];
    }
    return total;
}
