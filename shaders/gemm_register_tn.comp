// C = A^T B from registers, without shared memory: an invocation makes 8 rows x 8 columns, A is
// uniform over the workgroup. Optionally sums the columns of A (the bias gradient). For CPU drivers
// and devices with strong caches.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "activation.glsl"
#include "gemm.glsl"
layout(local_size_x_id = 0) in;

const uint ROWS = 8;

void main() {
    uint row0 = gl_WorkGroupID.y * ROWS;
    uint column4 = 2 * (gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x);
    uint last4 = (p.n + 3) / 4 - 1;
    uint b_base = replica_number() * p.b_replica;
    uint b_left = b_base + min(column4, last4);
    uint b_right = b_base + min(column4 + 1, last4);
    uint a_base = replica_number() * p.a_replica;
    uint a_top = a_base + row0 / 4;
    uint a_bottom = a_base + min(row0 / 4 + 1, p.a_stride - 1);

    vec4 left[ROWS];
    vec4 right[ROWS];
    for (uint i = 0; i < ROWS; ++i) {
        left[i] = vec4(0.0);
        right[i] = vec4(0.0);
    }
    vec4 top_sum = vec4(0.0);
    vec4 bottom_sum = vec4(0.0);
    uint begin = split_number() * p.k_per_split;
    uint end = min(begin + p.k_per_split, p.k);
    for (uint k = begin; k < end; ++k) {
        vec4 top = a[a_top + k * p.a_stride];
        vec4 bottom = a[a_bottom + k * p.a_stride];
        vec4 b0 = b[b_left + k * p.b_stride];
        vec4 b1 = b[b_right + k * p.b_stride];
        for (uint i = 0; i < 4; ++i) {
            left[i] = fma(vec4(top[i]), b0, left[i]);
            right[i] = fma(vec4(top[i]), b1, right[i]);
            left[i + 4] = fma(vec4(bottom[i]), b0, left[i + 4]);
            right[i + 4] = fma(vec4(bottom[i]), b1, right[i + 4]);
        }
        if (SUM_A != 0) {
            top_sum += top;
            bottom_sum += bottom;
        }
    }
    for (uint i = 0; i < ROWS; ++i) {
        store(row0 + i, column4, left[i]);
        store(row0 + i, column4 + 1, right[i]);
    }
    if (SUM_A != 0 && column4 == 0) {
        for (uint i = 0; i < 4; ++i) {
            store_bias_gradient(row0 + i, top_sum[i]);
            store_bias_gradient(row0 + 4 + i, bottom_sum[i]);
        }
    }
}
