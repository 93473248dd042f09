// Clips the gradients in place, by value and by the norm that clip_gradients_norm prepared; formulas
// in nn/ops/clip_gradients.h.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "clip_gradients.glsl"

layout(set = 0, binding = 0, std430) buffer Gradients { vec4 gradients[]; };
layout(set = 0, binding = 1, std430) readonly buffer Partials { float partials[]; };

shared float shared_factor;

float norm_factor() {
    float sum = 0.0;
    for (uint i = gl_LocalInvocationID.x; i < p.partials; i += gl_WorkGroupSize.x) {
        sum += partials[replica() * p.partials_replica + i];
    }
    float squares = workgroup_sum(sum);
    if (gl_LocalInvocationID.x == 0) shared_factor = min(1.0, p.norm / (sqrt(squares) + 1e-6));
    barrier();
    return shared_factor;
}

void main() {
    float factor = CLIP_NORM ? norm_factor() : 1.0;
    for (uint k = 0; k < p.vectors_per_invocation; ++k) {
        uint i = vector_index(k);
        if (i >= p.vectors) break;
        uint place = replica() * p.vectors + i;
        gradients[place] = clipped(gradients[place]) * factor;
    }
}
