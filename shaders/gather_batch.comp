// Makes a batch from the data set on the device: picks the step's images and labels by index and
// normalises the bytes. One invocation moves four pixels.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "step_state.glsl"

layout(set = 0, binding = 0, std430) readonly buffer Images { uint images[]; };  // 4 bytes a word
layout(set = 0, binding = 1, std430) readonly buffer Labels { uint labels[]; };
layout(set = 0, binding = 2, std430) readonly buffer Indices { uint indices[]; };
layout(set = 0, binding = 3, std430) readonly buffer State { StepState state[]; };
layout(set = 0, binding = 4, std430) writeonly buffer X { vec4 x[]; };
layout(set = 0, binding = 5, std430) writeonly buffer BatchLabels { uint batch_labels[]; };

layout(push_constant, std430) uniform Push {
    uint batch;
    uint row_words;      // of an image and of x, in words and vec4
    uint image_stride;   // words
    uint batch_stride;   // indices between the first of two steps
    uint index_replica;
    uint state_replica;  // in StepState
    uint x_replica;      // vec4
    uint label_replica;
    float scale;         // x = byte * scale + shift
    float shift;
} p;

void main() {
    uint item = item_index();
    if (item >= p.batch * p.row_words) return;
    uint row = item / p.row_words;
    uint word = item % p.row_words;
    uint step = state[replica() * p.state_replica].step_in_epoch;
    uint image = indices[replica() * p.index_replica + step * p.batch_stride + row];
    uint bytes = images[image * p.image_stride + word];
    uvec4 pixels = (uvec4(bytes) >> uvec4(0, 8, 16, 24)) & 255u;
    x[replica() * p.x_replica + item] = fma(vec4(pixels), vec4(p.scale), vec4(p.shift));
    if (word == 0) batch_labels[replica() * p.label_replica + row] = labels[image];
}
