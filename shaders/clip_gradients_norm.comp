// Partial sums of the squares of all gradients (already clipped by value): one a workgroup.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "clip_gradients.glsl"

layout(set = 0, binding = 0, std430) readonly buffer Gradients { vec4 gradients[]; };
layout(set = 0, binding = 1, std430) writeonly buffer Partials { float partials[]; };

void main() {
    vec4 squares = vec4(0.0);
    for (uint k = 0; k < p.vectors_per_invocation; ++k) {
        uint i = vector_index(k);
        if (i >= p.vectors) break;
        vec4 gradient = clipped(gradients[replica() * p.vectors + i]);
        squares += gradient * gradient;
    }
    float total = workgroup_sum(dot(squares, vec4(1.0)));
    if (gl_LocalInvocationID.x == 0 && group_index() < p.partials) {
        partials[replica() * p.partials_replica + group_index()] = total;
    }
}
