// counts[label][prediction] += 1 for one row of logits an invocation; the prediction is the first
// largest logit. Integer additions commute: the counts do not depend on their order.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(set = 0, binding = 0, std430) readonly buffer Logits { vec4 logits[]; };
layout(set = 0, binding = 1, std430) readonly buffer Labels { uint labels[]; };
layout(set = 0, binding = 2, std430) buffer Counts { uint counts[]; };

layout(push_constant, std430) uniform Push {
    uint batch;
    uint classes;
    uint row_stride;      // in vec4
    uint logits_replica;  // in vec4
    uint labels_replica;
    uint counts_replica;
} p;

void main() {
    uint row = item_index();
    if (row >= p.batch) return;
    uint base = replica() * p.logits_replica + row * p.row_stride;
    float largest = logits[base].x;
    uint prediction = 0;
    for (uint i = 0; i < p.row_stride; ++i) {
        vec4 values = logits[base + i];
        for (uint k = 0; k < 4; ++k) {
            uint column = 4 * i + k;
            if (column < p.classes && values[k] > largest) {
                largest = values[k];
                prediction = column;
            }
        }
    }
    uint label = labels[replica() * p.labels_replica + row];
    // Rows of the counts are as long as rows of logits.
    atomicAdd(counts[replica() * p.counts_replica + label * 4 * p.row_stride + prediction], 1);
}
