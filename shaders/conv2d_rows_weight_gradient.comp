// Weight gradient of a convolution with few input channels. An invocation keeps the sums of
// OUT_CHANNELS x IN_CHANNELS x KERNEL_ROWS x kernel width weights over the rows of dy that it takes;
// the workgroup adds its invocations' sums in shared memory. See conv2d_rows_weight_gradient.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "conv2d_rows_weight_gradient.glsl"

const uint SUMS = OUT_CHANNELS * IN_CHANNELS * KERNEL_ROWS * KERNEL_WIDTH;

shared float lane_sums[(MAX_SUMS + MAX_OUT_CHANNELS) * LANES];

void add_row(uint in_channel, uint kernel_row) {
    [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) {
        uint first = ((o * IN_CHANNELS + in_channel) * KERNEL_ROWS + kernel_row) * KERNEL_WIDTH;
        [[unroll]] for (uint column = 0; column < COLUMNS; ++column) {
            [[unroll]] for (uint j = 0; j < KERNEL_WIDTH; ++j)
                sum[first + j] = fma(dy[o * COLUMNS + column],
                                     x[column * STRIDE_WIDTH + j * DILATION_WIDTH], sum[first + j]);
        }
    }
}

void main() {
    uint tile = group_index();
    uint kernel_row0 = tile % p.kernel_tiles * KERNEL_ROWS;
    tile /= p.kernel_tiles;
    uint in0 = tile % p.in_tiles * IN_CHANNELS;
    tile /= p.in_tiles;
    uint out0 = tile % p.out_tiles * OUT_CHANNELS;
    uint group = tile / p.out_tiles;
    uint replica_number = gl_WorkGroupID.z / p.splits;
    uint split = gl_WorkGroupID.z % p.splits;
    uint lane = gl_LocalInvocationID.x;

    [[unroll]] for (uint e = 0; e < SUMS; ++e) sum[e] = 0.0;
    [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) bias_sum[o] = 0.0;
    uint items = p.batch * p.out_height * TILES;  // rows of dy, or tiles of them
    uint blocks = (items + LANES - 1) / LANES;
    uint end = min((split + 1) * p.blocks_per_split, blocks);
    for (uint block = split * p.blocks_per_split; block < end; ++block) {
        uint item = min(block * LANES + lane, items - 1);
        bool exists = block * LANES + lane < items;
        uint column0 = item % TILES * COLUMNS;
        uint row = item / TILES % p.out_height;
        uint image = item / TILES / p.out_height;
        uint dy_image = replica_number * p.dy_replica + image * p.dy_row;
        uint x_image = replica_number * p.x_replica + image * p.x_row;
        [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) {
            uint channel = group * p.out_channels + min(out0 + o, p.out_channels - 1);
            load_dy(o, dy_image + (channel * p.out_height + row) * OUT_WIDTH, column0, exists);
            add_bias(o);
        }
        [[unroll]] for (uint i = 0; i < KERNEL_ROWS; ++i) {
            uint x_row;
            bool row_exists = x_row_of(row, kernel_row0 + i, x_row);
            [[unroll]] for (uint c = 0; c < IN_CHANNELS; ++c) {
                uint channel = group * p.in_channels + min(in0 + c, p.in_channels - 1);
                load_x(x_image + (channel * p.in_height + x_row) * IN_WIDTH, column0, row_exists);
                add_row(c, i);
            }
        }
    }

    [[unroll]] for (uint e = 0; e < SUMS; ++e) lane_sums[e * LANES + lane] = sum[e];
    [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) lane_sums[(SUMS + o) * LANES + lane] = bias_sum[o];
    barrier();
    uint base = replica_number * p.dweight_replica + split * p.split_stride;
    for (uint e = lane; e < SUMS; e += LANES) {
        float total = 0.0;
        for (uint other = 0; other < LANES; ++other) total += lane_sums[e * LANES + other];
        uint j = e % KERNEL_WIDTH;
        uint i = kernel_row0 + e / KERNEL_WIDTH % KERNEL_ROWS;
        uint c = in0 + e / (KERNEL_WIDTH * KERNEL_ROWS) % IN_CHANNELS;
        uint o = out0 + e / (KERNEL_WIDTH * KERNEL_ROWS * IN_CHANNELS);
        if (i < KERNEL_HEIGHT && c < p.in_channels && o < p.out_channels) {
            dweight[base + (group * p.out_channels + o) * p.weight_row +
                    (c * KERNEL_HEIGHT + i) * KERNEL_WIDTH + j] = total;
        }
    }
    if (in0 + kernel_row0 != 0 || lane >= OUT_CHANNELS || out0 + lane >= p.out_channels) return;
    uint channel = group * p.out_channels + out0 + lane;
    // Padding of the weight's row and of the bias is zero.
    for (uint at = p.in_channels * KERNEL_HEIGHT * KERNEL_WIDTH; at < p.weight_row; ++at)
        dweight[base + channel * p.weight_row + at] = 0.0;
    if (p.sum_bias == 0) return;
    float total = 0.0;
    for (uint other = 0; other < LANES; ++other) total += lane_sums[(SUMS + lane) * LANES + other];
    uint bias_base = replica_number * p.dbias_replica + split * p.split_stride + p.bias_offset;
    dbias[bias_base + channel] = total;
    if (channel + 1 == p.groups * p.out_channels) {
        for (uint at = channel + 1; at < (channel + 4) / 4 * 4; ++at) dbias[bias_base + at] = 0.0;
    }
}
