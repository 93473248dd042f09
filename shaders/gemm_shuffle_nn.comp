// C = A B in register tiles; see gemm_shuffle.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#define TEXELS
#include "gemm.glsl"
#include "gemm_epilogue.glsl"
#include "gemm_shuffle.glsl"

void main() {
    uint last4 = (p.n + 3) / 4 - 1;
    uint b_base = replica_number * p.b_replica;
    uint b_left = b_base + min(first_own4(), last4);
    uint b_right = b_base + min(first_own4() + 1, last4);
    uint a_row[LOADS];
    [[unroll]] for (uint j = 0; j < LOADS; ++j) {
        uint row = min(first_shared() + j * LANES + lane(), p.m - 1);
        a_row[j] = replica_number * p.a_replica + row * p.a_stride;
    }
    uint begin = split_number * p.k_per_split;
    uint end = min(begin + p.k_per_split, p.k);
    clear_sums();
    for (uint k = begin; k < end; k += 4) {
        vec4 l[4];
        vec4 r[4];
        [[unroll]] for (uint kk = 0; kk < 4; ++kk) {
            uint b_row = min(k + kk, end - 1) * p.b_stride;
            l[kk] = load_b(b_left + b_row);
            r[kk] = load_b(b_right + b_row);
        }
        vec4 mine[LOADS];
        [[unroll]] for (uint j = 0; j < LOADS; ++j) mine[j] = keep_below(load_a(a_row[j] + k / 4), k, end);
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
