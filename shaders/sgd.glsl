// Stochastic gradient descent; formulas in nn/optimizers/sgd.h. slot0: momentum buffer.
// After optimizer_values.glsl.

layout(constant_id = 1) const bool MOMENTUM = false;
layout(constant_id = 2) const bool NESTEROV = false;
layout(constant_id = 3) const bool KERAS = false;

vec4 updated(uint index, vec4 weight, vec4 gradient) {
    float learning_rate = entry.x;
    vec4 g = gradient + hyper.weight_decay * weight;
    if (!MOMENTUM) return weight - learning_rate * g;
    if (KERAS) {
        vec4 change = hyper.momentum * load_slot0(index) - learning_rate * g;
        store_slot0(index, change);
        return weight + (NESTEROV ? hyper.momentum * change - learning_rate * g : change);
    }
    vec4 momentum =
        step_state.step == 0u ? g : hyper.momentum * load_slot0(index) + (1.0 - hyper.dampening) * g;
    store_slot0(index, momentum);
    return weight - learning_rate * (NESTEROV ? g + hyper.momentum * momentum : momentum);
}
