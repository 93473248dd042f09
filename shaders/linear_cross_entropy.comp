// A classifier's last linear layer with its loss and what goes backwards from there, for few
// classes: logits = x W^T + b, which are never stored, their softmax cross-entropy as in
// softmax_cross_entropy.comp, the gradient of the logits, and the data gradient dx = gradient W, with
// the derivative of the activation whose output x is. An invocation takes ROWS rows.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_control_flow_attributes : require
#include "common.glsl"
#include "activation.glsl"
#include "texels.glsl"

layout(constant_id = 1) const uint CLASSES = 1;
layout(constant_id = 2) const uint ROWS = 1;
layout(constant_id = 3) const uint ADD_BIAS = 0;
layout(constant_id = 4) const uint SMOOTHING = 0;
layout(constant_id = 5) const uint DATA_GRADIENT = 0;
layout(constant_id = 6) const uint ACTIVATION_GRADIENT = 0;  // multiplies dx by the derivative

READ_VEC4(0, x)
READ_VEC4(1, weight)
layout(set = 0, binding = 2, std430) readonly buffer Bias { float bias[]; };
layout(set = 0, binding = 3, std430) readonly buffer Labels { uint labels[]; };
layout(set = 0, binding = 4, std430) writeonly buffer Loss { float loss[]; };
layout(set = 0, binding = 5, std430) writeonly buffer Correct { uint correct[]; };
layout(set = 0, binding = 6, std430) writeonly buffer Gradient { vec4 gradient[]; };
layout(set = 0, binding = 7, std430) writeonly buffer DataGradient { vec4 dx[]; };

layout(push_constant, std430) uniform Push {
    uint batch;
    uint columns;        // of x, dx and W, in vec4; padding of W's rows is zero
    uint inputs;         // the columns without padding
    uint x_replica;      // vec4
    uint weight_replica; // vec4
    uint bias_replica;
    uint labels_replica;
    uint loss_replica;
    uint correct_replica;
    uint gradient_replica;  // vec4
    uint dx_replica;        // vec4
    float gradient_scale;   // 1 / batch
    float label_weight;     // 1 - smoothing
    float class_weight;     // smoothing / classes
    float alpha;            // of the activation
} p;

const uint CLASSES4 = (CLASSES + 3) / 4;

float values[ROWS * CLASSES];  // of this invocation's rows: logits, then their gradient
uint x_row[ROWS];              // where a row of x begins; those past the batch are its last

void sum_products(uint weights) {
    [[unroll]] for (uint i = 0; i < ROWS * CLASSES; ++i) values[i] = 0.0;
    for (uint k = 0; k < p.columns; ++k) {
        vec4 left[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; ++r) left[r] = load_x(x_row[r] + k);
        [[unroll]] for (uint c = 0; c < CLASSES; ++c) {
            vec4 right = load_weight(weights + c * p.columns + k);
            [[unroll]] for (uint r = 0; r < ROWS; ++r) {
                float sum = values[r * CLASSES + c];
                [[unroll]] for (uint i = 0; i < 4; ++i) sum = fma(left[r][i], right[i], sum);
                values[r * CLASSES + c] = sum;
            }
        }
    }
    if (ADD_BIAS == 0) return;
    [[unroll]] for (uint c = 0; c < CLASSES; ++c) {
        float added = bias[replica() * p.bias_replica + c];
        [[unroll]] for (uint r = 0; r < ROWS; ++r) values[r * CLASSES + c] += added;
    }
}

// Of row number r of this invocation, `row` of the batch: loss, hit, and its logits' gradient.
void end_row(uint r, uint row) {
    uint first = r * CLASSES;
    float largest = values[first];
    uint prediction = 0;
    [[unroll]] for (uint c = 1; c < CLASSES; ++c) {
        if (values[first + c] > largest) {
            largest = values[first + c];
            prediction = c;
        }
    }
    uint label = labels[replica() * p.labels_replica + row];
    float sum = 0.0, shifted_sum = 0.0, hit = 0.0;
    [[unroll]] for (uint c = 0; c < CLASSES; ++c) {
        float shifted = values[first + c] - largest;
        if (c == label) hit = shifted;
        if (SMOOTHING != 0) shifted_sum += shifted;
        values[first + c] = exp(shifted);
        sum += values[first + c];
    }
    if (SMOOTHING != 0) hit = p.label_weight * hit + p.class_weight * shifted_sum;
    loss[replica() * p.loss_replica + row] = log(sum) - hit;
    correct[replica() * p.correct_replica + row] = prediction == label ? 1 : 0;
    [[unroll]] for (uint c = 0; c < CLASSES; ++c) {
        float expected = c == label ? 1.0 : 0.0;
        if (SMOOTHING != 0) expected = p.label_weight * expected + p.class_weight;
        values[first + c] = (values[first + c] / sum - expected) * p.gradient_scale;
    }
}

// Columns past the classes become 0.
void store_gradient(uint r, uint row) {
    uint target = replica() * p.gradient_replica + row * CLASSES4;
    [[unroll]] for (uint c4 = 0; c4 < CLASSES4; ++c4) {
        vec4 four = vec4(0.0);
        [[unroll]] for (uint i = 0; i < 4; ++i) {
            if (c4 * 4 + i < CLASSES) four[i] = values[r * CLASSES + c4 * 4 + i];
        }
        gradient[target + c4] = four;
    }
}

// Of columns `first` to `first` + 3; where x's padding is large, its derivative need not be finite.
vec4 without_padding(vec4 value, uint first) {
    return mix(vec4(0.0), value, lessThan(first + uvec4(0, 1, 2, 3), uvec4(p.inputs)));
}

void make_data_gradient(uint row0, uint weights) {
    uint target = replica() * p.dx_replica + row0 * p.columns;
    for (uint k = 0; k < p.columns; ++k) {
        vec4 sums[ROWS];
        [[unroll]] for (uint r = 0; r < ROWS; ++r) sums[r] = vec4(0.0);
        [[unroll]] for (uint c = 0; c < CLASSES; ++c) {
            vec4 right = load_weight(weights + c * p.columns + k);
            [[unroll]] for (uint r = 0; r < ROWS; ++r)
                sums[r] = fma(vec4(values[r * CLASSES + c]), right, sums[r]);
        }
        [[unroll]] for (uint r = 0; r < ROWS; ++r) {
            if (ACTIVATION_GRADIENT != 0)
                sums[r] *= activation_derivative(ACTIVATION_GRADIENT, load_x(x_row[r] + k), p.alpha);
            if (row0 + r < p.batch) dx[target + r * p.columns + k] = without_padding(sums[r], 4 * k);
        }
    }
}

void main() {
    uint row0 = item_index() * ROWS;
    if (row0 >= p.batch) return;
    uint weights = replica() * p.weight_replica;
    [[unroll]] for (uint r = 0; r < ROWS; ++r)
        x_row[r] = replica() * p.x_replica + min(row0 + r, p.batch - 1) * p.columns;
    sum_products(weights);
    [[unroll]] for (uint r = 0; r < ROWS; ++r) {
        if (row0 + r < p.batch) {
            end_row(r, row0 + r);
            store_gradient(r, row0 + r);
        }
    }
    if (DATA_GRADIENT != 0) make_data_gradient(row0, weights);
}
