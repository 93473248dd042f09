// C = op(A) op(B) through shared memory: 64 invocations make a tile of 32 x 32, 4 x 4 each, 16 of K
// at a time. The baseline on GPUs; within the limits that every Vulkan device guarantees.
#version 450
#extension GL_GOOGLE_include_directive : require
layout(local_size_x = 64) in;
#include "activation.glsl"
#include "gemm.glsl"

layout(constant_id = 4) const uint TRANSPOSE_A = 0;  // A is [K, M]
layout(constant_id = 5) const uint TRANSPOSE_B = 0;  // B is [N, K]

const uint TILE4 = 8;     // vec4 along M and N
const uint DEPTH = 16;    // along K
const uint DEPTH4 = 4;

// [k][m / 4] and [k][n / 4]; one vec4 of padding a row spreads the banks.
shared vec4 tile_a[DEPTH * (TILE4 + 1)];
shared vec4 tile_b[DEPTH * (TILE4 + 1)];

vec4 keep_below(vec4 value, uint first, uint end) {
    return mix(vec4(0.0), value, lessThan(first + uvec4(0, 1, 2, 3), uvec4(end)));
}

// Moves a tile whose rows run along K: 128 vec4, two an invocation; outside of the matrix 0. The
// macros' own names end in _, so that no argument can mean one of them.
#define LOAD_ROWS(tile, source, base, stride, first4, columns, k0, k_end)                       \
    for (uint part_ = 0; part_ < 2; ++part_) {                                                  \
        uint item_ = part_ * 64 + gl_LocalInvocationID.x;                                       \
        uint k_ = item_ / TILE4;                                                                \
        uint column4_ = first4 + item_ % TILE4;                                                 \
        vec4 value_ = vec4(0.0);                                                                \
        if (k0 + k_ < k_end && column4_ < stride)                                               \
            value_ = source[base + (k0 + k_) * stride + column4_];                              \
        tile[k_ * (TILE4 + 1) + item_ % TILE4] = keep_below(value_, 4 * column4_, columns);     \
    }

// Moves a tile whose rows run along M or N, transposing it.
#define LOAD_COLUMNS(tile, source, base, stride, first, rows, k0, k_end)                        \
    for (uint part_ = 0; part_ < 2; ++part_) {                                                  \
        uint item_ = part_ * 64 + gl_LocalInvocationID.x;                                       \
        uint row_ = item_ / DEPTH4;                                                             \
        uint k4_ = item_ % DEPTH4;                                                              \
        vec4 value_ = vec4(0.0);                                                                \
        if (first + row_ < rows && k0 + 4 * k4_ < k_end)                                        \
            value_ = keep_below(source[base + (first + row_) * stride + k0 / 4 + k4_],          \
                                k0 + 4 * k4_, k_end);                                           \
        for (uint i_ = 0; i_ < 4; ++i_)                                                         \
            tile[(4 * k4_ + i_) * (TILE4 + 1) + row_ / 4][row_ % 4] = value_[i_];               \
    }

void main() {
    uint row4 = gl_WorkGroupID.y * TILE4;
    uint column4 = gl_WorkGroupID.x * TILE4;
    uint my_row4 = gl_LocalInvocationID.x / TILE4;
    uint my_column4 = gl_LocalInvocationID.x % TILE4;
    uint a_base = replica_number() * p.a_replica;
    uint b_base = replica_number() * p.b_replica;

    vec4 sum[4];
    for (uint i = 0; i < 4; ++i) sum[i] = vec4(0.0);
    vec4 a_sum = vec4(0.0);
    uint begin = split_number() * p.k_per_split;
    uint end = min(begin + p.k_per_split, p.k);
    for (uint k0 = begin; k0 < end; k0 += DEPTH) {
        if (TRANSPOSE_A != 0) {
            LOAD_ROWS(tile_a, a, a_base, p.a_stride, row4, p.m, k0, end)
        } else {
            LOAD_COLUMNS(tile_a, a, a_base, p.a_stride, 4 * row4, p.m, k0, end)
        }
        if (TRANSPOSE_B != 0) {
            LOAD_COLUMNS(tile_b, b, b_base, p.b_stride, 4 * column4, p.n, k0, end)
        } else {
            LOAD_ROWS(tile_b, b, b_base, p.b_stride, column4, p.n, k0, end)
        }
        barrier();
        for (uint kk = 0; kk < DEPTH; ++kk) {
            vec4 x = tile_a[kk * (TILE4 + 1) + my_row4];
            vec4 y = tile_b[kk * (TILE4 + 1) + my_column4];
            for (uint i = 0; i < 4; ++i) sum[i] = fma(vec4(x[i]), y, sum[i]);
            a_sum += x;
        }
        barrier();
    }
    for (uint i = 0; i < 4; ++i) store(4 * (row4 + my_row4) + i, column4 + my_column4, sum[i]);
    if (p.sum_a != 0 && column4 + my_column4 == 0) {
        for (uint i = 0; i < 4; ++i) store_bias_gradient(4 * (row4 + my_row4) + i, a_sum[i]);
    }
}
