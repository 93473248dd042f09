// RMSprop; formulas in nn/optimizers/rmsprop.h. slot0: v, slot1: momentum buffer.
// After optimizer_values.glsl.

layout(constant_id = 1) const bool MOMENTUM = false;
layout(constant_id = 2) const bool KERAS = false;

vec4 updated(uint index, vec4 weight, vec4 gradient) {
    float learning_rate = entry.x;
    vec4 g = gradient + hyper.weight_decay * weight;
    vec4 v = hyper.beta1 * load_slot0(index) + hyper.one_minus_beta1 * g * g;
    store_slot0(index, v);
    vec4 direction = g / (sqrt(v) + hyper.epsilon);
    if (!MOMENTUM) return weight - learning_rate * direction;
    vec4 buffered =
        hyper.momentum * load_slot1(index) + (KERAS ? learning_rate * direction : direction);
    store_slot1(index, buffered);
    return weight - (KERAS ? buffered : learning_rate * buffered);
}
