// Weight gradient of a convolution, dW[o, c, i, j] = sum over images, rows and columns of dy times
// the x that it met, and the bias gradient, the sum of dy. An invocation keeps the sums of
// OUT_CHANNELS output channels, the workgroup those of LANES times as many, for IN_CHANNELS x
// KERNEL_ROWS x kernel width weights each. All go through the same rows of dy; each loads its own
// channels of dy and a part of the rows of x, which they hand round by shuffles from constant lanes.
// See conv2d_rows.glsl. POOLED: instead of dy there are the gradient of its maxima over tiles of 2 x 2
// and their winners.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "common.glsl"
#include "conv2d_rows.glsl"
#include "max_pool2d_winners.glsl"

layout(constant_id = 12) const uint OUT_CHANNELS = 1;  // per invocation
layout(constant_id = 13) const uint IN_CHANNELS = 1;
layout(constant_id = 14) const uint KERNEL_ROWS = 1;
layout(constant_id = 15) const uint COLUMNS = 1;  // of dy at a time
layout(constant_id = 16) const uint TILES = 1;    // of a row of dy
layout(constant_id = 17) const uint IN_WIDTH = 1;
layout(constant_id = 18) const uint OUT_WIDTH = 1;
// Floats of a texel: 1, 2 or 4, as the width of the rows allows.
layout(constant_id = 19) const uint LOAD_X = 1;
layout(constant_id = 20) const uint LOAD_DY = 1;
layout(constant_id = 22) const uint POOLED = 0;
// Rows of dy (or tiles of them) that a turn takes; more than 1 where the lanes have room for the rows of x
// that all of them meet, and there are no rows over.
layout(constant_id = 23) const uint ITEMS = 1;

layout(set = 0, binding = 8) uniform samplerBuffer dy_texels;
layout(set = 0, binding = 9) uniform samplerBuffer x_texels;
layout(set = 0, binding = 2, std430) writeonly buffer DWeight { float dweight[]; };
layout(set = 0, binding = 3, std430) writeonly buffer DBias { float dbias[]; };
layout(set = 0, binding = 12) uniform usamplerBuffer winners_texels;  // of one word

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
    uint rows_per_split;    // rows of dy, or tiles of rows
    uint split_stride;      // between the results of two splits
    uint bias_offset;       // of the bias gradient in its buffer
    uint sum_bias;
    float scale, unscale;  // MIXED only, of dy: see gemm.glsl
    uint winners_row, winners_replica;
} p;

const uint MAX_SUMS = 192;
const uint MAX_OUT_CHANNELS = 8;
const uint X_ROWS = IN_CHANNELS * KERNEL_ROWS;  // that a row of dy meets
const uint PARTS = (X_ROWS + LANES - 1) / LANES;  // 1 where ITEMS is more
// Columns of x that a row of dy meets.
const uint SPAN = (COLUMNS - 1) * STRIDE_WIDTH + (KERNEL_WIDTH - 1) * DILATION_WIDTH + 1;

float sum[MAX_SUMS];  // [row of x][kernel column][out channel]
float bias_sum[MAX_OUT_CHANNELS];
float dy[MAX_OUT_CHANNELS * 32];  // [out channel][column]
float x[MAX_SPAN];                // of the lane's row

// Columns [first, first + COLUMNS) of dy's row.
void load_dy(uint o, uint base, uint first) {
    [[unroll]] for (uint k = 0; k < COLUMNS; k += LOAD_DY) {
        uint column = LOAD_DY == 1 ? min(first + k, OUT_WIDTH - 1) : first + k;
        vec4 loaded = operand(texelFetch(dy_texels, int((base + column) / LOAD_DY)), p.scale);
        [[unroll]] for (uint part = 0; part < LOAD_DY; ++part)
            dy[o * COLUMNS + k + part] =
                TILES == 1 || first + k + part < OUT_WIDTH ? loaded[part] : 0.0;
    }
}

// dy's row from a row of tiles; `winning`: the columns that won in it.
void load_tiles(uint o, uint base, uint winning) {
    [[unroll]] for (uint k = 0; k < COLUMNS / 2; k += LOAD_DY) {
        vec4 loaded = operand(texelFetch(dy_texels, int((base + k) / LOAD_DY)), p.scale);
        [[unroll]] for (uint part = 0; part < 2 * LOAD_DY; ++part) {
            uint column = 2 * k + part;
            dy[o * COLUMNS + column] = gradient_of(loaded[part / 2], winning, column);
        }
    }
}

