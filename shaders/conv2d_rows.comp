// Convolution forward, and its data gradient in gather form: the same sum with the roles of the
// channels exchanged and the kernel read backwards. An invocation makes COLUMNS columns of ROWS
// rows of CHANNELS result channels; see conv2d_rows.glsl.
//
// POOLED: the output of the convolution is there only as the maxima of tiles of 2 x 2 and their
// winners. The forward pass makes them, in pairs of lanes that have the two rows of tiles; the data
// gradient reads the maxima's gradient and the winners instead of the source.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "common.glsl"
#include "activation.glsl"
#include "conv2d_rows.glsl"
#include "max_pool2d_winners.glsl"

layout(constant_id = 1) const uint ADD_BIAS = 0;
layout(constant_id = 2) const uint ACTIVATION = 0;           // applied to the result
layout(constant_id = 3) const uint ACTIVATION_GRADIENT = 0;  // multiplies by the derivative
layout(constant_id = 12) const uint DATA_GRADIENT = 0;
layout(constant_id = 13) const uint CHANNELS = 1;      // of the result, per invocation
layout(constant_id = 14) const uint COLUMNS = 1;       // of the result, per invocation
layout(constant_id = 15) const uint TILES = 1;         // of a row of the result
layout(constant_id = 16) const uint SOURCE_WIDTH = 1;
layout(constant_id = 17) const uint RESULT_WIDTH = 1;
// Floats of a texel of the source, and of a store and of a texel of the output: 1, 2 or 4, as the
// width of the rows allows.
layout(constant_id = 18) const uint LOAD = 1;
layout(constant_id = 19) const uint STORE = 1;
layout(constant_id = 20) const uint ROWS = 1;  // of the result (or tiles of them), per invocation
// Rows of the kernel, counted through all source channels, that a turn of the loop takes.
layout(constant_id = 22) const uint KERNEL_ROWS = 1;
layout(constant_id = 23) const uint POOLED = 0;
// Tiles of channels that an invocation makes one after the other from the same rows of the source: more
// than 1 where KERNEL_ROWS is all of them, so that it holds them and no sum waits for a next turn.
layout(constant_id = 24) const uint CHANNEL_TURNS = 1;

