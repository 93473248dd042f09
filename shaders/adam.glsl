// Adam and AdamW; formulas in nn/optimizers/adam.h. slot0: m, slot1: v.
// After optimizer_values.glsl.

layout(constant_id = 1) const bool DECOUPLED_WEIGHT_DECAY = false;
layout(constant_id = 2) const bool KERAS_EPSILON = false;

vec4 updated(uint index, vec4 weight, vec4 gradient) {
    float learning_rate = entry.x;
    float bias_correction1 = entry.y;
    float sqrt_bias_correction2 = entry.z;
    vec4 w = weight;
    vec4 g = gradient;
    if (DECOUPLED_WEIGHT_DECAY) {
        w -= (learning_rate * hyper.weight_decay) * w;
    } else {
        g += hyper.weight_decay * w;
    }
    vec4 m = hyper.beta1 * load_slot0(index) + hyper.one_minus_beta1 * g;
    vec4 v = hyper.beta2 * load_slot1(index) + hyper.one_minus_beta2 * g * g;
    store_slot0(index, m);
    store_slot1(index, v);
    if (KERAS_EPSILON) {
        float rate = learning_rate * sqrt_bias_correction2 / bias_correction1;
        return w - rate * m / (sqrt(v) + hyper.epsilon);
    }
    float rate = learning_rate / bias_correction1;
    return w - rate * m / (sqrt(v) / sqrt_bias_correction2 + hyper.epsilon);
}
