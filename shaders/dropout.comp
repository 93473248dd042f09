// y = keep ? x / (1 - p) : 0. The backward pass runs the same kernel on the gradient: the mask depends
// on seed, step, slot and position alone (see nn/ops/dropout.h).
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "philox.glsl"
#include "step_state.glsl"
#include "texels.glsl"

layout(constant_id = 1) const uint ITEMS = 1;  // vec4 an invocation

READ_VEC4(0, x)
layout(set = 0, binding = 1, std430) writeonly buffer Y { vec4 y[]; };
layout(set = 0, binding = 2, std430) readonly buffer State { StepState state; };
layout(set = 0, binding = 3, std430) readonly buffer Hyper { Hyperparameters hyperparameters[]; };

layout(push_constant, std430) uniform Push {
    uint count;  // in vec4
    uint x_replica;
    uint y_replica;
    uint hyperparameters_replica;  // in entries
    uint slot;
} p;

void main() {
    uint first = group_index() * gl_WorkGroupSize.x * ITEMS + gl_LocalInvocationID.x;
    uint entry = replica() * p.hyperparameters_replica;
    float probability = hyperparameters[entry].dropout[p.slot];
    uvec2 seed = uvec2(hyperparameters[entry].seed_low, hyperparameters[entry].seed_high);
    uint step = state.step;
    for (uint k = 0; k < ITEMS; ++k) {
        uint item = first + k * gl_WorkGroupSize.x;
        if (item >= p.count) return;
        vec4 value = load_x(replica() * p.x_replica + item);
        // A quotient by 1 need not be exact in every driver.
        if (probability > 0.0) {
            bvec4 keep = dropout_keeps(item, step, p.slot, seed, probability);
            value = mix(vec4(0.0), value * (1.0 / (1.0 - probability)), keep);
        }
        y[replica() * p.y_replica + item] = value;
    }
}