layout(set = 0, binding = 8) uniform samplerBuffer source_texels;
layout(set = 0, binding = 9) uniform samplerBuffer weight_texels;  // of a float, of four for CHANNEL_TURNS
layout(set = 0, binding = 2, std430) writeonly buffer Result1 { float result1[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Result2 { vec2 result2[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Result4 { vec4 result4[]; };
layout(set = 0, binding = 11) uniform samplerBuffer bias_texels;  // of one float
layout(set = 0, binding = 12) uniform samplerBuffer output_texels;
layout(set = 0, binding = 5, std430) writeonly buffer Winners { uint winners[]; };
layout(set = 0, binding = 14) uniform usamplerBuffer winners_texels;  // of one word

// In elements.
layout(push_constant, std430) uniform Push {
    uint batch;
    uint source_row, result_row;            // of an image in memory: of the maxima where POOLED
    uint source_channels, result_channels;  // of a group
    uint source_height, result_height;
    uint channel_tiles;  // of a group
    uint groups;
    uint weight_row;
    uint source_replica, weight_replica, result_replica, bias_replica, output_replica;
    uint winners_row, winners_replica;
    float alpha;
    float scale, unscale;  // MIXED only, of the gradient that is read: see gemm.glsl
} p;

// The rows of the result that the same rows of the kernel meet, every PHASES-th, are a phase. A
// workgroup has rows of one phase, which skips the others of the kernel.
const uint PHASES = DATA_GRADIENT != 0 && DILATION_HEIGHT == 1 ? STRIDE_HEIGHT : 1;

const bool POOLS = POOLED != 0 && DATA_GRADIENT == 0;
const bool READS_POOLED = POOLED != 0 && DATA_GRADIENT != 0;

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
        if (PHASES == 1) exists = exists && found % int(STRIDE_HEIGHT) == 0;
        found /= int(STRIDE_HEIGHT);
    }
    source_row = uint(found);
    return exists && source_row < p.source_height;
}

// Sizes of an invocation's arrays; nn/ops/conv2d_rows.cpp and conv2d_rows_tiles.h keep to them.
const uint MAX_CHANNELS = 16;
const uint MAX_COLUMNS = 32;  // of all rows
const uint MAX_KERNEL_WIDTH = 8;
const uint MAX_KERNEL_ROWS = 8;
const uint LANE_CHANNELS = (CHANNELS + LANES - 1) / LANES;  // whose weights and bias a lane loads
const uint PIXELS = ROWS * COLUMNS;
const uint WEIGHTS = KERNEL_ROWS * KERNEL_WIDTH;  // of a channel, in a turn

float sum[MAX_CHANNELS * MAX_COLUMNS];         // [channel][row][column]
float segment[MAX_KERNEL_ROWS * MAX_SPAN];     // [kernel row][row][column of the source]
float lane_weight[LANE_CHANNELS * MAX_KERNEL_ROWS * MAX_KERNEL_WIDTH];  // [l][kernel row][column]

// Of the invocation's rows of the result.
uint row[ROWS];
uint image[ROWS];
uint column0[ROWS];
bool row_exists[ROWS];
// Where the weights of the lane's channels begin.
uint weights[LANE_CHANNELS];
float channel_bias[CHANNELS];

// Source columns that a row of the result reads.
uint span() {
    uint last = DATA_GRADIENT != 0 ? 0 : KERNEL_WIDTH - 1;
    return uint(relative(COLUMNS - 1, last) - first_relative()) + 1;
}

// The source columns that the tile reads in the row that begins at `base`; where the row does not
// exist, and outside of it, 0.
void load_segment(uint at, uint base, bool exists, int source_column0) {
    [[unroll]] for (uint k = 0; k < span(); ++k) segment[at + k] = 0.0;
    if (TILES == 1) {
        [[unroll]] for (uint k = 0; k < SOURCE_WIDTH; k += LOAD) {
            vec4 loaded = operand(texelFetch(source_texels, int((base + k) / LOAD)), p.scale);
            [[unroll]] for (uint part = 0; part < LOAD; ++part) {
                int place = int(k + part) - first_relative();
                if (place >= 0 && place < int(span())) {
                    segment[at + place] = exists ? loaded[part] : 0.0;
                }
            }
        }
    } else {
        [[unroll]] for (uint k = 0; k < span(); ++k) {
            int column = source_column0 + first_relative() + int(k);
            bool inside = exists && column >= 0 && column < int(SOURCE_WIDTH);
            int place = int(base) + clamp(column, 0, int(SOURCE_WIDTH) - 1);
            float loaded = texelFetch(source_texels, place).x;
            segment[at + k] = inside ? operand(loaded, p.scale) : 0.0;
        }
    }
}

// The same from a row of tiles; `winning`: the columns that won in the source's row.
void load_tiles(uint at, uint base, uint winning) {
    [[unroll]] for (uint k = 0; k < span(); ++k) segment[at + k] = 0.0;
    [[unroll]] for (uint k = 0; k < SOURCE_WIDTH / 2; k += LOAD) {
        vec4 loaded = operand(texelFetch(source_texels, int((base + k) / LOAD)), p.scale);
        [[unroll]] for (uint part = 0; part < 2 * LOAD; ++part) {
            uint column = 2 * k + part;
            int place = int(column) - first_relative();
            if (place >= 0 && place < int(span()))
                segment[at + place] = gradient_of(loaded[part / 2], winning, column);
        }
    }
}

// The phase's rows of the kernel: `first_kernel_row` and every PHASES-th from there.
uint first_kernel_row;
const uint LEAST_KERNEL_ROWS = KERNEL_HEIGHT / PHASES;
bool one_more() { return first_kernel_row < KERNEL_HEIGHT % PHASES; }
uint kernel_row_count() { return p.source_channels * (LEAST_KERNEL_ROWS + uint(one_more())); }

// Of a source channel and its rows of the kernel, counted through; divides by constants.
void split_kernel_row(uint kernel_row, out uint channel, out uint i) {
    uint count = one_more() ? LEAST_KERNEL_ROWS + 1 : max(LEAST_KERNEL_ROWS, 1);
    channel = one_more() ? kernel_row / (LEAST_KERNEL_ROWS + 1) : kernel_row / max(LEAST_KERNEL_ROWS, 1);
    i = first_kernel_row + (kernel_row - channel * count) * PHASES;
}

uint source_plane() { return p.source_height * SOURCE_WIDTH / (READS_POOLED ? 4 : 1); }

// Past the last kernel row the last one stands, and what it reads is 0.
bool is_past(uint kernel_row) { return KERNEL_ROWS > 1 && kernel_row >= kernel_row_count(); }
void find_kernel_row(uint kernel_row, out uint channel, out uint i) {
    if (KERNEL_ROWS > 1) kernel_row = min(kernel_row, kernel_row_count() - 1);
    split_kernel_row(kernel_row, channel, i);
}

// Source rows of kernel row `kernel_row`, the `k`th of the turn. `source`, `source_winners`: where the
// group's channels begin.
void load_source_rows(uint k, uint kernel_row, uint source, uint source_winners) {
    bool past = is_past(kernel_row);
    uint c, i;
    find_kernel_row(kernel_row, c, i);
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
        uint source_row;
        bool exists = source_row_of(row[r], i, source_row) && !past;
        uint at = (k * ROWS + r) * span();
        uint image_start = source + image[r] * p.source_row;
        uint channel_row = c * p.source_height + (exists ? source_row : 0);
        if (READS_POOLED) {
            uint word = source_winners + image[r] * p.winners_row + channel_row / 2;
            uint winning = winning_columns(texelFetch(winners_texels, int(word)).x, channel_row);
            load_tiles(at, image_start + channel_row / 2 * (SOURCE_WIDTH / 2), exists ? winning : 0);
        } else {
            int source_column0 = DATA_GRADIENT != 0 ? int(column0[r] / STRIDE_WIDTH)
                                                    : int(column0[r] * STRIDE_WIDTH);
            load_segment(at, image_start + channel_row * SOURCE_WIDTH, exists, source_column0);
        }
    }
}

// Weights of the same.
void load_weights(uint k, uint kernel_row) {
    uint c, i;
    find_kernel_row(kernel_row, c, i);
    uint source_step = DATA_GRADIENT != 0 ? p.weight_row : TAPS;
    [[unroll]] for (uint l = 0; l < LANE_CHANNELS; ++l) {
        [[unroll]] for (uint j = 0; j < KERNEL_WIDTH; ++j) {
            int at = int(weights[l] + c * source_step + i * KERNEL_WIDTH + j);
            lane_weight[l * WEIGHTS + k * KERNEL_WIDTH + j] =
                operand(texelFetch(weight_texels, at).x, 1.0);
        }
    }
}

// All weights of the lane's channels, for CHANNEL_TURNS: in memory they follow each other.
void load_all_weights() {
    [[unroll]] for (uint l = 0; l < LANE_CHANNELS; ++l) {
        [[unroll]] for (uint w = 0; w < WEIGHTS; w += 4) {
            vec4 loaded = operand(texelFetch(weight_texels, int((weights[l] + w) / 4)), 1.0);
            [[unroll]] for (uint part = 0; part < 4; ++part) {
                if (w + part < WEIGHTS) lane_weight[l * WEIGHTS + w + part] = loaded[part];
            }
        }
    }
}

// Adds to all sums what the turn loaded. Each lane has the weights of one channel in LANES and
// hands them to the others: a load in a loop is one load per lane in lavapipe, whatever its address,
// and a shuffle from a constant lane one permutation.
void add_products() {
    [[unroll]] for (uint o = 0; o < CHANNELS; ++o) {
        float tap[MAX_KERNEL_ROWS * MAX_KERNEL_WIDTH];
        [[unroll]] for (uint w = 0; w < WEIGHTS; ++w)
            tap[w] = subgroupShuffle(lane_weight[o / LANES * WEIGHTS + w], o % LANES);
        [[unroll]] for (uint pixel = 0; pixel < PIXELS; ++pixel) {
            uint column = pixel % COLUMNS;
            float total = sum[o * PIXELS + pixel];
            [[unroll]] for (uint w = 0; w < WEIGHTS; ++w) {
                uint j = w % KERNEL_WIDTH;
                uint base = (w / KERNEL_WIDTH * ROWS + pixel / COLUMNS) * span();
                if (meets(column, j)) {
                    float met = segment[base + relative(column, j) - first_relative()];
                    total = fma(tap[w], met, total);
                }
            }
            sum[o * PIXELS + pixel] = total;
        }
    }
}

#include "conv2d_rows_store.glsl"
#include "conv2d_rows_pooled.glsl"

// Which rows of the result (or tiles of them) the invocation has; `workgroup` counts through those of
// a tile of channels, phase by phase.
void find_rows(uint workgroup) {
    uint phase_rows = (p.result_height + PHASES - 1) / PHASES;
    uint items = p.batch * phase_rows * TILES;  // of a phase
    uint workgroups = (items + LANES * ROWS - 1) / (LANES * ROWS);
    uint phase = PHASES == 1 ? 0 : workgroup / workgroups;
    first_kernel_row = (phase + PADDING_TOP) % PHASES;
    uint first_item = ((workgroup - phase * workgroups) * LANES + gl_LocalInvocationID.x) * ROWS;
    // Pairs of lanes have the rows of a pair of invocations, each every second one.
    if (POOLS) first_item -= gl_LocalInvocationID.x % 2 * (ROWS - 1);

    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
        uint found = first_item + r * (POOLS ? 2 : 1);
        uint item = min(found, items - 1);
        column0[r] = item % TILES * COLUMNS;
        row[r] = item / TILES % phase_rows * PHASES + phase;
        image[r] = item / TILES / phase_rows;
        row_exists[r] = found < items && phase < PHASES && row[r] < p.result_height;
    }
}

