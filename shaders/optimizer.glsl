// What all optimizers share: the walk over a part of one replica's range of parameters as vec4, and the
// L1 and L2 penalties, which need the whole range. Each optimizer's .glsl defines updated(), one vec4's
// update.
//
// Ranges are [replicas][range size]; padding holds weight 0 and gradient 0, which every optimizer
// keeps at 0. The penalties' partials, where a variant has none, are bound to the parameters.

#include "common.glsl"
#include "optimizer_values.glsl"

layout(constant_id = 4) const bool PENALTIES = false;

READ_VEC4(0, gradients)
layout(std430, set = 0, binding = 1) buffer Partials { float penalty_partials[]; };

layout(push_constant) uniform Push {
    uint vectors;                // vec4s of one replica's part of the range
    uint range_vectors;          // between replicas
    uint penalised_vectors;      // the first of them that carry penalties
    uint vectors_per_invocation;
    uint table_stride;           // between replicas, in entries
    uint hyperparameter_stride;  // between replicas, in blocks
    uint partials;               // workgroups that write a partial penalty
    uint partials_stride;        // between replicas, in floats
} push;

shared float penalties[gl_WorkGroupSize.x];

// The weights after the step; `index` is the vec4's place in the slots.
vec4 updated(uint index, vec4 weight, vec4 gradient);

// One invocation adds up the workgroup's penalties, always in the same order. A tree needs six more
// barriers, which lavapipe pays for: Adam with penalties over 478,410 weights took 3.9 ms of CPU
// time with the tree and 3.4 ms this way.
void write_penalty(float penalty) {
    penalties[gl_LocalInvocationID.x] = penalty;
    barrier();
    if (gl_LocalInvocationID.x != 0u || group_index() >= push.partials) return;
    float total = 0.0;
    for (uint i = 0u; i < gl_WorkGroupSize.x; ++i) total += penalties[i];
    penalty_partials[replica() * push.partials_stride + group_index()] = total;
}

void main() {
    read_step(replica(), push.table_stride, push.hyperparameter_stride);
    uint base = replica() * push.range_vectors;
    uint first = group_index() * gl_WorkGroupSize.x * push.vectors_per_invocation +
                 gl_LocalInvocationID.x;
    vec4 penalty = vec4(0.0);
    for (uint k = 0u; k < push.vectors_per_invocation; ++k) {
        uint i = first + k * gl_WorkGroupSize.x;
        if (i >= push.vectors) break;
        vec4 weight = load_parameters(base + i);
        vec4 gradient = load_gradients(base + i);
        if (PENALTIES && i < push.penalised_vectors) {
            penalty += hyper.l2 * weight * weight + hyper.l1 * abs(weight);
            gradient += 2.0 * hyper.l2 * weight + hyper.l1 * sign(weight);
        }
        parameters[base + i] = updated(base + i, weight, gradient);
    }
    if (PENALTIES) write_penalty(dot(penalty, vec4(1.0)));
}
