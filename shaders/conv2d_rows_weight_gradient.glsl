// Interface and loads of the weight gradients of the convolutions' "rows" variant:
// dW[o, c, i, j] = sum over images, rows and columns of dy times the x that it met, and the bias
// gradient, the sum of dy. See conv2d_rows.glsl.

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
    uint blocks_per_split;  // a block: the rows of dy (or tiles) that the workgroup takes at a time
    uint split_stride;      // between the results of two splits
    uint bias_offset;       // of the bias gradient in its buffer
    uint sum_bias;
} p;

const uint MAX_SUMS = 192;
const uint MAX_OUT_CHANNELS = 8;
// Columns of x that a row of dy meets.
const uint SPAN = (COLUMNS - 1) * STRIDE_WIDTH + (KERNEL_WIDTH - 1) * DILATION_WIDTH + 1;

float sum[MAX_SUMS];
float bias_sum[MAX_OUT_CHANNELS];
float dy[MAX_OUT_CHANNELS * 32];  // [out channel][column]
float x[MAX_SPAN];

// Columns [first, first + COLUMNS) of dy's row; 0 where the row does not exist.
void load_dy(uint o, uint base, uint first, bool exists) {
    [[unroll]] for (uint k = 0; k < COLUMNS; k += LOAD_DY) {
        vec4 loaded = vec4(0.0);
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

// The columns of x's row that the tile's columns of dy met, from first * stride - padding on; 0 where
// the row does not exist.
void load_x(uint base, uint first, bool exists) {
    [[unroll]] for (uint k = 0; k < SPAN; ++k) x[k] = 0.0;
    if (TILES == 1) {
        [[unroll]] for (uint k = 0; k < IN_WIDTH; k += LOAD_X) {
            vec4 loaded = vec4(0.0);
            if (LOAD_X == 4) {
                loaded = x4[(base + k) / 4];
            } else if (LOAD_X == 2) {
                loaded.xy = x2[(base + k) / 2];
            } else {
                loaded.x = x1[base + k];
            }
            [[unroll]] for (uint part = 0; part < LOAD_X; ++part) {
                uint place = k + part + PADDING_LEFT;
                if (place < SPAN) x[place] = exists ? loaded[part] : 0.0;
            }
        }
    } else {
        [[unroll]] for (uint k = 0; k < SPAN; ++k) {
            int column = int(first * STRIDE_WIDTH + k) - int(PADDING_LEFT);
            float loaded = x1[base + clamp(column, 0, int(IN_WIDTH) - 1)];
            x[k] = exists && column >= 0 && column < int(IN_WIDTH) ? loaded : 0.0;
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
