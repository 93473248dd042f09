// Convolution forward, and its data gradient in gather form, through shared memory: the baseline on
// GPUs; within the limits that every Vulkan device guarantees. See conv2d_tiled.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "activation.glsl"
#include "conv2d_tiled.glsl"

layout(constant_id = 2) const uint ACTIVATION = 0;           // applied to the result
layout(constant_id = 3) const uint ACTIVATION_GRADIENT = 0;  // multiplies by the derivative
layout(constant_id = 12) const uint DATA_GRADIENT = 0;       // source dy, result dx

layout(set = 0, binding = 0, std430) readonly buffer Source { float source[]; };
layout(set = 0, binding = 1, std430) readonly buffer Weight { float weight[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Result { float result[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Result4 { vec4 result4[]; };
layout(set = 0, binding = 3, std430) readonly buffer Bias { float bias[]; };
layout(set = 0, binding = 4, std430) readonly buffer Output { float activation_output[]; };

uint result_plane() {
    return DATA_GRADIENT != 0 ? p.in_height * p.in_width : p.out_height * p.out_width;
}
uint result_row() { return DATA_GRADIENT != 0 ? p.in_row : p.out_row; }

// A[row, k] for one k an invocation and every row number THREADS / DEPTH.
void load_weights(uint k0) {
    uint k = k0 + lane() % DEPTH;
    uint first = replica_number() * p.weight_replica +
                 tile_group() * p.out_channels * p.weight_row +
                 (DATA_GRADIENT != 0 ? k / TAPS * p.weight_row + k % TAPS : k);
    uint step = DATA_GRADIENT != 0 ? TAPS : p.weight_row;
    [[unroll]] for (uint part = 0; part < TILE_M * DEPTH / THREADS; ++part) {
        uint row = part * (THREADS / DEPTH) + lane() / DEPTH;
        float value = 0.0;
        if (k < p.k && tile_row() + row < p.m) value = weight[first + (tile_row() + row) * step];
        put_a(lane() % DEPTH, row, operand(value, 1.0));
    }
}

// The result pixel whose column of B an invocation gathers: where its source is, in units of the
// input, and which rows and columns a tap reads from there.
struct Pixel {
    uint channels;  // index of the group's first plane
    int h;
    int w;
};

Pixel find_pixel(uint pixel) {
    uint width = DATA_GRADIENT != 0 ? p.in_width : p.out_width;
    uint image = pixel / result_plane();
    uint h = pixel % result_plane() / width;
    uint w = pixel % result_plane() % width;
    if (DATA_GRADIENT != 0) {
        return Pixel(replica_number() * p.out_replica + image * p.out_row +
                         tile_group() * p.out_channels * p.out_height * p.out_width,
                     int(h + PADDING_TOP), int(w + PADDING_LEFT));
    }
    return Pixel(replica_number() * p.in_replica + image * p.in_row +
                     tile_group() * p.in_channels * p.in_height * p.in_width,
                 int(h * STRIDE_HEIGHT) - int(PADDING_TOP),
                 int(w * STRIDE_WIDTH) - int(PADDING_LEFT));
}

float gather(Pixel pixel, uint k) {
    uint channel = k / TAPS;
    int down = int(k % TAPS / KERNEL_WIDTH * DILATION_HEIGHT);
    int right = int(k % KERNEL_WIDTH * DILATION_WIDTH);
    int h = DATA_GRADIENT != 0 ? pixel.h - down : pixel.h + down;
    int w = DATA_GRADIENT != 0 ? pixel.w - right : pixel.w + right;
    bool exists = k < p.k && h >= 0 && w >= 0;
    if (DATA_GRADIENT != 0) {
        exists = exists && h % int(STRIDE_HEIGHT) == 0 && w % int(STRIDE_WIDTH) == 0;
        h /= int(STRIDE_HEIGHT);
        w /= int(STRIDE_WIDTH);
    }
    uint height = DATA_GRADIENT != 0 ? p.out_height : p.in_height;
    uint width = DATA_GRADIENT != 0 ? p.out_width : p.in_width;
    if (!exists || h >= int(height) || w >= int(width)) return 0.0;
    return source[pixel.channels + (channel * height + uint(h)) * width + uint(w)];
}

void store_row(uint row, uint column, uint place[4], vec4 value) {
    uint channel = tile_group() * p.m + row;
    if (MIXED != 0) value *= p.unscale;
    if (BIAS != 0) value += bias[replica_number() * p.bias_replica + channel];
    value = activate(ACTIVATION, value, p.alpha);
    uint base = replica_number() * (DATA_GRADIENT != 0 ? p.in_replica : p.out_replica) +
                channel * result_plane();
    if (ACTIVATION_GRADIENT != 0) {
        vec4 y;
        for (uint i = 0; i < 4; ++i) {
            y[i] = activation_output[replica_number() * p.output_replica +
                                     channel * result_plane() + place[i]];
        }
        value *= activation_derivative(ACTIVATION_GRADIENT, y, p.alpha);
    }
    if (result_plane() % 4 == 0) {
        result4[(base + place[0]) / 4] = value;
        return;
    }
    for (uint i = 0; i < 4; ++i) {
        if (column + i < p.n) result[base + place[i]] = value[i];
    }
}

// The columns behind the last plane of an image stay finite.
void store_padding(uint pixel) {
    if (pixel >= p.n || pixel % result_plane() + 1 != result_plane()) return;
    uint image = replica_number() * (DATA_GRADIENT != 0 ? p.in_replica : p.out_replica) +
                 pixel / result_plane() * result_row();
    for (uint i = p.groups * p.m * result_plane(); i < result_row(); ++i) result[image + i] = 0.0;
}

// Four columns of all the invocation's rows.
void store_block(uint j) {
    uint column = my_column(j);
    if (column >= p.n) return;
    uint place[4];  // of the four pixels within a replica's first plane
    for (uint i = 0; i < 4; ++i) {
        uint at = min(column + i, p.n - 1);
        place[i] = at / result_plane() * result_row() + at % result_plane();
    }
    [[unroll]] for (uint i = 0; i < RESULTS_M; ++i) {
        if (my_row(i) < p.m) store_row(my_row(i), column, place, sum[i * BLOCKS_N + j]);
    }
    if (my_row(0) == 0 && tile_group() == 0) {
        for (uint i = 0; i < 4; ++i) store_padding(column + i);
    }
}

void main() {
    if (tile_column() >= p.n) return;
    clear_sums();
    Pixel pixel = find_pixel(min(tile_column() + lane() % TILE_N, p.n - 1));
    for (uint k0 = 0; k0 < p.k; k0 += DEPTH) {
        load_weights(k0);
        // Not unrolled by hint: SwiftShader took minutes and gigabytes to compile that.
        for (uint part = 0; part < TILE_N * DEPTH / THREADS; ++part) {
            uint k = part * (THREADS / TILE_N) + lane() / TILE_N;
            put_b(k, lane() % TILE_N, operand(gather(pixel, k0 + k), p.scale));
        }
        multiply_tiles();
    }
    [[unroll]] for (uint j = 0; j < BLOCKS_N; ++j) store_block(j);
}
