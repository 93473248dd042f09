// Weight gradient of a convolution, and where asked the bias gradient (the sums of dy), through
// shared memory; see conv2d_tiled.glsl. With several splits each writes its partial sums
// [out channels][weight row], then the bias gradient, to be added by gemm_reduce.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "conv2d_tiled.glsl"

layout(set = 0, binding = 0, std430) readonly buffer OutGradient { float dy[]; };
layout(set = 0, binding = 1, std430) readonly buffer X { float x[]; };
layout(set = 0, binding = 2, std430) writeonly buffer WeightGradient { vec4 dweight[]; };
layout(set = 0, binding = 3, std430) writeonly buffer BiasGradient { float dbias[]; };

// An invocation gathers one output pixel for every row number THREADS / DEPTH of both operands.
void load_pixel(uint pixel, bool exists) {
    uint out_plane = p.out_height * p.out_width;
    uint in_plane = p.in_height * p.in_width;
    uint image = pixel / out_plane;
    uint rest = pixel % out_plane;
    int h0 = int(rest / p.out_width * STRIDE_HEIGHT) - int(PADDING_TOP);
    int w0 = int(rest % p.out_width * STRIDE_WIDTH) - int(PADDING_LEFT);
    uint out_base = replica_number() * p.out_replica + image * p.out_row +
                    tile_group() * p.out_channels * out_plane + rest;
    uint in_base = replica_number() * p.in_replica + image * p.in_row +
                   tile_group() * p.in_channels * in_plane;
    [[unroll]] for (uint part = 0; part < TILE_M * DEPTH / THREADS; ++part) {
        uint offset = part * (THREADS / DEPTH) + lane() / DEPTH;
        uint row = tile_row() + offset;
        float value = 0.0;
        if (exists && row < p.m) value = dy[out_base + row * out_plane];
        put_a(lane() % DEPTH, offset, operand(value, p.scale));
    }
    [[unroll]] for (uint part = 0; part < TILE_N * DEPTH / THREADS; ++part) {
        uint offset = part * (THREADS / DEPTH) + lane() / DEPTH;
        uint column = tile_column() + offset;
        int h = h0 + int(column % TAPS / KERNEL_WIDTH * DILATION_HEIGHT);
        int w = w0 + int(column % KERNEL_WIDTH * DILATION_WIDTH);
        float value = 0.0;
        if (exists && column < p.n && h >= 0 && h < int(p.in_height) && w >= 0 &&
            w < int(p.in_width))
            value = x[in_base + column / TAPS * in_plane + uint(h) * p.in_width + uint(w)];
        put_b(lane() % DEPTH, offset, operand(value, 1.0));
    }
}

// Columns past N become 0, because the padding of gradients is.
void store_weights(uint row, uint column, vec4 value) {
    if (row >= p.m || column >= p.n) return;
    if (MIXED != 0) value *= p.unscale;
    uint base = replica_number() * p.weight_replica + split_number() * p.split_stride +
                (tile_group() * p.m + row) * p.weight_row + column;
    dweight[base / 4] = mix(vec4(0.0), value, lessThan(column + uvec4(0, 1, 2, 3), uvec4(p.n)));
}

// The padding up to a whole vec4 becomes 0.
void store_bias_gradient(uint row, float value) {
    if (row >= p.m) return;
    if (MIXED != 0) value *= p.unscale;
    uint base = replica_number() * p.bias_replica;
    uint channels = p.groups * p.m;
    if (p.splits > 1) base += split_number() * p.split_stride + channels * p.weight_row;
    uint channel = tile_group() * p.m + row;
    dbias[base + channel] = value;
    if (channel + 1 < channels) return;
    for (uint i = channels; i < (channels + 3) / 4 * 4; ++i) dbias[base + i] = 0.0;
}

void main() {
    if (tile_column() >= p.n) return;
    clear_sums();
    uint begin = split_number() * p.per_split;
    uint end = min(begin + p.per_split, p.k);
    for (uint k0 = begin; k0 < end; k0 += DEPTH) {
        uint pixel = k0 + lane() % DEPTH;
        load_pixel(pixel, pixel < end);
        multiply_tiles();
    }
    [[unroll]] for (uint i = 0; i < RESULTS_M; ++i) {
        [[unroll]] for (uint j = 0; j < BLOCKS_N; ++j)
            store_weights(my_row(i), my_column(j), sum[i * BLOCKS_N + j]);
    }
    if (BIAS != 0 && my_column(0) == 0) {
        [[unroll]] for (uint i = 0; i < RESULTS_M; ++i)
            store_bias_gradient(my_row(i), a_sum[i / 4][i % 4]);
    }
}
