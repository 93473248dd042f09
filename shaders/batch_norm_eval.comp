// Evaluation form of batch normalisation for [N, C], with the running statistics, and an activation.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "column_tile.glsl"
#include "activation.glsl"
#include "texels.glsl"
layout(constant_id = 1) const uint ACTIVATION = 0;

READ_VEC4(0, x)
layout(set = 0, binding = 1, std430) readonly buffer Weight { vec4 weight[]; };
layout(set = 0, binding = 2, std430) readonly buffer Bias { vec4 bias[]; };
layout(set = 0, binding = 3, std430) readonly buffer RunningMean { vec4 running_mean[]; };
layout(set = 0, binding = 4, std430) readonly buffer RunningVar { vec4 running_var[]; };
layout(set = 0, binding = 5, std430) writeonly buffer Y { vec4 y[]; };

// Strides in vec4.
layout(push_constant, std430) uniform Push {
    uint rows;
    uint row_stride;
    uint x_replica;
    uint parameter_replica;
    uint state_replica;
    uint y_replica;
    float epsilon;
    float alpha;
} p;

void main() {
    if (column4() >= p.row_stride) return;
    uint parameter = replica() * p.parameter_replica + column4();
    uint state = replica() * p.state_replica + column4();
    vec4 mean = running_mean[state];
    vec4 scale = weight[parameter] * inversesqrt(running_var[state] + p.epsilon);
    vec4 offset = bias[parameter];
    uint step = gl_NumWorkGroups.y * row_lanes();
    for (uint row = gl_WorkGroupID.y * row_lanes() + row_lane(); row < p.rows; row += step) {
        uint i = row * p.row_stride + column4();
        vec4 normalised = (load_x(replica() * p.x_replica + i) - mean) * scale + offset;
        y[replica() * p.y_replica + i] = activate(ACTIVATION, normalised, p.alpha);
    }
}
