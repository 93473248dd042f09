// C = op(A) op(B) on the device's matrix units (cooperative matrices), in mixed precision: a workgroup
// makes TILE_M x TILE_N results, DEPTH of K at a time. The operands go through shared memory as half
// floats, laid out as they are in memory; each subgroup makes its share of the tile in matrices of
// MATRIX_M x MATRIX_N. The driver rounds to half floats.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_cooperative_matrix : require
#pragma use_vulkan_memory_model
#include "common.glsl"
#include "activation.glsl"
#include "gemm.glsl"
#include "gemm_epilogue.glsl"

layout(constant_id = 5) const uint TRANSPOSE_A = 0;  // A is [K, M]
layout(constant_id = 6) const uint TRANSPOSE_B = 0;  // B is [N, K]
layout(constant_id = 7) const uint TILE_M = 64;
layout(constant_id = 8) const uint TILE_N = 64;
layout(constant_id = 9) const uint SUBGROUPS_M = 2;
layout(constant_id = 10) const uint SUBGROUPS_N = 2;
layout(constant_id = 11) const uint DEPTH = 32;
layout(constant_id = 12) const uint ALIGNED = 0;  // the tiles cover M, N and K without remainder
layout(constant_id = 13) const uint MATRIX_M = 16;
layout(constant_id = 14) const uint MATRIX_N = 16;
layout(constant_id = 15) const uint MATRIX_K = 16;
layout(constant_id = 16) const uint THREADS = 128;  // the size of the workgroup
#include "gemm_operand.glsl"

const uint MATRICES_M = TILE_M / SUBGROUPS_M / MATRIX_M;  // of a subgroup
const uint MATRICES_N = TILE_N / SUBGROUPS_N / MATRIX_N;
// vec4 that an invocation moves of a tile.
const uint MOVES_A = TILE_M * DEPTH / 4 / THREADS;
const uint MOVES_B = TILE_N * DEPTH / 4 / THREADS;
// Rows in shared memory, in f16vec4: along K where the operand is, else along M or N. 16 bytes of
// padding spread the banks and keep rows where matrices may begin.
const uint ROW_A = (TRANSPOSE_A != 0 ? TILE_M : DEPTH) / 4 + 2;
const uint ROW_B = (TRANSPOSE_B != 0 ? DEPTH : TILE_N) / 4 + 2;
const uint ROWS_A = TRANSPOSE_A != 0 ? DEPTH : TILE_M;
const uint ROWS_B = TRANSPOSE_B != 0 ? TILE_N : DEPTH;
const uint MATRIX4 = MATRIX_M * MATRIX_N / 4;
const uint LINES4 = TILE_M / 4;

shared f16vec4 tile_a[ROWS_A * ROW_A];
shared f16vec4 tile_b[ROWS_B * ROW_B];
shared vec4 results[SUBGROUPS_M * SUBGROUPS_N * MATRIX4];  // a matrix of each subgroup
shared vec4 a_sums[THREADS];

// As in half.glsl, but for the rounding.
f16vec4 half_of(vec4 value) {
    vec4 limited = clamp(value, vec4(-65504.0), vec4(65504.0));
    return f16vec4(mix(value, limited, lessThanEqual(abs(value), vec4(3.4028235e38))));
}

uint place_a(uint item) {
    return TRANSPOSE_A != 0 ? item / LINES4 * ROW_A + item % LINES4
                            : item / (DEPTH / 4) * ROW_A + item % (DEPTH / 4);
}

uint place_b(uint item) {
    return TRANSPOSE_B != 0 ? item / (DEPTH / 4) * ROW_B + item % (DEPTH / 4)
                            : item / (TILE_N / 4) * ROW_B + item % (TILE_N / 4);
}

