// Interface that all GEMM kernels share: C[M, N] = op(A) op(B) (+ bias, activation, derivative).
//
//   nt: A [M, K], B [N, K]   forward of a linear layer       y = x W^T
//   nn: A [M, K], B [K, N]   gradient of its input           dx = dy W
//   tn: A [K, M], B [K, N]   gradient of its weight          dW = dy^T x, db = column sums of dy
//
// Rows are row_stride elements apart, always a multiple of 4. All strides below are in vec4.
// z = replica * splits + split; with splits > 1 every split writes its partial product to C as
// [split][M rows of C, then M bias gradients], to be summed by gemm_reduce. What becomes of a result
// stands in gemm_epilogue.glsl or gemm_update.glsl.

layout(set = 0, binding = 0, std430) readonly buffer A { vec4 a[]; };
layout(set = 0, binding = 1, std430) readonly buffer B { vec4 b[]; };

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
    // Where the product is the gradient of weights that it updates (gemm_update.glsl): between
    // replicas, in entries and in blocks.
    uint table_stride;
    uint hyperparameter_stride;
    uint slot_stride;  // vec4 between two slots of the optimizer's state
    uint bias_offset;  // vec4 from the weights to the bias that is updated, too; 0: there is none
    // gemm_gathered.glsl: x = byte / 255 * byte_scale + byte_shift; places between two replicas.
    float byte_scale;
    float byte_shift;
    uint places_replica;
} p;

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
