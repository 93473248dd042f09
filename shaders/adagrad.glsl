// Adagrad; formula in nn/optimizers/adagrad.h. slot0: accumulator.
// After optimizer_values.glsl.

vec4 updated(uint index, vec4 weight, vec4 gradient) {
    float learning_rate = entry.x;
    vec4 g = gradient + hyper.weight_decay * weight;
    vec4 accumulator = load_slot0(index) + g * g;
    store_slot0(index, accumulator);
    return weight - learning_rate * g / (sqrt(accumulator) + hyper.epsilon);
}
