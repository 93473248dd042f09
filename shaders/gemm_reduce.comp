// Second pass of split-K: C = sum over splits of the partial products, with the epilogue that the
// first pass left out, and the sums of the bias gradients that stand behind them. The order of the
// sum is fixed.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "activation.glsl"

layout(set = 0, binding = 0, std430) readonly buffer Partial { vec4 partial_sum[]; };
layout(set = 0, binding = 1, std430) writeonly buffer C { vec4 c[]; };
layout(set = 0, binding = 2, std430) writeonly buffer BiasGradient { vec4 bias_gradient[]; };
layout(set = 0, binding = 3, std430) readonly buffer Bias { vec4 bias[]; };
layout(set = 0, binding = 4, std430) readonly buffer Output { vec4 activation_output[]; };

layout(constant_id = 1) const uint ADD_BIAS = 0;
layout(constant_id = 2) const uint ACTIVATION = 0;
layout(constant_id = 3) const uint ACTIVATION_GRADIENT = 0;

// In vec4, but for `columns`.
layout(push_constant, std430) uniform Push {
    uint c_size;
    uint bias_size;  // of the bias gradient; 0: none
    uint splits;
    uint split_stride;
    uint partial_replica;
    uint c_replica;
    uint bias_gradient_replica;
    uint c_stride;
    uint columns;  // elements of a row
    uint bias_replica;
    uint output_replica;
    float alpha;
} p;

// As in gemm.glsl; padding becomes 0.
vec4 finish(vec4 value, uint item) {
    uint column4 = item % p.c_stride;
    if (ADD_BIAS != 0) value += bias[replica() * p.bias_replica + column4];
    value = activate(ACTIVATION, value, p.alpha);
    if (ACTIVATION_GRADIENT != 0) {
        vec4 y = activation_output[replica() * p.output_replica + item];
        value *= activation_derivative(ACTIVATION_GRADIENT, y, p.alpha);
    }
    return mix(vec4(0.0), value, lessThan(4 * column4 + uvec4(0, 1, 2, 3), uvec4(p.columns)));
}

void main() {
    uint item = item_index();
    if (item >= p.c_size + p.bias_size) return;
    uint source = replica() * p.partial_replica + item;
    vec4 sum = vec4(0.0);
    for (uint split = 0; split < p.splits; ++split) sum += partial_sum[source + split * p.split_stride];
    if (item < p.c_size) {
        c[replica() * p.c_replica + item] = finish(sum, item);
    } else {
        bias_gradient[replica() * p.bias_gradient_replica + item - p.c_size] = sum;
    }
}
