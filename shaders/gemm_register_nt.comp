// C = A B^T from registers, without shared memory: an invocation makes 8 rows x 4 columns, rows of
// A are uniform over the workgroup. For CPU drivers and devices with strong caches.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "activation.glsl"
#include "gemm.glsl"
layout(local_size_x_id = 0) in;

const uint ROWS = 8;

void main() {
    uint row0 = gl_WorkGroupID.y * ROWS;
    uint column4 = gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x;
    uint a_row[ROWS];
    for (uint i = 0; i < ROWS; ++i)
        a_row[i] = replica_number() * p.a_replica + min(row0 + i, p.m - 1) * p.a_stride;
    uint b_row[4];
    for (uint j = 0; j < 4; ++j)
        b_row[j] = replica_number() * p.b_replica + min(column4 * 4 + j, p.n - 1) * p.b_stride;

    vec4 sum[ROWS];
    for (uint i = 0; i < ROWS; ++i) sum[i] = vec4(0.0);
    // Padding of B's rows is zero, so whole vec4 of K are right also where K is no multiple of 4.
    for (uint k = 0; k < p.a_stride; ++k) {
        vec4 b0 = b[b_row[0] + k];
        vec4 b1 = b[b_row[1] + k];
        vec4 b2 = b[b_row[2] + k];
        vec4 b3 = b[b_row[3] + k];
        for (uint i = 0; i < ROWS; ++i) {
            vec4 x = a[a_row[i] + k];
            sum[i] = fma(vec4(x.x), vec4(b0.x, b1.x, b2.x, b3.x), sum[i]);
            sum[i] = fma(vec4(x.y), vec4(b0.y, b1.y, b2.y, b3.y), sum[i]);
            sum[i] = fma(vec4(x.z), vec4(b0.z, b1.z, b2.z, b3.z), sum[i]);
            sum[i] = fma(vec4(x.w), vec4(b0.w, b1.w, b2.w, b3.w), sum[i]);
        }
    }
    for (uint i = 0; i < ROWS; ++i) store(row0 + i, column4, sum[i]);
}