// The columns of x's row that the tile's columns of dy met, from first * stride - padding on; 0 where
// the row does not exist.
void load_x(uint base, uint first, bool exists) {
    [[unroll]] for (uint k = 0; k < SPAN; ++k) x[k] = 0.0;
    if (TILES == 1) {
        [[unroll]] for (uint k = 0; k < IN_WIDTH; k += LOAD_X) {
            vec4 loaded = operand(texelFetch(x_texels, int((base + k) / LOAD_X)), 1.0);
            [[unroll]] for (uint part = 0; part < LOAD_X; ++part) {
                uint place = k + part + PADDING_LEFT;
                if (place < SPAN) x[place] = exists ? loaded[part] : 0.0;
            }
        }
    } else {
        [[unroll]] for (uint k = 0; k < SPAN; ++k) {
            int column = int(first * STRIDE_WIDTH + k) - int(PADDING_LEFT);
            float loaded = texelFetch(x_texels, int(base) + clamp(column, 0, int(IN_WIDTH) - 1)).x;
            bool inside = exists && column >= 0 && column < int(IN_WIDTH);
            x[k] = inside ? operand(loaded, 1.0) : 0.0;
        }
    }
}

// Adds the row of dy of an output channel to its bias gradient: a row's sum first, because one long
// chain of additions would lose digits.
void add_bias(uint o) {
    float row_sum = 0.0;
    [[unroll]] for (uint column = 0; column < COLUMNS; ++column) row_sum += dy[o * COLUMNS + column];
    bias_sum[o] += row_sum;
}

// Row of x for a row of dy and a kernel row; false where there is none.
bool x_row_of(uint row, uint kernel_row, out uint x_row) {
    int found = int(row * STRIDE_HEIGHT + kernel_row * DILATION_HEIGHT) - int(PADDING_TOP);
    bool exists = found >= 0 && found < int(p.in_height);
    x_row = exists ? uint(found) : 0;
    return exists;
}

// Output channels at a time, so that registers hold their sums of one row of x beside dy.
const uint MAX_LIVE_SUMS = 12;
const uint BLOCK = KERNEL_WIDTH > MAX_LIVE_SUMS ? 1 : MAX_LIVE_SUMS / KERNEL_WIDTH;
const uint BLOCKS = (OUT_CHANNELS + BLOCK - 1) / BLOCK;

// The item that comes next. Counted on, not divided anew: a CPU driver divides lane by lane.
uint next_column, next_row, next_image;

void find_item(uint item) {
    next_column = item % TILES * COLUMNS;
    next_image = item / TILES / p.out_height;
    next_row = item / TILES - next_image * p.out_height;
}

// Those of the turn, and where the replica's operands begin.
uint item_column[ITEMS], item_row[ITEMS], item_image[ITEMS];
uint replica_number;

void take_items() {
    [[unroll]] for (uint d = 0; d < ITEMS; ++d) {
        item_column[d] = next_column;
        item_row[d] = next_row;
        item_image[d] = next_image;
        next_column += COLUMNS;
        if (next_column == TILES * COLUMNS) {
            next_column = 0;
            ++next_row;
        }
        if (next_row == p.out_height) {
            next_row = 0;
            ++next_image;
        }
    }
}

// Item `d`'s row of dy of the invocation's output channels, from `out0` of the group on.
void load_dy_rows(uint d, uint group, uint out0) {
    uint dy_image = replica_number * p.dy_replica + item_image[d] * p.dy_row;
    uint winners_image = replica_number * p.winners_replica + item_image[d] * p.winners_row;
    [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) {
        uint channel = group * p.out_channels + min(out0 + o * LANES, p.out_channels - 1);
        uint channel_row = channel * p.out_height + item_row[d];
        if (POOLED != 0) {
            uint word = winners_image + channel_row / 2;
            uint winning = winning_columns(texelFetch(winners_texels, int(word)).x, item_row[d]);
            load_tiles(o, dy_image + channel_row / 2 * (OUT_WIDTH / 2), winning);
        } else {
            load_dy(o, dy_image + channel_row * OUT_WIDTH, item_column[d]);
        }
        add_bias(o);
    }
}

