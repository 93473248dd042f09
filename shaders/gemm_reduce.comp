// Second pass of split-K: C = sum over splits of the partial products, and the same for the bias
// gradients that stand behind them. The order of the sum is fixed.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(set = 0, binding = 0, std430) readonly buffer Partial { vec4 partial_sum[]; };
layout(set = 0, binding = 1, std430) writeonly buffer C { vec4 c[]; };
layout(set = 0, binding = 2, std430) writeonly buffer BiasGradient { vec4 bias_gradient[]; };

// In vec4.
layout(push_constant, std430) uniform Push {
    uint c_size;
    uint bias_size;  // 0: none
    uint splits;
    uint split_stride;
    uint partial_replica;
    uint c_replica;
    uint bias_replica;
} p;

void main() {
    uint item = item_index();
    if (item >= p.c_size + p.bias_size) return;
    uint source = replica() * p.partial_replica + item;
    vec4 sum = vec4(0.0);
    for (uint split = 0; split < p.splits; ++split) sum += partial_sum[source + split * p.split_stride];
    if (item < p.c_size) {
        c[replica() * p.c_replica + item] = sum;
    } else {
        bias_gradient[replica() * p.bias_replica + item - p.c_size] = sum;
    }
}
