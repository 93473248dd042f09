// Activations by number (nn/ops/activation.h) and their derivatives as functions of the output y,
// for gelu and silu of the input x.
const uint ACTIVATION_NONE = 0;
const uint ACTIVATION_RELU = 1;
const uint ACTIVATION_TANH = 2;
const uint ACTIVATION_SIGMOID = 3;
const uint ACTIVATION_ELU = 4;
const uint ACTIVATION_LEAKY_RELU = 5;
const uint ACTIVATION_GELU = 6;
const uint ACTIVATION_SILU = 7;

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

vec4 leaky_relu(vec4 x, float alpha) { return mix(alpha * x, x, greaterThan(x, vec4(0.0))); }

// Past 13 deviations the tail of the normal distribution is no normal float.
const float NORMAL_TAIL = 13.0;

// e^(-x^2 / 2), 0 in the tail.
vec4 normal_exponential(vec4 x) {
    vec4 a = min(abs(x), vec4(NORMAL_TAIL));
    return mix(exp(-0.5 * a * a), vec4(0.0), greaterThanEqual(a, vec4(NORMAL_TAIL)));
}

// Distribution function of the standard normal, (1 + erf(x / sqrt 2)) / 2, to 1e-7; `e` is
// normal_exponential(x). Where |x| < 1 its Taylor series up to x^15 (next term: 3e-9). Outside
// t P(t) e with t = 1 / (1 + |x| / 4), the form of Abramowitz and Stegun 7.1.26; P was fitted to
// e^(x^2 / 2) (1 - cdf(x)) / t at the Chebyshev points of 0 <= x <= 13 in 40 digits (error: 1.3e-8)
// and needs no difference of near numbers for x < 0.
vec4 normal_cdf(vec4 x, vec4 e) {
    vec4 q = 0.5 * x * x;
    vec4 s = 1.0 / 9360.0 - q * (1.0 / 75600.0);
    s = -1.0 / 1320.0 + q * s;
    s = 1.0 / 216.0 + q * s;
    s = -1.0 / 42.0 + q * s;
    s = 1.0 / 10.0 + q * s;
    s = -1.0 / 3.0 + q * s;
    vec4 centre = 0.5 + 0.3989422804 * x * (1.0 + q * s);
    vec4 t = 1.0 / (1.0 + 0.25 * min(abs(x), vec4(NORMAL_TAIL)));
    vec4 f = -0.1727586022 + t * 0.02980736043;
    f = 0.3375926862 + t * f;
    f = -0.2535974459 + t * f;
    f = 0.2351274911 + t * f;
    f = 0.01852258075 + t * f;
    f = 0.1074966382 + t * f;
    f = 0.09797934731 + t * f;
    f = 0.09982993827 + t * f;
    vec4 tail = t * f * e;
    tail = mix(tail, 1.0 - tail, greaterThan(x, vec4(0.0)));
    return mix(tail, centre, lessThan(abs(x), vec4(1.0)));
}

vec4 gelu(vec4 x) { return x * normal_cdf(x, normal_exponential(x)); }

vec4 gelu_derivative(vec4 x) {
    vec4 e = normal_exponential(x);
    return normal_cdf(x, e) + 0.3989422804 * x * e;
}

vec4 silu(vec4 x) {
    x = max(x, vec4(-87.0));
    return x * sigmoid(x);
}

// 1 - s as e^-x s: the difference would lose the digits that a large x multiplies.
vec4 silu_derivative(vec4 x) {
    x = max(x, vec4(-87.0));
    vec4 e = exp(-x);
    vec4 s = 1.0 / (1.0 + e);
    return s * (1.0 + x * (e * s));
}

vec4 activate(uint kind, vec4 x, float alpha) {
    if (kind == ACTIVATION_RELU) return max(x, vec4(0.0));
    if (kind == ACTIVATION_TANH) return accurate_tanh(x);
    if (kind == ACTIVATION_SIGMOID) return sigmoid(x);
    if (kind == ACTIVATION_ELU) return elu(x, alpha);
    if (kind == ACTIVATION_LEAKY_RELU) return leaky_relu(x, alpha);
    if (kind == ACTIVATION_GELU) return gelu(x);
    if (kind == ACTIVATION_SILU) return silu(x);
    return x;
}

// `y` is the input x for gelu and silu.
vec4 activation_derivative(uint kind, vec4 y, float alpha) {
    if (kind == ACTIVATION_RELU) return vec4(greaterThan(y, vec4(0.0)));
    if (kind == ACTIVATION_TANH) return 1.0 - y * y;
    if (kind == ACTIVATION_SIGMOID) return y * (1.0 - y);
    if (kind == ACTIVATION_ELU) return mix(y + alpha, vec4(1.0), greaterThan(y, vec4(0.0)));
    if (kind == ACTIVATION_LEAKY_RELU) return mix(vec4(alpha), vec4(1.0), greaterThan(y, vec4(0.0)));
    if (kind == ACTIVATION_GELU) return gelu_derivative(y);
    if (kind == ACTIVATION_SILU) return silu_derivative(y);
    return vec4(1.0);
}
