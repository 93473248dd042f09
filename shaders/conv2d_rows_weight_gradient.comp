// Weight gradient of a convolution, dW[o, c, i, j] = sum over images, rows and columns of dy times
// the x that it met, and the bias gradient, the sum of dy. An invocation keeps the sums of
// OUT_CHANNELS x IN_CHANNELS x KERNEL_ROWS x kernel width weights for the images it takes in turn;
// the workgroup adds its invocations' sums in shared memory. See conv2d_rows.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "conv2d_rows.glsl"

layout(constant_id = 12) const uint OUT_CHANNELS = 1;  // of a group, per invocation
layout(constant_id = 13) const uint IN_CHANNELS = 1;
layout(constant_id = 14) const uint KERNEL_ROWS = 1;
layout(constant_id = 15) const uint COLUMNS = 1;  // of dy at a time
layout(constant_id = 16) const uint TILES = 1;    // of a row of dy
layout(constant_id = 17) const uint IN_WIDTH = 1;
layout(constant_id = 18) const uint OUT_WIDTH = 1;
// Floats that one load moves: 1, 2 or 4, as the width of the rows allows.
layout(constant_id = 19) const uint LOAD_X = 1;
layout(constant_id = 20) const uint LOAD_DY = 1;

layout(set = 0, binding = 0, std430) readonly buffer Dy1 { float dy1[]; };
layout(set = 0, binding = 0, std430) readonly buffer Dy2 { vec2 dy2[]; };
layout(set = 0, binding = 0, std430) readonly buffer Dy4 { vec4 dy4[]; };
layout(set = 0, binding = 1, std430) readonly buffer X1 { float x1[]; };
layout(set = 0, binding = 1, std430) readonly buffer X2 { vec2 x2[]; };
layout(set = 0, binding = 1, std430) readonly buffer X4 { vec4 x4[]; };
layout(set = 0, binding = 2, std430) writeonly buffer DWeight { float dweight[]; };
layout(set = 0, binding = 3, std430) writeonly buffer DBias { float dbias[]; };

// In elements.
layout(push_constant, std430) uniform Push {
    uint batch;
    uint dy_row, x_row;               // of an image
    uint out_channels, in_channels;   // of a group
    uint out_height, in_height;
    uint out_tiles, in_tiles, kernel_tiles;
    uint groups;
    uint weight_row;
    uint dy_replica, x_replica, dweight_replica, dbias_replica;
    uint splits;
    uint blocks_per_split;  // a block: as many images as the workgroup has invocations
    uint split_stride;      // between the results of two splits
    uint bias_offset;       // of the bias gradient in its buffer
    uint sum_bias;
} p;

const uint SUMS = OUT_CHANNELS * IN_CHANNELS * KERNEL_ROWS * KERNEL_WIDTH;
const uint MAX_SUMS = 192;
const uint MAX_OUT_CHANNELS = 8;

shared float lane_sums[(MAX_SUMS + MAX_OUT_CHANNELS) * 8];

float sum[MAX_SUMS];
float bias_sum[MAX_OUT_CHANNELS];
float dy[MAX_OUT_CHANNELS * 32];  // [out channel][column]
float x[MAX_SPAN];

// Columns [first, first + COLUMNS) of dy's row; of images past the batch 0.
void load_dy(uint o, uint base, uint first, bool exists) {
    [[unroll]] for (uint k = 0; k < COLUMNS; k += LOAD_DY) {
        vec4 loaded;
        if (LOAD_DY == 4) {
            loaded = dy4[(base + first + k) / 4];
        } else if (LOAD_DY == 2) {
            loaded.xy = dy2[(base + first + k) / 2];
        } else {
            loaded.x = dy1[base + min(first + k, OUT_WIDTH - 1)];
        }
        [[unroll]] for (uint part = 0; part < LOAD_DY; ++part)
            dy[o * COLUMNS + k + part] =
                exists && (TILES == 1 || first + k + part < OUT_WIDTH) ? loaded[part] : 0.0;
    }
}

