// Softmax cross-entropy of one row an invocation: loss, whether the prediction hits, and the
// gradient of the batch's mean loss, (softmax - target) / batch. The target is onehot, or with
// label smoothing label_weight * onehot + class_weight.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(constant_id = 1) const uint WRITE_LOSS = 1;
layout(constant_id = 2) const uint WRITE_GRADIENT = 0;
layout(constant_id = 3) const uint SMOOTHING = 0;

layout(set = 0, binding = 0, std430) readonly buffer Logits { float logits[]; };
layout(set = 0, binding = 1, std430) readonly buffer Labels { uint labels[]; };
layout(set = 0, binding = 2, std430) writeonly buffer Loss { float loss[]; };
layout(set = 0, binding = 3, std430) writeonly buffer Correct { uint correct[]; };
layout(set = 0, binding = 4, std430) writeonly buffer Gradient { float gradient[]; };

layout(push_constant, std430) uniform Push {
    uint batch;
    uint classes;
    uint row_stride;
    uint logits_replica;
    uint labels_replica;
    uint loss_replica;
    uint correct_replica;
    uint gradient_replica;
    float gradient_scale;  // 1 / batch
    float label_weight;    // 1 - smoothing
    float class_weight;    // smoothing / classes
} p;

void main() {
    uint row = item_index();
    if (row >= p.batch) return;
    uint base = replica() * p.logits_replica + row * p.row_stride;
    float largest = logits[base];
    uint prediction = 0;
    for (uint i = 1; i < p.classes; ++i) {
        float value = logits[base + i];
        if (value > largest) {
            largest = value;
            prediction = i;
        }
    }
    float sum = 0.0;
    float logit_sum = 0.0;
    for (uint i = 0; i < p.classes; ++i) {
        float value = logits[base + i] - largest;
        sum += exp(value);
        if (SMOOTHING != 0) logit_sum += value;
    }
    uint label = labels[replica() * p.labels_replica + row];
    if (WRITE_LOSS != 0) {
        float hit = logits[base + label] - largest;
        if (SMOOTHING != 0) hit = p.label_weight * hit + p.class_weight * logit_sum;
        loss[replica() * p.loss_replica + row] = log(sum) - hit;
        correct[replica() * p.correct_replica + row] = prediction == label ? 1 : 0;
    }
    if (WRITE_GRADIENT != 0) {
        uint target = replica() * p.gradient_replica + row * p.row_stride;
        for (uint i = 0; i < p.row_stride; ++i) {
            float value = 0.0;
            if (i < p.classes) {
                float probability = exp(logits[base + i] - largest) / sum;
                float expected = i == label ? 1.0 : 0.0;
                if (SMOOTHING != 0) expected = p.label_weight * expected + p.class_weight;
                value = (probability - expected) * p.gradient_scale;
            }
            gradient[target + i] = value;
        }
    }
}
