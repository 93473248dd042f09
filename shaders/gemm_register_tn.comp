// C = A^T B from registers, without shared memory: an invocation makes 16 rows x 8 columns, A is
// uniform over the workgroup. Optionally sums the columns of A (the bias gradient). For CPU drivers
// and devices with strong caches.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#include "gemm.glsl"
#include "gemm_epilogue.glsl"
#include "gemm_register.glsl"

const uint ROWS4 = ROWS / 4;

void main() {
    uint row0 = gl_WorkGroupID.y * ROWS;
    uint column4 = 2 * (gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x);
    uint last4 = (p.n + 3) / 4 - 1;
    uint a_base = replica_number * p.a_replica;
    uint b_left = replica_number * p.b_replica + min(column4, last4);
    uint b_right = replica_number * p.b_replica + min(column4 + 1, last4);

    vec4 left[ROWS];
    vec4 right[ROWS];
    vec4 a_sum[ROWS4];
    for (uint i = 0; i < ROWS; ++i) {
        left[i] = vec4(0.0);
        right[i] = vec4(0.0);
    }
    for (uint i = 0; i < ROWS4; ++i) a_sum[i] = vec4(0.0);
    uint begin = split_number * p.k_per_split;
    uint end = min(begin + p.k_per_split, p.k);
    uint k = begin;
    // Four steps of K at a time: a sum stays in a register for four products.
    for (; k + 4 <= end; k += 4) {
        vec4 l[4];
        vec4 r[4];
        for (uint kk = 0; kk < 4; ++kk) {
            l[kk] = load_b(b_left + (k + kk) * p.b_stride);
            r[kk] = load_b(b_right + (k + kk) * p.b_stride);
        }
        for (uint i4 = 0; i4 < ROWS4; ++i4) {
            vec4 x[4];
            for (uint kk = 0; kk < 4; ++kk) {
                x[kk] = load_a(a_base + (k + kk) * p.a_stride + min(row0 / 4 + i4, p.a_stride - 1));
                a_sum[i4] += x[kk];
            }
            for (uint i = 0; i < 4; ++i) {
                for (uint kk = 0; kk < 4; ++kk) {
                    left[4 * i4 + i] = fma(vec4(x[kk][i]), l[kk], left[4 * i4 + i]);
                    right[4 * i4 + i] = fma(vec4(x[kk][i]), r[kk], right[4 * i4 + i]);
                }
            }
        }
    }
    for (; k < end; ++k) {
        vec4 l = load_b(b_left + k * p.b_stride);
        vec4 r = load_b(b_right + k * p.b_stride);
        for (uint i4 = 0; i4 < ROWS4; ++i4) {
            vec4 x = load_a(a_base + k * p.a_stride + min(row0 / 4 + i4, p.a_stride - 1));
            a_sum[i4] += x;
            for (uint i = 0; i < 4; ++i) {
                left[4 * i4 + i] = fma(vec4(x[i]), l, left[4 * i4 + i]);
                right[4 * i4 + i] = fma(vec4(x[i]), r, right[4 * i4 + i]);
            }
        }
    }
    vec4 bias_left = load_bias(column4);
    vec4 bias_right = load_bias(column4 + 1);
    for (uint i = 0; i < ROWS; ++i) {
        store(row0 + i, column4, left[i], bias_left);
        store(row0 + i, column4 + 1, right[i], bias_right);
    }
    if (p.sum_a != 0 && column4 == 0) {
        for (uint i4 = 0; i4 < ROWS4; ++i4) store_bias_gradient(row0 / 4 + i4, a_sum[i4]);
    }
}