float lane_bias[LANE_CHANNELS];

// Where the lanes' channels begin, counted from `channel0` of the group; their bias; and sums of 0.
void begin_channels(uint group, uint channel0) {
    // Between the weights of two channels of the result.
    uint result_step = DATA_GRADIENT != 0 ? TAPS : p.weight_row;
    uint weight_rows = DATA_GRADIENT != 0 ? p.source_channels : p.result_channels;  // of a group
    [[unroll]] for (uint l = 0; l < LANE_CHANNELS; ++l) {
        uint channel = min(channel0 + l * LANES + gl_LocalInvocationID.x, p.result_channels - 1);
        weights[l] = replica() * p.weight_replica + group * weight_rows * p.weight_row +
                     channel * result_step;
        uint at = replica() * p.bias_replica + group * p.result_channels + channel;
        lane_bias[l] = ADD_BIAS != 0 ? texelFetch(bias_texels, int(at)).x : 0.0;
    }
    [[unroll]] for (uint e = 0; e < CHANNELS * PIXELS; ++e) sum[e] = 0.0;
}

void end_channels(uint group, uint channel0) {
    [[unroll]] for (uint o = 0; o < CHANNELS; ++o)
        channel_bias[o] = subgroupShuffle(lane_bias[o / LANES], o % LANES);
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
        if (POOLS) {
            store_tiles(r, group, channel0);
        } else {
            store_row(r, group, channel0);
        }
    }
}

