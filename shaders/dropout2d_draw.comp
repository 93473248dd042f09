// factor[n, c] = keep ? 1 / (1 - p) : 0, four draws an invocation: one Philox call, as many words (see
// nn/ops/dropout2d.h). dropout2d.comp applies the factors.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "philox.glsl"
#include "step_state.glsl"

layout(set = 0, binding = 0, std430) readonly buffer State { StepState state; };
layout(set = 0, binding = 1, std430) readonly buffer Hyper { Hyperparameters hyperparameters[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Factors { vec4 factors[]; };

layout(push_constant, std430) uniform Push {
    uint count;                    // in vec4
    uint hyperparameters_replica;  // in entries
    uint factors_replica;          // in vec4
    uint slot;
} p;

void main() {
    uint item = item_index();
    if (item >= p.count) return;
    uint entry = replica() * p.hyperparameters_replica;
    float probability = hyperparameters[entry].dropout[p.slot];
    uvec2 seed = uvec2(hyperparameters[entry].seed_low, hyperparameters[entry].seed_high);
    vec4 factor = vec4(1.0);
    // A quotient by 1 need not be exact in every driver.
    if (probability > 0.0) {
        factor = mix(vec4(0.0), vec4(1.0 / (1.0 - probability)),
                     dropout_keeps(item, state.step, p.slot, seed, probability));
    }
    factors[replica() * p.factors_replica + item] = factor;
}
