// Weight gradient of a convolution with one input channel per group, and where asked the bias
// gradient: a workgroup makes one row of the kernel of one output channel, summed over some images.
// With several splits each writes its partial sums [out channels][weight row], then the bias
// gradient, to be added by gemm_reduce. See conv2d_depthwise.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "conv2d_depthwise.glsl"

layout(set = 0, binding = 0, std430) readonly buffer OutGradient { float dy[]; };
layout(set = 0, binding = 1, std430) readonly buffer X { float x[]; };
layout(set = 0, binding = 2, std430) writeonly buffer WeightGradient { float dweight[]; };
layout(set = 0, binding = 3, std430) writeonly buffer BiasGradient { float dbias[]; };

// Sum j is that of column j of the kernel, the one behind them that of dy.
const uint SUMS4 = KERNEL_WIDTH / 4 + 1;
const bool SLIDES = STRIDE_WIDTH == DILATION_WIDTH;

shared vec4 lane_sums[gl_WorkGroupSize.x];

// Sum over the workgroup, which is a power of two, in a fixed order.
vec4 sum_lanes(vec4 value) {
    uint lane = gl_LocalInvocationID.x;
    barrier();
    lane_sums[lane] = value;
    barrier();
    for (uint half_size = gl_WorkGroupSize.x / 2; half_size > 0; half_size /= 2) {
        if (lane < half_size) lane_sums[lane] += lane_sums[lane + half_size];
        barrier();
    }
    return lane_sums[0];
}

float x_at(uint line, int column) {
    return column >= 0 && column < int(p.in_width) ? x[line + uint(column)] : 0.0;
}

vec4 x_quad(uint line, int column) {
    const int step = int(STRIDE_WIDTH);
    return vec4(x_at(line, column), x_at(line, column + step), x_at(line, column + 2 * step),
                x_at(line, column + 3 * step));
}

void add_products(uint line, int column, vec4 gradient, inout vec4 sum[SUMS4]) {
    vec4 read = x_quad(line, column);
    [[unroll]] for (uint j = 0; j < KERNEL_WIDTH; ++j) {
        sum[j / 4][j % 4] += dot(gradient, read);
        column += int(DILATION_WIDTH);
        read = SLIDES ? vec4(read.yzw, x_at(line, column + 3 * int(STRIDE_WIDTH)))
                      : x_quad(line, column);
    }
}

void store(uint out_channel, uint kernel_row, uint split, vec4 sum[SUMS4]) {
    uint out_channels = p.groups * p.out_channels;
    uint replica_number = gl_WorkGroupID.z / p.splits;
    uint base = replica_number * p.weight_replica + split * p.split_stride +
                out_channel * p.weight_row;
    for (uint j = 0; j < KERNEL_WIDTH; ++j)
        dweight[base + kernel_row * KERNEL_WIDTH + j] = sum[j / 4][j % 4];
    if (kernel_row > 0) return;
    // The padding of gradients is 0.
    for (uint i = TAPS; i < p.weight_row; ++i) dweight[base + i] = 0.0;
    if (BIAS == 0) return;
    base = replica_number * p.bias_replica;
    if (p.splits > 1) base += split * p.split_stride + out_channels * p.weight_row;
    dbias[base + out_channel] = sum[KERNEL_WIDTH / 4][KERNEL_WIDTH % 4];
    if (out_channel + 1 < out_channels) return;
    for (uint i = out_channels; i < (out_channels + 3) / 4 * 4; ++i) dbias[base + i] = 0.0;
}

void main() {
    uint kernel_row = group_index() % KERNEL_HEIGHT;
    uint out_channel = group_index() / KERNEL_HEIGHT;
    if (out_channel >= p.groups * p.out_channels) return;
    uint replica_number = gl_WorkGroupID.z / p.splits;
    uint split = gl_WorkGroupID.z % p.splits;
    uint first_image = split * p.per_split;
    uint end_image = min(first_image + p.per_split, p.batch);
    uint dy_plane = replica_number * p.out_replica + out_channel * p.out_height * p.out_width;
    uint x_plane = replica_number * p.in_replica +
                   out_channel / p.out_channels * p.in_height * p.in_width;

    vec4 sum[SUMS4];
    [[unroll]] for (uint i = 0; i < SUMS4; ++i) sum[i] = vec4(0.0);
    uint items = (end_image - first_image) * p.out_height * ((p.out_width + 3) / 4);
    for (uint item = gl_LocalInvocationID.x; item < items; item += gl_WorkGroupSize.x) {
        Quad quad = find_quad(item, p.out_height, p.out_width);
        uint image = first_image + quad.image;
        uint first = dy_plane + image * p.out_row + quad.row * p.out_width + quad.column;
        vec4 gradient = vec4(0.0);
        [[unroll]] for (uint i = 0; i < 4; ++i) {
            if (quad.column + i < p.out_width) gradient[i] = dy[first + i];
        }
        sum[KERNEL_WIDTH / 4][KERNEL_WIDTH % 4] += dot(gradient, vec4(1.0));
        int h = int(quad.row * STRIDE_HEIGHT + kernel_row * DILATION_HEIGHT) - int(PADDING_TOP);
        if (h < 0 || h >= int(p.in_height)) continue;
        add_products(x_plane + image * p.in_row + uint(h) * p.in_width,
                     int(quad.column * STRIDE_WIDTH) - int(PADDING_LEFT), gradient, sum);
    }
    [[unroll]] for (uint i = 0; i < SUMS4; ++i) sum[i] = sum_lanes(sum[i]);
    if (gl_LocalInvocationID.x == 0) store(out_channel, kernel_row, split, sum);
}
