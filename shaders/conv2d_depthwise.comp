// Convolution with one input channel per group forward, and its data gradient in gather form: a quad
// of the result an invocation. See conv2d_depthwise.glsl.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"
#include "conv2d_depthwise.glsl"

layout(constant_id = 2) const uint ACTIVATION = 0;           // applied to the result
layout(constant_id = 3) const uint ACTIVATION_GRADIENT = 0;  // multiplies by the derivative
layout(constant_id = 12) const uint DATA_GRADIENT = 0;       // source dy, result dx

layout(set = 0, binding = 0, std430) readonly buffer Source { float source[]; };
layout(set = 0, binding = 1, std430) readonly buffer Weight { float weight[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Result { float result[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Result4 { vec4 result4[]; };
layout(set = 0, binding = 3, std430) readonly buffer Bias { float bias[]; };
layout(set = 0, binding = 4, std430) readonly buffer Output { float activation_output[]; };

// Places in the source are counted in columns and rows of the input; for the data gradient a place
// has a source where the stride divides it.
const int COLUMN_STEP = DATA_GRADIENT != 0 ? 1 : int(STRIDE_WIDTH);
const int TAP_STEP = DATA_GRADIENT != 0 ? -int(DILATION_WIDTH) : int(DILATION_WIDTH);
// The next tap of the kernel reads the places of this one moved by one column of the quad.
const bool SLIDES = DILATION_WIDTH == (DATA_GRADIENT != 0 ? 1 : STRIDE_WIDTH);

bool find_source(int place, uint stride, uint size, out uint index) {
    bool exists = place >= 0;
    if (DATA_GRADIENT != 0) {
        exists = exists && place % int(stride) == 0;
        place /= int(stride);
    }
    index = uint(place);
    return exists && index < size;
}

float source_at(uint line, int place) {
    uint column;
    bool exists = find_source(place, STRIDE_WIDTH,
                              DATA_GRADIENT != 0 ? p.out_width : p.in_width, column);
    return exists ? source[line + column] : 0.0;
}

vec4 source_quad(uint line, int place) {
    return vec4(source_at(line, place), source_at(line, place + COLUMN_STEP),
                source_at(line, place + 2 * COLUMN_STEP), source_at(line, place + 3 * COLUMN_STEP));
}

// Adds what one row of the kernel contributes.
void add_row(uint line, int place, uint weights, inout vec4 sum) {
    vec4 x = source_quad(line, place);
    for (uint j = 0; j < KERNEL_WIDTH; ++j) {
        sum = fma(vec4(weight[weights + j]), x, sum);
        if (j + 1 == KERNEL_WIDTH) break;
        place += TAP_STEP;
        if (!SLIDES) {
            x = source_quad(line, place);
        } else if (DATA_GRADIENT != 0) {
            x = vec4(source_at(line, place), x.xyz);
        } else {
            x = vec4(x.yzw, source_at(line, place + 3 * COLUMN_STEP));
        }
    }
}

// Adds what one output channel's kernel contributes; `plane` is the source's.
void add_kernel(uint plane, uint out_channel, Quad quad, inout vec4 sum) {
    uint weights = replica() * p.weight_replica + out_channel * p.weight_row;
    int top = DATA_GRADIENT != 0 ? int(quad.row + PADDING_TOP)
                                 : int(quad.row * STRIDE_HEIGHT) - int(PADDING_TOP);
    int left = DATA_GRADIENT != 0 ? int(quad.column + PADDING_LEFT)
                                  : int(quad.column * STRIDE_WIDTH) - int(PADDING_LEFT);
    uint height = DATA_GRADIENT != 0 ? p.out_height : p.in_height;
    uint width = DATA_GRADIENT != 0 ? p.out_width : p.in_width;
    for (uint i = 0; i < KERNEL_HEIGHT; ++i) {
        int down = int(i * DILATION_HEIGHT);
        uint row;
        if (find_source(DATA_GRADIENT != 0 ? top - down : top + down, STRIDE_HEIGHT, height, row))
            add_row(plane + row * width, left, weights + i * KERNEL_WIDTH, sum);
    }
}

void store(uint channel, uint channels, Quad quad, vec4 value) {
    uint height = DATA_GRADIENT != 0 ? p.in_height : p.out_height;
    uint width = DATA_GRADIENT != 0 ? p.in_width : p.out_width;
    uint image_row = DATA_GRADIENT != 0 ? p.in_row : p.out_row;
    uint image = replica() * (DATA_GRADIENT != 0 ? p.in_replica : p.out_replica) +
                 quad.image * image_row;
    uint first = (channel * height + quad.row) * width + quad.column;
    uint count = min(4, width - quad.column);
    if (BIAS != 0) value += bias[replica() * p.bias_replica + channel];
    value = activate(ACTIVATION, value, p.alpha);
    if (ACTIVATION_GRADIENT != 0) {
        uint outputs = replica() * p.output_replica + quad.image * image_row + first;
        vec4 y = vec4(0.0);
        for (uint i = 0; i < count; ++i) y[i] = activation_output[outputs + i];
        value *= activation_derivative(ACTIVATION_GRADIENT, y, p.alpha);
    }
    if (width % 4 == 0) {
        result4[(image + first) / 4] = value;
    } else {
        for (uint i = 0; i < count; ++i) result[image + first + i] = value[i];
    }
    // The columns behind the last plane of an image stay finite.
    if (first + count < channels * height * width) return;
    for (uint i = channels * height * width; i < image_row; ++i) result[image + i] = 0.0;
}

void main() {
    uint channels = DATA_GRADIENT != 0 ? p.groups : p.groups * p.out_channels;
    uint channel = group_index() % channels;
    Quad quad = find_quad(group_index() / channels * gl_WorkGroupSize.x + gl_LocalInvocationID.x,
                          DATA_GRADIENT != 0 ? p.in_height : p.out_height,
                          DATA_GRADIENT != 0 ? p.in_width : p.out_width);
    if (quad.image >= p.batch) return;
    vec4 sum = vec4(0.0);
    if (DATA_GRADIENT != 0) {
        uint image = replica() * p.out_replica + quad.image * p.out_row;
        for (uint i = 0; i < p.out_channels; ++i) {
            uint out_channel = channel * p.out_channels + i;
            add_kernel(image + out_channel * p.out_height * p.out_width, out_channel, quad, sum);
        }
    } else {
        uint image = replica() * p.in_replica + quad.image * p.in_row;
        add_kernel(image + channel / p.out_channels * p.in_height * p.in_width, channel, quad, sum);
    }
    store(channel, channels, quad, sum);
}