// The lane's row of x in that part: number `q` of those that an item meets, item after item. `in0`,
// `kernel_row0`: where the tile begins.
void load_lane_row(uint part, uint group, uint in0, uint kernel_row0) {
    uint q = min(part * LANES + gl_LocalInvocationID.x, ITEMS * X_ROWS - 1);
    uint of_row = item_row[0], of_image = item_image[0], of_column = item_column[0];
    [[unroll]] for (uint d = 1; d < ITEMS; ++d) {
        if (q >= d * X_ROWS) {
            of_row = item_row[d];
            of_image = item_image[d];
            of_column = item_column[d];
        }
    }
    if (ITEMS > 1) q %= X_ROWS;
    uint channel = group * p.in_channels + min(in0 + q / KERNEL_ROWS, p.in_channels - 1);
    uint x_row;
    bool exists = x_row_of(of_row, kernel_row0 + q % KERNEL_ROWS, x_row);
    uint x_image = replica_number * p.x_replica + of_image * p.x_row;
    load_x(x_image + (channel * p.in_height + x_row) * IN_WIDTH, of_column, exists);
}

// Adds what row `q` of x, which lane `lane` holds, met.
void add_row(uint q, uint lane) {
    [[unroll]] for (uint block = 0; block < BLOCKS; ++block) {
        [[unroll]] for (uint k = 0; k < SPAN; ++k) {
            float value = subgroupShuffle(x[k], lane);
            [[unroll]] for (uint j = 0; j < KERNEL_WIDTH; ++j) {
                uint column = (k - j * DILATION_WIDTH) / STRIDE_WIDTH;
                if (k >= j * DILATION_WIDTH && (k - j * DILATION_WIDTH) % STRIDE_WIDTH == 0 &&
                    column < COLUMNS) {
                    [[unroll]] for (uint b = 0; b < BLOCK; ++b) {
                        uint o = block * BLOCK + b;
                        uint e = (q * KERNEL_WIDTH + j) * OUT_CHANNELS + o;
                        if (o < OUT_CHANNELS) sum[e] = fma(dy[o * COLUMNS + column], value, sum[e]);
                    }
                }
            }
        }
    }
}

float unscaled(float value) { return MIXED != 0 ? value * p.unscale : value; }

void main() {
    uint tile = group_index();
    uint kernel_row0 = tile % p.kernel_tiles * KERNEL_ROWS;
    tile /= p.kernel_tiles;
    uint in0 = tile % p.in_tiles * IN_CHANNELS;
    tile /= p.in_tiles;
    uint out0 = tile % p.out_tiles * OUT_CHANNELS * LANES + gl_LocalInvocationID.x;
    uint group = tile / p.out_tiles;
    replica_number = gl_WorkGroupID.z / p.splits;
    uint split = gl_WorkGroupID.z % p.splits;

    [[unroll]] for (uint e = 0; e < X_ROWS * KERNEL_WIDTH * OUT_CHANNELS; ++e) sum[e] = 0.0;
    [[unroll]] for (uint o = 0; o < OUT_CHANNELS; ++o) bias_sum[o] = 0.0;
    uint begin = split * p.rows_per_split;
    uint end = min(begin + p.rows_per_split, p.batch * p.out_height * TILES);
    find_item(begin);
    for (uint item = begin; item < end; item += ITEMS) {
        take_items();
        if (ITEMS > 1) load_lane_row(0, group, in0, kernel_row0);
        [[unroll]] for (uint d = 0; d < ITEMS; ++d) {
            load_dy_rows(d, group, out0);
            [[unroll]] for (uint part = 0; part < PARTS; ++part) {
                if (ITEMS == 1) load_lane_row(part, group, in0, kernel_row0);
                [[unroll]] for (uint lane = 0; lane < min(LANES, X_ROWS); ++lane) {
                    uint q = part * LANES + lane;
                    if (q < X_ROWS) add_row(q, ITEMS == 1 ? lane : d * X_ROWS + lane);
                }
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
                        dweight[first + j] = unscaled(sum[(q * KERNEL_WIDTH + j) * OUT_CHANNELS + o]);
                }
            }
            // Padding of the weight's row and of the bias is zero.
            uint weights = p.in_channels * TAPS;
            [[unroll]] for (uint k = 0; k < 3; ++k) {
                if (in0 + kernel_row0 == 0 && weights + k < p.weight_row)
                    dweight[base + channel * p.weight_row + weights + k] = 0.0;
            }
            if (p.sum_bias != 0 && in0 + kernel_row0 == 0) {
                dbias[bias_base + channel] = unscaled(bias_sum[o]);
                uint channels = p.groups * p.out_channels;
                [[unroll]] for (uint k = 0; k < 3; ++k) {
                    if (channel + 1 == channels && channels + k < (channels + 3) / 4 * 4)
                        dbias[bias_base + channels + k] = 0.0;
                }
            }
        }
    }
}