void main() {
    uint thread = gl_LocalInvocationID.x;
    uint row4 = gl_WorkGroupID.y * (TILE_M / 4);
    uint column4 = gl_WorkGroupID.x * (TILE_N / 4);
    const Operand left = Operand(true, TRANSPOSE_A == 0, replica_number * p.a_replica, p.a_stride,
                                 p.m, 4 * row4);
    const Operand right = Operand(false, TRANSPOSE_B != 0, replica_number * p.b_replica,
                                  p.b_stride, p.n, 4 * column4);
    // Of the subgroup's matrices within the tile.
    uint first_row = gl_SubgroupID / SUBGROUPS_N * MATRICES_M * MATRIX_M;
    uint first_column = gl_SubgroupID % SUBGROUPS_N * MATRICES_N * MATRIX_N;

    coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>
        sum[MATRICES_M * MATRICES_N];
    [[unroll]] for (uint i = 0; i < MATRICES_M * MATRICES_N; ++i)
        sum[i] = coopmat<float, gl_ScopeSubgroup, MATRIX_M, MATRIX_N, gl_MatrixUseAccumulator>(0.0);
    bool sum_a = TRANSPOSE_A != 0 && p.sum_a != 0 && gl_WorkGroupID.x == 0;
    vec4 a_sum = vec4(0.0);  // of the four lines that an invocation moves
    vec4 next_a[MOVES_A];
    vec4 next_b[MOVES_B];
    uint end = min((split_number + 1) * p.k_per_split, p.k);
    bool first = true;
    // One turn more than there are tiles: a turn moves the next tile and multiplies the present one.
    for (uint k0 = split_number * p.k_per_split;; k0 += DEPTH) {
        bool more = k0 < end;
        [[unroll]] for (uint i = 0; i < MOVES_A; ++i) {
            if (more) next_a[i] = fetch(left, TILE_M, i * THREADS + thread, k0, end);
        }
        [[unroll]] for (uint i = 0; i < MOVES_B; ++i) {
            if (more) next_b[i] = fetch(right, TILE_N, i * THREADS + thread, k0, end);
        }
        if (!first) {
            [[unroll]] for (uint k = 0; k < DEPTH; k += MATRIX_K) {
                coopmat<float16_t, gl_ScopeSubgroup, MATRIX_M, MATRIX_K, gl_MatrixUseA> x[MATRICES_M];
                [[unroll]] for (uint i = 0; i < MATRICES_M; ++i) {
                    uint line = first_row + i * MATRIX_M;
                    if (TRANSPOSE_A != 0) {
                        coopMatLoad(x[i], tile_a, k * ROW_A + line / 4, ROW_A,
                                    gl_CooperativeMatrixLayoutColumnMajor);
                    } else {
                        coopMatLoad(x[i], tile_a, line * ROW_A + k / 4, ROW_A,
                                    gl_CooperativeMatrixLayoutRowMajor);
                    }
                }
                [[unroll]] for (uint j = 0; j < MATRICES_N; ++j) {
                    uint line = first_column + j * MATRIX_N;
                    coopmat<float16_t, gl_ScopeSubgroup, MATRIX_K, MATRIX_N, gl_MatrixUseB> y;
                    if (TRANSPOSE_B != 0) {
                        coopMatLoad(y, tile_b, line * ROW_B + k / 4, ROW_B,
                                    gl_CooperativeMatrixLayoutColumnMajor);
                    } else {
                        coopMatLoad(y, tile_b, k * ROW_B + line / 4, ROW_B,
                                    gl_CooperativeMatrixLayoutRowMajor);
                    }
                    [[unroll]] for (uint i = 0; i < MATRICES_M; ++i)
                        sum[i * MATRICES_N + j] = coopMatMulAdd(x[i], y, sum[i * MATRICES_N + j]);
                }
            }
        }
        if (!more) break;
        barrier();  // all have multiplied what is replaced now
        [[unroll]] for (uint i = 0; i < MOVES_A; ++i) {
            tile_a[place_a(i * THREADS + thread)] = half_of(next_a[i] * p.a_scale);
            // Not from the half floats: Mesa turns the two conversions into none.
            if (sum_a) a_sum += operand_a(next_a[i]);
        }
        [[unroll]] for (uint i = 0; i < MOVES_B; ++i)
            tile_b[place_b(i * THREADS + thread)] = half_of(next_b[i]);
        barrier();
        first = false;
    }
    // Through shared memory, because nobody knows which lane holds which element of a matrix.
    [[unroll]] for (uint i = 0; i < MATRICES_M; ++i) {
        [[unroll]] for (uint j = 0; j < MATRICES_N; ++j) {
            barrier();
            coopMatStore(sum[i * MATRICES_N + j], results, gl_SubgroupID * MATRIX4, MATRIX_N / 4,
                         gl_CooperativeMatrixLayoutRowMajor);
            barrier();
            for (uint e = gl_SubgroupInvocationID; e < MATRIX4; e += gl_SubgroupSize) {
                uint row = 4 * row4 + first_row + i * MATRIX_M + e / (MATRIX_N / 4);
                uint own_column4 =
                    column4 + (first_column + j * MATRIX_N) / 4 + e % (MATRIX_N / 4);
                store(row, own_column4, results[gl_SubgroupID * MATRIX4 + e],
                      load_bias(own_column4));
            }
        }
    }
    // An invocation has moved the same four lines in every turn, every LINES4th one those lines.
    if (sum_a) {
        a_sums[thread] = a_sum;
        barrier();
        if (thread < LINES4) {
            vec4 total = vec4(0.0);
            for (uint other = thread; other < THREADS; other += LINES4) total += a_sums[other];
            store_bias_gradient(row4 + thread, total);
        }
    }
}
