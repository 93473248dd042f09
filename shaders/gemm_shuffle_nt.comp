// C = A B^T in register tiles; see gemm_shuffle.glsl. TRANSPOSED tiles have the lanes' side along M:
// an invocation makes 8 rows x ROWS columns, which wastes less where N is no multiple of 64 (a
// layer's outputs) and M is (a batch). Sums have the same order either way.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#define TEXELS
#include "gemm.glsl"
#include "gemm_epilogue.glsl"
#include "gemm_shuffle.glsl"

layout(constant_id = 6) const bool TRANSPOSED = false;

// A vec4 of the operand that the lanes share, and of that in which each has 8 rows of its own.
vec4 load_shared(uint i) { return TRANSPOSED ? load_b(i) : load_a(i); }
vec4 load_own(uint i) { return TRANSPOSED ? load_a(i) : load_b(i); }

uint a_row(uint row) { return replica_number * p.a_replica + min(row, p.m - 1) * p.a_stride; }
uint b_row(uint row) { return replica_number * p.b_replica + min(row, p.n - 1) * p.b_stride; }
uint shared_row(uint row) { return TRANSPOSED ? b_row(row) : a_row(row); }
uint own_row(uint row) { return TRANSPOSED ? a_row(row) : b_row(row); }

// Four own rows at four steps of K, as one vec4 a step.
mat4 columns_of(uint row0, uint row1, uint row2, uint row3) {
    return transpose(mat4(load_own(row0), load_own(row1), load_own(row2), load_own(row3)));
}

// Four columns of C are four rows of sums, of which each component is a row of C.
void store_transposed_sums() {
    uint row = first_own4() * 4;
    [[unroll]] for (uint i4 = 0; i4 < ROWS / 4; ++i4) {
        mat4 l = transpose(mat4(left[4 * i4], left[4 * i4 + 1], left[4 * i4 + 2], left[4 * i4 + 3]));
        mat4 r = transpose(mat4(right[4 * i4], right[4 * i4 + 1], right[4 * i4 + 2], right[4 * i4 + 3]));
        uint column4 = first_shared() / 4 + i4;
        vec4 column_bias = load_bias(column4);
        [[unroll]] for (uint j = 0; j < 4; ++j) {
            store(row + j, column4, l[j], column_bias);
            store(row + 4 + j, column4, r[j], column_bias);
        }
    }
}

void main() {
    uint rows[LOADS];
    [[unroll]] for (uint j = 0; j < LOADS; ++j) rows[j] = shared_row(first_shared() + j * LANES + lane());
    uint own[8];
    [[unroll]] for (uint j = 0; j < 8; ++j) own[j] = own_row(first_own4() * 4 + j);
    clear_sums();
    // Padding of A's rows is finite and that of B's is zero, so whole vec4 of K are right also where
    // K is no multiple of 4.
    uint begin4 = split_number * p.k_per_split / 4;
    uint end4 = min(begin4 + p.k_per_split / 4, p.a_stride);
    for (uint k4 = begin4; k4 < end4; ++k4) {
        mat4 l = columns_of(own[0] + k4, own[1] + k4, own[2] + k4, own[3] + k4);
        mat4 r = columns_of(own[4] + k4, own[5] + k4, own[6] + k4, own[7] + k4);
        vec4 mine[LOADS];
        [[unroll]] for (uint j = 0; j < LOADS; ++j) mine[j] = load_shared(rows[j] + k4);
        [[unroll]] for (uint i = 0; i < ROWS; ++i) {
            vec4 x = subgroupShuffle(mine[i / LANES], i % LANES);
            [[unroll]] for (uint kk = 0; kk < 4; ++kk) {
                left[i] = fma(vec4(x[kk]), l[kk], left[i]);
                right[i] = fma(vec4(x[kk]), r[kk], right[i]);
            }
        }
    }
    if (TRANSPOSED) {
        store_transposed_sums();
    } else {
        store_sums();
    }
}
