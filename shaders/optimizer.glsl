// What all optimizers share: bindings, the step's numbers, the walk over one replica's parameter
// range as vec4, and the L1 and L2 penalties. Each .comp defines updated(), one vec4's update.
//
// Ranges are [replicas][range size]; padding holds weight 0 and gradient 0, which every optimizer
// keeps at 0. Optional bindings that a variant does not use are bound to the parameters. With TEXELS
// what is read of the ranges is read as texels (nn/lowering.h: reads_texels).

#include "common.glsl"
#include "step_state.glsl"
#include "texels.glsl"

layout(constant_id = 1) const bool PENALTIES = false;

layout(std430, set = 0, binding = 0) buffer Parameters { vec4 parameters[]; };
layout(std430, set = 0, binding = 2) readonly buffer State { StepState step_state; };
layout(std430, set = 0, binding = 5) buffer Partials { float penalty_partials[]; };
layout(std430, set = 0, binding = 6) buffer Slot0 { vec4 slot0[]; };
layout(std430, set = 0, binding = 7) buffer Slot1 { vec4 slot1[]; };

READ_VEC4(1, gradients)

// An invocation alone reads and writes its vec4, and reads them before: both ways to read are right.
#ifdef TEXELS
layout(set = 0, binding = 8) uniform samplerBuffer parameter_texels;
layout(set = 0, binding = 11) uniform samplerBuffer table_texels;
layout(set = 0, binding = 12) uniform samplerBuffer hyper_texels;
layout(set = 0, binding = 14) uniform samplerBuffer slot0_texels;
layout(set = 0, binding = 15) uniform samplerBuffer slot1_texels;
vec4 load_parameters(uint i) { return texelFetch(parameter_texels, int(i)); }
vec4 load_slot0(uint i) { return texelFetch(slot0_texels, int(i)); }
vec4 load_slot1(uint i) { return texelFetch(slot1_texels, int(i)); }
StepTableEntry load_entry(uint i) { return texelFetch(table_texels, int(i)); }
Hyperparameters load_hyper(uint i) {
    int first = int(i * HYPERPARAMETER_TEXELS);
    return of_texels(texelFetch(hyper_texels, first), texelFetch(hyper_texels, first + 1),
                     texelFetch(hyper_texels, first + 2));
}
#else
layout(std430, set = 0, binding = 3) readonly buffer Table { StepTableEntry step_table[]; };
layout(std430, set = 0, binding = 4) readonly buffer Hyper { Hyperparameters hyperparameters[]; };
vec4 load_parameters(uint i) { return parameters[i]; }
vec4 load_slot0(uint i) { return slot0[i]; }
vec4 load_slot1(uint i) { return slot1[i]; }
StepTableEntry load_entry(uint i) { return step_table[i]; }
Hyperparameters load_hyper(uint i) { return hyperparameters[i]; }
#endif

layout(push_constant) uniform Push {
    uint vectors;                // vec4s of one replica's range
    uint penalised_vectors;      // the first of them that carry penalties
    uint vectors_per_invocation;
    uint table_stride;           // between replicas, in entries
    uint hyperparameter_stride;  // between replicas, in blocks
    uint partials;               // workgroups that write a partial penalty
    uint partials_stride;        // between replicas, in floats
} push;

StepTableEntry entry;  // x: learning rate, y: 1 - beta1^t, z: sqrt(1 - beta2^t)
Hyperparameters hyper;

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
    entry = load_entry(replica() * push.table_stride + step_state.step_in_epoch);
    hyper = load_hyper(replica() * push.hyperparameter_stride);
    uint base = replica() * push.vectors;
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
