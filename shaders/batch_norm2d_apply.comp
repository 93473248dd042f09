// y = f(weight * (x - mean) * inv_std + bias) for [N, C, H, W], in training and evaluation.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"
#include "texels.glsl"
#include "batch_norm2d.glsl"
#include "activation.glsl"
layout(constant_id = 3) const uint ACTIVATION = 0;

READ_VEC4(2, x)
READ_FLOAT(3, weight)
READ_FLOAT(4, bias)
layout(set = 0, binding = 5, std430) writeonly buffer Y { vec4 y[]; };

layout(push_constant, std430) uniform Push {
    Normalisation normalisation;
    uint parameter_replica;  // in floats
    uint x_replica;          // in vec4
    uint y_replica;
    float alpha;
} p;

void main() {
    Planes s = p.normalisation.planes;
    if (column4() >= s.row_stride) return;
    uvec4 channel = channels_of_columns(s);
    Statistics statistics = load_statistics(p.normalisation, channel);
    uint parameter = replica() * p.parameter_replica;
    // Zeros make the padding f(0).
    vec4 factor = mix(vec4(0.0), OF_CHANNELS(weight, parameter, channel) * statistics.inv_std,
                      valid_columns(s));
    vec4 offset = mix(vec4(0.0), OF_CHANNELS(bias, parameter, channel), valid_columns(s));
    uint x_at = replica() * p.x_replica + column4();
    uint y_at = replica() * p.y_replica + column4();
    for (uint row = begin_row(s); row < end_row(s); ++row) {
        vec4 normalised = centre(load_x(x_at + row * s.row_stride), statistics) * factor + offset;
        y[y_at + row * s.row_stride] = activate(ACTIVATION, normalised, p.alpha);
    }
}
