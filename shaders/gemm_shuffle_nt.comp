// C = A B^T in register tiles; see gemm_shuffle.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#include "gemm.glsl"
#include "gemm_shuffle.glsl"

// Four rows of B at four steps of K, as one vec4 a step.
mat4 columns_of(uint row0, uint row1, uint row2, uint row3) {
    return transpose(mat4(load_b(row0), load_b(row1), load_b(row2), load_b(row3)));
}

void main() {
    uint a_row[LOADS];
    [[unroll]] for (uint j = 0; j < LOADS; ++j) {
        uint row = min(first_row() + j * LANES + lane(), p.m - 1);
        a_row[j] = replica_number() * p.a_replica + row * p.a_stride;
    }
    uint b_row[8];
    [[unroll]] for (uint j = 0; j < 8; ++j) {
        uint row = min(first_column4() * 4 + j, p.n - 1);
        b_row[j] = replica_number() * p.b_replica + row * p.b_stride;
    }
    clear_sums();
    // Padding of A's rows is finite and that of B's is zero, so whole vec4 of K are right also where
    // K is no multiple of 4.
    for (uint k4 = 0; k4 < p.a_stride; ++k4) {
        mat4 l = columns_of(b_row[0] + k4, b_row[1] + k4, b_row[2] + k4, b_row[3] + k4);
        mat4 r = columns_of(b_row[4] + k4, b_row[5] + k4, b_row[6] + k4, b_row[7] + k4);
        vec4 mine[LOADS];
        [[unroll]] for (uint j = 0; j < LOADS; ++j) mine[j] = load_a(a_row[j] + k4);
        [[unroll]] for (uint i = 0; i < ROWS; ++i) {
            vec4 x = subgroupShuffle(mine[i / LANES], i % LANES);
            [[unroll]] for (uint kk = 0; kk < 4; ++kk) {
                left[i] = fma(vec4(x[kk]), l[kk], left[i]);
                right[i] = fma(vec4(x[kk]), r[kk], right[i]);
            }
        }
    }
    store_sums();
}