void main() {
    uint tile = group_index();
    uint channel0 = tile % p.channel_tiles * CHANNELS * CHANNEL_TURNS;  // within the group
    tile /= p.channel_tiles;
    uint group = tile % p.groups;
    find_rows(tile / p.groups);
    uint source = replica() * p.source_replica + group * p.source_channels * source_plane();
    uint source_winners =
        replica() * p.winners_replica + group * p.source_channels * (p.source_height / 2);

    if (CHANNEL_TURNS > 1) {
        [[unroll]] for (uint k = 0; k < KERNEL_ROWS; ++k) load_source_rows(k, k, source, source_winners);
        uint end = min(channel0 + CHANNELS * CHANNEL_TURNS, p.result_channels);
        for (; channel0 < end; channel0 += CHANNELS) {
            begin_channels(group, channel0);
            load_all_weights();
            add_products();
            end_channels(group, channel0);
        }
        return;
    }
    begin_channels(group, channel0);
    // One loop over channels and kernel rows: at each turn of a loop, and at each level of loops, a
    // CPU driver moves all sums between registers and memory, and selects each by the lanes that are
    // still in the loop.
    for (uint first = 0; first < kernel_row_count(); first += KERNEL_ROWS) {
        [[unroll]] for (uint k = 0; k < KERNEL_ROWS; ++k) {
            load_source_rows(k, first + k, source, source_winners);
            load_weights(k, first + k);
        }
        add_products();
    }
    end_channels(group, channel0);
}
