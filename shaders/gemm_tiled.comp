// C = op(A) op(B) through shared memory: a workgroup makes TILE_M x TILE_N results, DEPTH of K at a
// time; an invocation makes RESULTS_M x RESULTS_N of them in blocks of 4 x 4. Two tiles of each
// operand: while one is multiplied, the next is on its way from memory. For GPUs.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "activation.glsl"
#include "gemm.glsl"
#include "gemm_epilogue.glsl"

layout(constant_id = 5) const uint TRANSPOSE_A = 0;  // A is [K, M]
layout(constant_id = 6) const uint TRANSPOSE_B = 0;  // B is [N, K]
layout(constant_id = 7) const uint TILE_M = 32;
layout(constant_id = 8) const uint TILE_N = 32;
layout(constant_id = 9) const uint RESULTS_M = 4;  // 4 or 8
layout(constant_id = 10) const uint RESULTS_N = 4;
layout(constant_id = 11) const uint DEPTH = 16;   // a multiple of 4
layout(constant_id = 12) const uint ALIGNED = 0;  // the tiles cover M, N and K without remainder
#include "gemm_operand.glsl"

const uint THREADS_M = TILE_M / RESULTS_M;
const uint THREADS_N = TILE_N / RESULTS_N;
const uint THREADS = THREADS_M * THREADS_N;  // the size of the workgroup
const uint BLOCKS_M = RESULTS_M / 4;
const uint BLOCKS_N = RESULTS_N / 4;
// One vec4 of padding a row spreads the banks.
const uint ROW_A = TILE_M / 4 + 1;
const uint ROW_B = TILE_N / 4 + 1;
// vec4 that an invocation moves of a tile.
const uint MOVES_A = TILE_M * DEPTH / 4 / THREADS;
const uint MOVES_B = TILE_N * DEPTH / 4 / THREADS;

// [slot][k][m / 4] and [slot][k][n / 4], two slots.
shared vec4 tile_a[2 * DEPTH * ROW_A];
shared vec4 tile_b[2 * DEPTH * ROW_B];

// Puts it into shared memory as [k][line], so that a product reads four lines at once.
#define STAGE(shared_tile, row, o, tile, item, slot, value)                                 \
    if (o.along_k) {                                                                          \
        uint line_ = item / (DEPTH / 4);                                                      \
        uint k_ = slot * DEPTH + 4 * (item % (DEPTH / 4));                                  \
        [[unroll]] for (uint i_ = 0; i_ < 4; ++i_)                                            \
            shared_tile[(k_ + i_) * row + line_ / 4][line_ % 4] = value[i_];                  \
    } else {                                                                                  \
        shared_tile[(slot * DEPTH + item / (tile / 4)) * row + item % (tile / 4)] = value;  \
    }

void main() {
    uint thread = gl_LocalInvocationID.x;
    uint my_row4 = thread / THREADS_N;
    uint my_column4 = thread % THREADS_N;
    uint row4 = gl_WorkGroupID.y * (TILE_M / 4);
    uint column4 = gl_WorkGroupID.x * (TILE_N / 4);
    const Operand left = Operand(true, TRANSPOSE_A == 0, replica_number * p.a_replica, p.a_stride,
                                 p.m, 4 * row4);
    const Operand right = Operand(false, TRANSPOSE_B != 0, replica_number * p.b_replica,
                                  p.b_stride, p.n, 4 * column4);
    bool sum_a = TRANSPOSE_A != 0 && p.sum_a != 0 && gl_WorkGroupID.x == 0;

    vec4 sum[RESULTS_M * BLOCKS_N];
    vec4 a_sum[BLOCKS_M];
    vec4 next_a[MOVES_A];
    vec4 next_b[MOVES_B];
    [[unroll]] for (uint i = 0; i < RESULTS_M * BLOCKS_N; ++i) sum[i] = vec4(0.0);
    [[unroll]] for (uint i = 0; i < BLOCKS_M; ++i) a_sum[i] = vec4(0.0);
    uint end = min((split_number + 1) * p.k_per_split, p.k);
    uint k0 = split_number * p.k_per_split;
    uint slot = 0;
    bool first = true;
    // One turn more than there are tiles: a turn moves the next tile and multiplies the present one.
    for (;; k0 += DEPTH) {
        bool more = k0 < end;
        [[unroll]] for (uint i = 0; i < MOVES_A; ++i) {
            if (more) next_a[i] = fetch(left, TILE_M, i * THREADS + thread, k0, end);
        }
        [[unroll]] for (uint i = 0; i < MOVES_B; ++i) {
            if (more) next_b[i] = fetch(right, TILE_N, i * THREADS + thread, k0, end);
        }
        if (!first) {
            for (uint k = 0; k < DEPTH; ++k) {
                uint at = (1 - slot) * DEPTH + k;
                vec4 x[BLOCKS_M];
                vec4 y[BLOCKS_N];
                [[unroll]] for (uint i = 0; i < BLOCKS_M; ++i)
                    x[i] = tile_a[at * ROW_A + my_row4 + i * THREADS_M];
                [[unroll]] for (uint j = 0; j < BLOCKS_N; ++j)
                    y[j] = tile_b[at * ROW_B + my_column4 + j * THREADS_N];
                [[unroll]] for (uint i = 0; i < RESULTS_M; ++i) {
                    [[unroll]] for (uint j = 0; j < BLOCKS_N; ++j)
                        sum[i * BLOCKS_N + j] =
                            fma(vec4(x[i / 4][i % 4]), y[j], sum[i * BLOCKS_N + j]);
                }
                if (sum_a) {
                    [[unroll]] for (uint i = 0; i < BLOCKS_M; ++i) a_sum[i] += x[i];
                }
            }
        }
        if (!more) break;
        // This slot was last read before the barrier of the turn before.
        [[unroll]] for (uint i = 0; i < MOVES_A; ++i) {
            uint item = i * THREADS + thread;
            vec4 value = operand_a(next_a[i]);
            STAGE(tile_a, ROW_A, left, TILE_M, item, slot, value)
        }
        [[unroll]] for (uint i = 0; i < MOVES_B; ++i) {
            uint item = i * THREADS + thread;
            vec4 value = operand_b(next_b[i]);
            STAGE(tile_b, ROW_B, right, TILE_N, item, slot, value)
        }
        barrier();
        slot = 1 - slot;
        first = false;
    }
    [[unroll]] for (uint j = 0; j < BLOCKS_N; ++j) {
        uint own_column4 = column4 + my_column4 + j * THREADS_N;
        vec4 column_bias = load_bias(own_column4);
        [[unroll]] for (uint i = 0; i < RESULTS_M; ++i) {
            uint row = 4 * (row4 + my_row4 + i / 4 * THREADS_M) + i % 4;
            store(row, own_column4, sum[i * BLOCKS_N + j], column_bias);
        }
    }
    if (sum_a && my_column4 == 0) {
        [[unroll]] for (uint i4 = 0; i4 < BLOCKS_M; ++i4)
            store_bias_gradient(row4 + my_row4 + i4 * THREADS_M, a_sum[i4]);
    }
}
