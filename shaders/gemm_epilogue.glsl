// What becomes of a product's results; after activation.glsl and gemm.glsl. Kernels that read their
// operands as texels define TEXELS before, for the output of an activation.
#include "texels.glsl"

layout(set = 0, binding = 2, std430) buffer C { vec4 c[]; };
layout(set = 0, binding = 3, std430) readonly buffer Bias { vec4 bias[]; };
READ_VEC4(4, activation_output)
layout(set = 0, binding = 5, std430) buffer BiasGradient { vec4 bias_gradient[]; };
#include "gemm_bias_gradient.glsl"
#define PLACES 6  // see gemm_gathered.glsl

layout(constant_id = 1) const uint ADD_BIAS = 0;
layout(constant_id = 2) const uint ACTIVATION = 0;           // applied to the result
layout(constant_id = 3) const uint ACTIVATION_GRADIENT = 0;  // multiplies by the derivative

void end_bias_gradient(uint row4, vec4 value) { store_bias_gradient(row4, value); }

void prepare_store() {}  // see gemm_shuffle.glsl; other kernels do not call it

// Of four columns; those past N get some column's.
vec4 load_bias(uint column4) {
    if (ADD_BIAS == 0) return vec4(0.0);
    return bias[replica_number * p.bias_replica + min(column4, (p.n + 3) / 4 - 1)];
}

// Writes four columns of a row, `added` being their bias; columns past N become 0, so that padding
// stays finite (and zero in parameters).
void store(uint row, uint column4, vec4 value, vec4 added) {
    if (row >= p.m || column4 * 4 >= p.n) return;
    if (MIXED != 0) value *= p.a_unscale;
    if (ADD_BIAS != 0) value += added;
    value = activate(ACTIVATION, value, p.alpha);
    if (ACTIVATION_GRADIENT != 0) {
        vec4 y = load_activation_output(replica_number * p.output_replica + row * p.c_stride +
                                        column4);
        value *= activation_derivative(ACTIVATION_GRADIENT, y, p.alpha);
    }
    value = keep_below(value, column4 * 4, p.n);
    c[c_base + row * p.c_stride + column4] = value;
}
