// Weight gradient of a convolution with many input channels. An invocation keeps the sums of
// OUT_CHANNELS output channels, the workgroup those of LANES times as many, for IN_CHANNELS x
// KERNEL_ROWS x kernel width weights each. All go through the same rows of dy; each loads its own
// channels of dy and a part of the rows of x, which they hand round: a shuffle from a constant lane is
// one permutation. See conv2d_rows_weight_gradient.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "common.glsl"
#include "conv2d_rows_weight_gradient.glsl"

const uint X_ROWS = IN_CHANNELS * KERNEL_ROWS;  // that a row of dy meets

// Adds what row `q` of x, which lane `lane` holds, met.
void add_row(uint q, uint lane) {
    [[unroll]] for (uint k = 0; k < SPAN; ++k) {
        float value = subgroupShuffle(x[k], lane);
        [[unroll]] for (uint j = 0; j < KERNEL_WIDTH; ++j) {
            uint column = (k - j * DILATION_WIDTH) / STRIDE_WIDTH;
            if (k >= j * DILATION_WIDTH && (k - j * DILATION_WIDTH) % STRIDE_WIDTH == 0 &&
                column < COLUMNS) {
                [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) {
                    uint e = (q * KERNEL_WIDTH + j) * OUT_CHANNELS + o;
                    sum[e] = fma(dy[o * COLUMNS + column], value, sum[e]);
                }
            }
        }
    }
}

void main() {
    uint tile = group_index();
    uint kernel_row0 = tile % p.kernel_tiles * KERNEL_ROWS;
    tile /= p.kernel_tiles;
    uint in0 = tile % p.in_tiles * IN_CHANNELS;
    tile /= p.in_tiles;
    uint out0 = tile % p.out_tiles * OUT_CHANNELS * LANES + gl_LocalInvocationID.x;
    uint group = tile / p.out_tiles;
    uint replica_number = gl_WorkGroupID.z / p.splits;
    uint split = gl_WorkGroupID.z % p.splits;

    [[unroll]] for (uint e = 0; e < X_ROWS * KERNEL_WIDTH * OUT_CHANNELS; ++e) sum[e] = 0.0;
    [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) bias_sum[o] = 0.0;
    uint end = min((split + 1) * p.blocks_per_split, p.batch * p.out_height * TILES);
    for (uint item = split * p.blocks_per_split; item < end; ++item) {
        uint column0 = item % TILES * COLUMNS;
        uint row = item / TILES % p.out_height;
        uint image = item / TILES / p.out_height;
        uint dy_image = replica_number * p.dy_replica + image * p.dy_row;
        uint x_image = replica_number * p.x_replica + image * p.x_row;
        [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) {
            uint channel = group * p.out_channels + min(out0 + o * LANES, p.out_channels - 1);
            load_dy(o, dy_image + (channel * p.out_height + row) * OUT_WIDTH, column0, true);
            add_bias(o);
        }
        [[unroll]] for (uint q0 = 0; q0 < X_ROWS; q0 += LANES) {
            uint q = min(q0 + gl_LocalInvocationID.x, X_ROWS - 1);
            uint channel = group * p.in_channels + min(in0 + q / KERNEL_ROWS, p.in_channels - 1);
            uint x_row;
            bool exists = x_row_of(row, kernel_row0 + q % KERNEL_ROWS, x_row);
            load_x(x_image + (channel * p.in_height + x_row) * IN_WIDTH, column0, exists);
            [[unroll]] for (uint lane = 0; lane < LANES; ++lane) {
                if (q0 + lane < X_ROWS) add_row(q0 + lane, lane);
            }
        }
    }

    uint base = replica_number * p.dweight_replica + split * p.split_stride;
    uint bias_base = replica_number * p.dbias_replica + split * p.split_stride + p.bias_offset;
    [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) {
        uint channel = group * p.out_channels + out0 + o * LANES;
        if (out0 + o * LANES < p.out_channels) {
            [[unroll]] for (uint q = 0; q < X_ROWS; ++q) {
                uint i = kernel_row0 + q % KERNEL_ROWS;
                uint c = in0 + q / KERNEL_ROWS;
                uint first = base + channel * p.weight_row + (c * KERNEL_HEIGHT + i) * KERNEL_WIDTH;
                [[unroll]] for (uint j = 0; j < KERNEL_WIDTH; ++j) {
                    if (i < KERNEL_HEIGHT && c < p.in_channels)
                        dweight[first + j] = sum[(q * KERNEL_WIDTH + j) * OUT_CHANNELS + o];
                }
            }
            // Padding of the weight's row and of the bias is zero.
            uint weights = p.in_channels * TAPS;
            [[unroll]] for (uint k = 0; k < 3; ++k) {
                if (in0 + kernel_row0 == 0 && weights + k < p.weight_row)
                    dweight[base + channel * p.weight_row + weights + k] = 0.0;
            }
            if (p.sum_bias != 0 && in0 + kernel_row0 == 0) {
                dbias[bias_base + channel] = bias_sum[o];
                uint channels = p.groups * p.out_channels;
                [[unroll]] for (uint k = 0; k < 3; ++k) {
                    if (channel + 1 == channels && channels + k < (channels + 3) / 4 * 4)
                        dbias[bias_base + channels + k] = 0.0;
                }
            }
        }
    }
}
