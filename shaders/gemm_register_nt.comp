// C = A B^T from registers, without shared memory: an invocation makes 16 rows x 8 columns, rows of
// A are uniform over the workgroup. For CPU drivers and devices with strong caches.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#include "gemm.glsl"
#include "gemm_epilogue.glsl"
#include "gemm_register.glsl"

uint b_row(uint column) { return replica_number * p.b_replica + min(column, p.n - 1) * p.b_stride; }

// Four rows of B at four steps of K, as one vec4 a step.
mat4 columns_of(uint row0, uint row1, uint row2, uint row3) {
    return transpose(mat4(load_b(row0), load_b(row1), load_b(row2), load_b(row3)));
}

void main() {
    uint row0 = gl_WorkGroupID.y * ROWS;
    uint column4 = 2 * (gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x);
    uint a_base = replica_number * p.a_replica;
    uint b_base[8];
    for (uint j = 0; j < 8; ++j) b_base[j] = b_row(column4 * 4 + j);

    vec4 left[ROWS];
    vec4 right[ROWS];
    for (uint i = 0; i < ROWS; ++i) {
        left[i] = vec4(0.0);
        right[i] = vec4(0.0);
    }
    // Padding of B's rows is zero, so whole vec4 of K are right also where K is no multiple of 4.
    uint begin4 = split_number * p.k_per_split / 4;
    uint end4 = min(begin4 + p.k_per_split / 4, p.a_stride);
    for (uint k = begin4; k < end4; ++k) {
        mat4 l = columns_of(b_base[0] + k, b_base[1] + k, b_base[2] + k, b_base[3] + k);
        mat4 r = columns_of(b_base[4] + k, b_base[5] + k, b_base[6] + k, b_base[7] + k);
        for (uint i = 0; i < ROWS; ++i) {
            vec4 x = load_a(a_base + min(row0 + i, p.m - 1) * p.a_stride + k);
            for (uint kk = 0; kk < 4; ++kk) {
                left[i] = fma(vec4(x[kk]), l[kk], left[i]);
                right[i] = fma(vec4(x[kk]), r[kk], right[i]);
            }
        }
    }
    vec4 bias_left = load_bias(column4);
    vec4 bias_right = load_bias(column4 + 1);
    for (uint i = 0; i < ROWS; ++i) {
        store(row0 + i, column4, left[i], bias_left);
        store(row0 + i, column4 + 1, right[i], bias_right);
    }
}