// The columns of x's row that the tile's columns of dy met, from first * stride - padding on.
void load_x(uint base, uint first) {
    [[unroll]] for (uint k = 0; k < MAX_SPAN; ++k) x[k] = 0.0;
    if (TILES == 1) {
        [[unroll]] for (uint k = 0; k < IN_WIDTH; k += LOAD_X) {
            vec4 loaded;
            if (LOAD_X == 4) {
                loaded = x4[(base + k) / 4];
            } else if (LOAD_X == 2) {
                loaded.xy = x2[(base + k) / 2];
            } else {
                loaded.x = x1[base + k];
            }
            [[unroll]] for (uint part = 0; part < LOAD_X; ++part) {
                uint place = k + part + PADDING_LEFT;
                if (place < MAX_SPAN) x[place] = loaded[part];
            }
        }
    } else {
        uint span = (COLUMNS - 1) * STRIDE_WIDTH + (KERNEL_WIDTH - 1) * DILATION_WIDTH + 1;
        [[unroll]] for (uint k = 0; k < span; ++k) {
            int column = int(first * STRIDE_WIDTH + k) - int(PADDING_LEFT);
            if (column >= 0 && column < int(IN_WIDTH)) x[k] = x1[base + column];
        }
    }
}

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
    uint lanes = gl_WorkGroupSize.x;

    [[unroll]] for (uint e = 0; e < SUMS; ++e) sum[e] = 0.0;
    [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) bias_sum[o] = 0.0;
    uint blocks = (p.batch + lanes - 1) / lanes;
    uint end = min((split + 1) * p.blocks_per_split, blocks);
    for (uint block = split * p.blocks_per_split; block < end; ++block) {
        uint image = block * lanes + lane;
        bool exists = image < p.batch;
        image = min(image, p.batch - 1);
        uint dy_image = replica_number * p.dy_replica + image * p.dy_row;
        uint x_image = replica_number * p.x_replica + image * p.x_row;
        for (uint row = 0; row < p.out_height; ++row) {
            for (uint t = 0; t < TILES; ++t) {
                [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) {
                    uint channel = group * p.out_channels + min(out0 + o, p.out_channels - 1);
                    load_dy(o, dy_image + (channel * p.out_height + row) * OUT_WIDTH, t * COLUMNS,
                            exists);
                }
                if (p.sum_bias != 0 && in0 + kernel_row0 == 0) {
                    // A row's sum first: one long chain of additions would lose digits.
                    [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) {
                        float row_sum = 0.0;
                        [[unroll]] for (uint column = 0; column < COLUMNS; ++column)
                            row_sum += dy[o * COLUMNS + column];
                        bias_sum[o] += row_sum;
                    }
                }
                [[unroll]] for (uint i = 0; i < KERNEL_ROWS; ++i) {
                    int in_row = int(row * STRIDE_HEIGHT + (kernel_row0 + i) * DILATION_HEIGHT) -
                                 int(PADDING_TOP);
                    if (in_row >= 0 && in_row < int(p.in_height)) {
                        [[unroll]] for (uint c = 0; c < IN_CHANNELS; ++c) {
                            uint channel = group * p.in_channels + min(in0 + c, p.in_channels - 1);
                            load_x(x_image + (channel * p.in_height + in_row) * IN_WIDTH, t * COLUMNS);
                            add_row(c, i);
                        }
                    }
                }
            }
        }
    }

    [[unroll]] for (uint e = 0; e < SUMS; ++e) lane_sums[e * lanes + lane] = sum[e];
    [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) lane_sums[(SUMS + o) * lanes + lane] = bias_sum[o];
    barrier();
    uint base = replica_number * p.dweight_replica + split * p.split_stride;
    for (uint e = lane; e < SUMS; e += lanes) {
        float total = 0.0;
        for (uint other = 0; other < lanes; ++other) total += lane_sums[e * lanes + other];
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
    for (uint other = 0; other < lanes; ++other) total += lane_sums[(SUMS + lane) * lanes + other];
    uint bias_base = replica_number * p.dbias_replica + split * p.split_stride + p.bias_offset;
    dbias[bias_base + channel] = total;
    if (channel + 1 == p.groups * p.out_channels) {
        for (uint at = channel + 1; at < (channel + 4) / 4 * 4; ++at) dbias[bias_base + at] = 0.0;
    }
}
