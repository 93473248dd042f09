// C = A B from registers, without shared memory: an invocation makes 16 rows x 8 columns, rows of A
// are uniform over the workgroup. For CPU drivers and devices with strong caches.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#include "gemm.glsl"
#include "gemm_epilogue.glsl"
#include "gemm_register.glsl"

void main() {
    uint row0 = gl_WorkGroupID.y * ROWS;
    uint column4 = 2 * (gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x);
    uint last4 = (p.n + 3) / 4 - 1;
    uint a_base = replica_number * p.a_replica;
    uint b_left = replica_number * p.b_replica + min(column4, last4);
    uint b_right = replica_number * p.b_replica + min(column4 + 1, last4);

    vec4 left[ROWS];
    vec4 right[ROWS];
    for (uint i = 0; i < ROWS; ++i) {
        left[i] = vec4(0.0);
        right[i] = vec4(0.0);
    }
    uint begin = split_number * p.k_per_split;
    uint end = min(begin + p.k_per_split, p.k);
    uint whole = end / 4;
    for (uint k = begin / 4; k < whole; ++k) {
        vec4 l[4];
        vec4 r[4];
        for (uint kk = 0; kk < 4; ++kk) {
            l[kk] = load_b(b_left + (4 * k + kk) * p.b_stride);
            r[kk] = load_b(b_right + (4 * k + kk) * p.b_stride);
        }
        for (uint i = 0; i < ROWS; ++i) {
            vec4 x = load_a(a_base + min(row0 + i, p.m - 1) * p.a_stride + k);
            for (uint kk = 0; kk < 4; ++kk) {
                left[i] = fma(vec4(x[kk]), l[kk], left[i]);
                right[i] = fma(vec4(x[kk]), r[kk], right[i]);
            }
        }
    }
    for (uint k = 4 * whole; k < end; ++k) {
        vec4 l = load_b(b_left + k * p.b_stride);
        vec4 r = load_b(b_right + k * p.b_stride);
        for (uint i = 0; i < ROWS; ++i) {
            float x = load_a(a_base + min(row0 + i, p.m - 1) * p.a_stride + whole)[k - 4 * whole];
            left[i] = fma(vec4(x), l, left[i]);
            right[i] = fma(vec4(x), r, right[i]);
        }
    }
    vec4 bias_left = load_bias(column4);
    vec4 bias_right = load_bias(column4 + 1);
    for (uint i = 0; i < ROWS; ++i) {
        store(row0 + i, column4, left[i], bias_left);
        store(row0 + i, column4 + 1, right[i], bias_right);
    }
}
