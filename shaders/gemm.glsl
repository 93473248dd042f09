// Interface that all GEMM kernels share: C[M, N] = op(A) op(B) (+ bias, activation, derivative).
//
//   nt: A [M, K], B [N, K]   forward of a linear layer       y = x W^T
//   nn: A [M, K], B [K, N]   gradient of its input           dx = dy W
//   tn: A [K, M], B [K, N]   gradient of its weight          dW = dy^T x, db = column sums of dy
//
// Rows are row_stride elements apart, always a multiple of 4. All strides below are in vec4.
// z = replica * splits + split; with splits > 1 every split writes its partial product to C as
// [split][M rows of C, then M bias gradients], to be summed by gemm_reduce. Kernels that read their
// operands as texels define TEXELS before, for the output of an activation.
#include "texels.glsl"

layout(set = 0, binding = 0, std430) readonly buffer A { vec4 a[]; };
layout(set = 0, binding = 1, std430) readonly buffer B { vec4 b[]; };
layout(set = 0, binding = 2, std430) buffer C { vec4 c[]; };
layout(set = 0, binding = 3, std430) readonly buffer Bias { vec4 bias[]; };
READ_VEC4(4, activation_output)
layout(set = 0, binding = 5, std430) buffer BiasGradient { vec4 bias_gradient[]; };

layout(push_constant, std430) uniform Push {
    uint m;
    uint n;
    uint k;
    uint a_stride;
    uint b_stride;
    uint c_stride;
    uint a_replica;
    uint b_replica;
    uint c_replica;
    uint bias_replica;
    uint output_replica;
    uint bias_gradient_replica;
    uint splits;
    uint k_per_split;
    uint split_stride;  // vec4 between two splits of one replica
    float alpha;
    // tn only: whether to write the column sums of A. Not a specialization constant: without the
    // sums lavapipe compiles the register kernel into one that is six times slower.
    uint sum_a;
    // MIXED only: A is multiplied by this before it is rounded, and the product by its inverse; a
    // power of two.
    float a_scale;
    float a_unscale;
} p;

layout(constant_id = 1) const uint ADD_BIAS = 0;
layout(constant_id = 2) const uint ACTIVATION = 0;           // applied to the result
layout(constant_id = 3) const uint ACTIVATION_GRADIENT = 0;  // multiplies by the derivative
layout(constant_id = 4) const uint MIXED = 0;  // operands are rounded to half floats
#include "half.glsl"

// Before any branch, so that there is one division and not one a store: a CPU driver divides lane by
// lane.
uint replica_number = gl_WorkGroupID.z / p.splits;
uint split_number = gl_WorkGroupID.z - replica_number * p.splits;
uint c_base = replica_number * p.c_replica + split_number * p.split_stride;

// What a kernel multiplies, of what it has read.
vec4 operand_a(vec4 value) { return operand(value, p.a_scale); }
vec4 operand_b(vec4 value) { return operand(value, 1.0); }

// Of four values, the first of which has number `first`, those before number `end`; else 0.
vec4 keep_below(vec4 value, uint first, uint end) {
    return mix(vec4(0.0), value, lessThan(first + uvec4(0, 1, 2, 3), uvec4(end)));
}

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

// Writes the gradient of bias elements 4 row4 to 4 row4 + 3, behind the partial product where K is
// split. The padding up to a whole vec4 becomes 0.
void store_bias_gradient(uint row4, vec4 value) {
    if (row4 * 4 >= p.m) return;
    if (MIXED != 0) value *= p.a_unscale;
    uint base = replica_number * p.bias_gradient_replica;
    if (p.splits > 1) base += split_number * p.split_stride + p.m * p.c_stride;
    bias_gradient[base + row4] = keep_below(value, row4 * 4, p.m);
}
