// Convolution forward, and its data gradient in gather form: the same sum with the roles of the
// channels exchanged and the kernel read backwards. An invocation makes COLUMNS columns of one row
// of CHANNELS result channels of one image; see conv2d_rows.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "common.glsl"
#include "activation.glsl"
#include "conv2d_rows.glsl"

layout(constant_id = 1) const uint ADD_BIAS = 0;
layout(constant_id = 2) const uint ACTIVATION = 0;           // applied to the result
layout(constant_id = 3) const uint ACTIVATION_GRADIENT = 0;  // multiplies by the derivative
layout(constant_id = 12) const uint DATA_GRADIENT = 0;
layout(constant_id = 13) const uint CHANNELS = 1;      // of the result, per invocation
layout(constant_id = 14) const uint COLUMNS = 1;       // of the result, per invocation
layout(constant_id = 15) const uint TILES = 1;         // invocations along a row of the result
layout(constant_id = 16) const uint SOURCE_WIDTH = 1;
layout(constant_id = 17) const uint RESULT_WIDTH = 1;
// Floats that one load or store moves: 1, 2 or 4, as the width of the rows allows.
layout(constant_id = 18) const uint LOAD = 1;
layout(constant_id = 19) const uint STORE = 1;

layout(set = 0, binding = 0, std430) readonly buffer Source1 { float source1[]; };
layout(set = 0, binding = 0, std430) readonly buffer Source2 { vec2 source2[]; };
layout(set = 0, binding = 0, std430) readonly buffer Source4 { vec4 source4[]; };
layout(set = 0, binding = 1, std430) readonly buffer Weight { float weight[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Result1 { float result1[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Result2 { vec2 result2[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Result4 { vec4 result4[]; };
layout(set = 0, binding = 3, std430) readonly buffer Bias { float bias[]; };
layout(set = 0, binding = 4, std430) readonly buffer Output1 { float output1[]; };

// In elements.
layout(push_constant, std430) uniform Push {
    uint batch;
    uint source_row, result_row;            // of an image
    uint source_channels, result_channels;  // of a group
    uint source_height, result_height;
    uint channel_tiles;  // of a group
    uint groups;
    uint weight_row;
    uint source_replica, weight_replica, result_replica, bias_replica, output_replica;
    float alpha;
} p;

int floor_divide(int a, int b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

// The source column of result column `column` and kernel column `j` is this, relative to the first
// source column of the tile; it exists only where `meets`.
int relative(uint column, uint j) {
    int shift = int(j * DILATION_WIDTH) - int(PADDING_LEFT);
    return DATA_GRADIENT != 0 ? floor_divide(int(column) - shift, int(STRIDE_WIDTH))
                              : int(column * STRIDE_WIDTH) + shift;
}

bool meets(uint column, uint j) {
    if (DATA_GRADIENT == 0) return true;
    return (column + PADDING_LEFT + DILATION_WIDTH * (STRIDE_WIDTH * j - j)) % STRIDE_WIDTH == 0;
}

// Least value of `relative` over a tile.
int first_relative() {
    return DATA_GRADIENT != 0 ? relative(0, KERNEL_WIDTH - 1) : relative(0, 0);
}

// Row of the source for result row `row` and kernel row `i`; false where there is none.
bool source_row_of(uint row, uint i, out uint source_row) {
    int shift = int(i * DILATION_HEIGHT) - int(PADDING_TOP);
    int found = DATA_GRADIENT != 0 ? int(row) - shift : int(row * STRIDE_HEIGHT) + shift;
    bool exists = found >= 0;
    if (DATA_GRADIENT != 0) {
        exists = exists && found % int(STRIDE_HEIGHT) == 0;
        found /= int(STRIDE_HEIGHT);
    }
    source_row = uint(found);
    return exists && source_row < p.source_height;
}

// A shuffle with a constant lane is one permutation in lavapipe; a broadcast of it is a loop that
// looks for the first active lane, about 60 instructions.
float from_lane(float value, uint lane) { return subgroupShuffle(value, lane); }

// Sizes of an invocation's arrays; nn/ops/conv2d_rows.cpp keeps to them.
const uint MAX_CHANNELS = 8;  // one for each lane
const uint MAX_COLUMNS = 32;
const uint MAX_KERNEL_WIDTH = 8;

// The source columns that the tile reads in the row that begins at `base`; outside of the row 0. A
// macro, so that the array stays the caller's own.
#define LOAD_SEGMENT(segment, base)                                                             \
    [[unroll]] for (uint k_ = 0; k_ < MAX_SPAN; ++k_) segment[k_] = 0.0;                        \
    if (TILES == 1) {                                                                           \
        [[unroll]] for (uint k_ = 0; k_ < SOURCE_WIDTH; k_ += LOAD) {                           \
            vec4 loaded_;                                                                       \
            if (LOAD == 4) {                                                                    \
                loaded_ = source4[(base + k_) / 4];                                             \
            } else if (LOAD == 2) {                                                             \
                loaded_.xy = source2[(base + k_) / 2];                                          \
            } else {                                                                            \
                loaded_.x = source1[base + k_];                                                 \
            }                                                                                   \
            [[unroll]] for (uint part_ = 0; part_ < LOAD; ++part_) {                            \
                int place_ = int(k_ + part_) - first_relative();                                \
                if (place_ >= 0 && place_ < int(MAX_SPAN)) segment[place_] = loaded_[part_];    \
            }                                                                                   \
        }                                                                                       \
    } else {                                                                                    \
        uint span_ = uint(relative(COLUMNS - 1, DATA_GRADIENT != 0 ? 0 : KERNEL_WIDTH - 1) -    \
                          first_relative()) + 1;                                                \
        [[unroll]] for (uint k_ = 0; k_ < span_; ++k_) {                                        \
            int column_ = source_column0 + first_relative() + int(k_);                          \
            if (column_ >= 0 && column_ < int(SOURCE_WIDTH)) segment[k_] = source1[base + column_]; \
        }                                                                                       \
    }

void main() {
    uint tile = group_index();
    uint column0 = tile % TILES * COLUMNS;
    tile /= TILES;
    uint row = tile % p.result_height;
    tile /= p.result_height;
    uint channel0 = tile % p.channel_tiles * CHANNELS;  // within the group
    tile /= p.channel_tiles;
    uint group = tile % p.groups;
    uint image = tile / p.groups * gl_WorkGroupSize.x + gl_LocalInvocationID.x;

    int source_column0 = DATA_GRADIENT != 0 ? int(column0 / STRIDE_WIDTH) : int(column0 * STRIDE_WIDTH);
    uint source_image = replica() * p.source_replica + min(image, p.batch - 1) * p.source_row;
    uint source_plane = p.source_height * SOURCE_WIDTH;
    // Distance of the weights of two result channels and of two source channels.
    uint result_step = DATA_GRADIENT != 0 ? TAPS : p.weight_row;
    uint source_step = DATA_GRADIENT != 0 ? p.weight_row : TAPS;
    uint group_weights = (DATA_GRADIENT != 0 ? p.source_channels : p.result_channels) * p.weight_row;
    uint weights = replica() * p.weight_replica + group * group_weights;

    float sum[MAX_CHANNELS * MAX_COLUMNS];  // [channel][column]
    [[unroll]] for (uint o = 0; o < CHANNELS * COLUMNS; ++o) sum[o] = 0.0;

    // One loop over channels and kernel rows: at each turn of a loop, and at each level of loops, a CPU
    // driver moves all sums between registers and memory.
    for (uint turn = 0; turn < p.source_channels * KERNEL_HEIGHT; ++turn) {
        uint c = turn / KERNEL_HEIGHT;
        uint i = turn % KERNEL_HEIGHT;
        uint source_row;
        if (source_row_of(row, i, source_row)) {
            uint plane = source_image + (group * p.source_channels + c) * source_plane;
            float segment[MAX_SPAN];
            LOAD_SEGMENT(segment, plane + source_row * SOURCE_WIDTH)
            uint first = weights + c * source_step + i * KERNEL_WIDTH;
            // Lane o loads the weights of channel o; the others get them by broadcast, because a load
            // in a loop is one load per lane in lavapipe, whatever its address.
            float lane_weight[MAX_KERNEL_WIDTH];
            uint lane_channel = min(channel0 + gl_LocalInvocationID.x, p.result_channels - 1);
            [[unroll]] for (uint j = 0; j < KERNEL_WIDTH; ++j)
                lane_weight[j] = weight[first + lane_channel * result_step + j];
            [[unroll]] for (uint o = 0; o < CHANNELS; ++o) {
                float tap[MAX_KERNEL_WIDTH];
                [[unroll]] for (uint j = 0; j < KERNEL_WIDTH; ++j)
                    tap[j] = from_lane(lane_weight[j], o);
                [[unroll]] for (uint column = 0; column < COLUMNS; ++column) {
                    float total = sum[o * COLUMNS + column];
                    [[unroll]] for (uint j = 0; j < KERNEL_WIDTH; ++j) {
                        if (meets(column, j))
                            total = fma(tap[j], segment[relative(column, j) - first_relative()], total);
                    }
                    sum[o * COLUMNS + column] = total;
                }
            }
        }
    }

    if (image >= p.batch) return;
    uint columns = p.groups * p.result_channels * p.result_height * RESULT_WIDTH;
    uint result_image = replica() * p.result_replica + image * p.result_row;
    [[unroll]] for (uint o = 0; o < CHANNELS; ++o) {
        uint channel = group * p.result_channels + channel0 + o;
        if (channel0 + o < p.result_channels) {
            uint first = (channel * p.result_height + row) * RESULT_WIDTH + column0;
            float b = ADD_BIAS != 0 ? bias[replica() * p.bias_replica + channel] : 0.0;
            [[unroll]] for (uint column = 0; column < COLUMNS; column += 4) {
                vec4 value = vec4(0.0);
                [[unroll]] for (uint part = 0; part < 4; ++part) {
                    if (column + part < COLUMNS) value[part] = sum[o * COLUMNS + column + part];
                }
                value = activate(ACTIVATION, value + b, p.alpha);
                [[unroll]] for (uint part = 0; part < 4; ++part) {
                    uint at = first + column + part;
                    bool exists = column + part < COLUMNS &&
                                  (TILES == 1 || column0 + column + part < RESULT_WIDTH);
                    if (exists && ACTIVATION_GRADIENT != 0) {
                        float y = output1[replica() * p.output_replica + image * p.result_row + at];
                        value[part] *= activation_derivative(ACTIVATION_GRADIENT, vec4(y), p.alpha).x;
                    }
                    if (exists && STORE == 1) result1[result_image + at] = value[part];
                    if (exists && STORE == 2 && part % 2 == 1)
                        result2[(result_image + at) / 2] = part == 1 ? value.xy : value.zw;
                }
                if (STORE == 4) result4[(result_image + first + column) / 4] = value;
            }
            // Padding behind the last plane stays finite.
            if (first + COLUMNS >= columns) {
                for (uint at = columns; at < p.result_row; ++at) result1[result_image + at] = 0.0;
            }
        }
    }
}
