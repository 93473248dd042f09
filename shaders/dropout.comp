// y = keep ? x / (1 - p) : 0, one vec4 an invocation. The backward pass runs the same kernel on the
// gradient: the mask depends on seed, step, slot and position alone (see nn/ops/dropout.h).
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "philox.glsl"
#include "step_state.glsl"

layout(set = 0, binding = 0, std430) readonly buffer X { vec4 x[]; };
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
    uint item = item_index();
    if (item >= p.count) return;
    uint entry = replica() * p.hyperparameters_replica;
    float probability = hyperparameters[entry].dropout[p.slot];
    uvec2 seed = uvec2(hyperparameters[entry].seed_low, hyperparameters[entry].seed_high);
    vec4 value = x[replica() * p.x_replica + item];
    // A quotient by 1 need not be exact in every driver.
    if (probability > 0.0) {
        bvec4 keep = dropout_keeps(item, state.step, p.slot, seed, probability);
        value = mix(vec4(0.0), value * (1.0 / (1.0 - probability)), keep);
    }
    y[replica() * p.y_replica + item] = value;
}
