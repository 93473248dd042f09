// C = A B from registers, without shared memory: an invocation makes 8 rows x 8 columns, rows of A
// are uniform over the workgroup. For CPU drivers and devices with strong caches.
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
    uint a_row[ROWS];
    for (uint i = 0; i < ROWS; ++i)
        a_row[i] = replica_number() * p.a_replica + min(row0 + i, p.m - 1) * p.a_stride;

    vec4 left[ROWS];
    vec4 right[ROWS];
    for (uint i = 0; i < ROWS; ++i) {
        left[i] = vec4(0.0);
        right[i] = vec4(0.0);
    }
    uint whole = p.k / 4;
    for (uint k = 0; k < whole; ++k) {
        vec4 x[ROWS];
        for (uint i = 0; i < ROWS; ++i) x[i] = a[a_row[i] + k];
        for (uint kk = 0; kk < 4; ++kk) {
            vec4 b0 = b[b_left + (4 * k + kk) * p.b_stride];
            vec4 b1 = b[b_right + (4 * k + kk) * p.b_stride];
            for (uint i = 0; i < ROWS; ++i) {
                left[i] = fma(vec4(x[i][kk]), b0, left[i]);
                right[i] = fma(vec4(x[i][kk]), b1, right[i]);
            }
        }
    }
    for (uint k = 4 * whole; k < p.k; ++k) {
        vec4 b0 = b[b_left + k * p.b_stride];
        vec4 b1 = b[b_right + k * p.b_stride];
        for (uint i = 0; i < ROWS; ++i) {
            float x = a[a_row[i] + whole][k - 4 * whole];
            left[i] = fma(vec4(x), b0, left[i]);
            right[i] = fma(vec4(x), b1, right[i]);
        }
    }
    for (uint i = 0; i < ROWS; ++i) {
        store(row0 + i, column4, left[i]);
        store(row0 + i, column4 + 1, right[i]);
    }
}
