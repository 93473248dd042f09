// Activations by number (nn/ops/activation.h) and their derivatives as functions of the output y.
const uint ACTIVATION_NONE = 0;
const uint ACTIVATION_RELU = 1;
const uint ACTIVATION_TANH = 2;
const uint ACTIVATION_SIGMOID = 3;
const uint ACTIVATION_ELU = 4;

// e^x - 1 without the cancellation near 0 that exp(x) - 1 has: the Taylor series up to x^8 where
// |x| <= 1/2 (next term: 1e-8 of the result).
vec4 exp_minus_one(vec4 x) {
    vec4 s = 1.0 + x * (1.0 / 8.0);
    s = 1.0 + s * x * (1.0 / 7.0);
    s = 1.0 + s * x * (1.0 / 6.0);
    s = 1.0 + s * x * (1.0 / 5.0);
    s = 1.0 + s * x * (1.0 / 4.0);
    s = 1.0 + s * x * (1.0 / 3.0);
    s = 1.0 + s * x * (1.0 / 2.0);
    return mix(exp(x) - 1.0, s * x, lessThanEqual(abs(x), vec4(0.5)));
}

// Drivers expand tanh() into exponentials and lose digits near 0; tanh x = t / (t + 2) with
// t = e^2x - 1 does not. Past |x| = 10 the result is 1 in single precision.
vec4 accurate_tanh(vec4 x) {
    vec4 t = exp_minus_one(2.0 * clamp(x, vec4(-10.0), vec4(10.0)));
    return t / (t + 2.0);
}

// The clamp keeps e^-x finite.
vec4 sigmoid(vec4 x) { return 1.0 / (1.0 + exp(-max(x, vec4(-87.0)))); }

vec4 elu(vec4 x, float alpha) {
    return mix(alpha * exp_minus_one(min(x, vec4(0.0))), x, greaterThan(x, vec4(0.0)));
}

vec4 activate(uint kind, vec4 x, float alpha) {
    if (kind == ACTIVATION_RELU) return max(x, vec4(0.0));
    if (kind == ACTIVATION_TANH) return accurate_tanh(x);
    if (kind == ACTIVATION_SIGMOID) return sigmoid(x);
    if (kind == ACTIVATION_ELU) return elu(x, alpha);
    return x;
}

vec4 activation_derivative(uint kind, vec4 y, float alpha) {
    if (kind == ACTIVATION_RELU) return vec4(greaterThan(y, vec4(0.0)));
    if (kind == ACTIVATION_TANH) return 1.0 - y * y;
    if (kind == ACTIVATION_SIGMOID) return y * (1.0 - y);
    if (kind == ACTIVATION_ELU) return mix(y + alpha, vec4(1.0), greaterThan(y, vec4(0.0)));
    return vec4(1.0);
}
