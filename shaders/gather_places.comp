// Finds the step's images in the data set for products that read them there: writes the first texel of
// each, and its label. An invocation for each image; see nn/ops/gather_batch.h.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "step_state.glsl"

layout(set = 0, binding = 0, std430) readonly buffer Labels { uint labels[]; };
layout(set = 0, binding = 1, std430) readonly buffer Indices { uint indices[]; };
layout(set = 0, binding = 2, std430) readonly buffer State { StepState state[]; };
layout(set = 0, binding = 3, std430) writeonly buffer Places { uint places[]; };
layout(set = 0, binding = 4, std430) writeonly buffer BatchLabels { uint batch_labels[]; };

layout(push_constant, std430) uniform Push {
    uint batch;
    uint image_stride;   // texels of 4 bytes
    uint batch_stride;   // indices between the first of two steps
    uint index_replica;
    uint state_replica;  // in StepState
    uint place_replica;
    uint label_replica;
} p;

void main() {
    uint row = item_index();
    if (row >= p.batch) return;
    uint step = state[replica() * p.state_replica].step_in_epoch;
    uint image = indices[replica() * p.index_replica + step * p.batch_stride + row];
    places[replica() * p.place_replica + row] = image * p.image_stride;
    batch_labels[replica() * p.label_replica + row] = labels[image];
}
