// Stochastic gradient descent; formulas in nn/optimizers/sgd.h. slot0: momentum buffer.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "optimizer.glsl"

layout(constant_id = 2) const bool MOMENTUM = false;
layout(constant_id = 3) const bool NESTEROV = false;
layout(constant_id = 4) const bool KERAS = false;

vec4 updated(uint index, vec4 weight, vec4 gradient) {
    float learning_rate = entry.x;
    vec4 g = gradient + hyper.weight_decay * weight;
    if (!MOMENTUM) return weight - learning_rate * g;
    if (KERAS) {
        vec4 change = hyper.momentum * load_slot0(index) - learning_rate * g;
        slot0[index] = change;
        return weight + (NESTEROV ? hyper.momentum * change - learning_rate * g : change);
    }
    vec4 momentum =
        step_state.step == 0u ? g : hyper.momentum * load_slot0(index) + (1.0 - hyper.dampening) * g;
    slot0[index] = momentum;
    return weight - learning_rate * (NESTEROV ? g + hyper.momentum * momentum : momentum);
}
