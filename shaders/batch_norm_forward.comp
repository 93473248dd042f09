// Training form of batch normalisation for [N, C]: a column tile takes the statistics of its
// channels, moves the running ones, normalises and activates. Variance by the corrected two-pass
// algorithm (Chan, Golub & LeVeque 1983), the mean as a sum of two floats, so that a mean that is
// large against the standard deviation costs no digits.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "column_tile.glsl"
#include "column_reduce.glsl"
#include "activation.glsl"
#include "texels.glsl"
layout(constant_id = 1) const uint ACTIVATION = 0;

READ_VEC4(0, x)
layout(set = 0, binding = 1, std430) readonly buffer Weight { vec4 weight[]; };
layout(set = 0, binding = 2, std430) readonly buffer Bias { vec4 bias[]; };
layout(set = 0, binding = 3, std430) buffer RunningMean { vec4 running_mean[]; };
layout(set = 0, binding = 4, std430) buffer RunningVar { vec4 running_var[]; };
layout(set = 0, binding = 5, std430) writeonly buffer Y { vec4 y[]; };
layout(set = 0, binding = 6, std430) writeonly buffer Mean { vec4 saved_mean[]; };  // [2, C]
layout(set = 0, binding = 7, std430) writeonly buffer InvStd { vec4 saved_inv_std[]; };

// Strides in vec4.
layout(push_constant, std430) uniform Push {
    uint rows;
    uint columns;
    uint row_stride;
    uint x_replica;
    uint parameter_replica;
    uint state_replica;
    uint y_replica;
    uint mean_replica;
    uint inv_std_replica;
    float epsilon;
    float keep;      // 1 - momentum
    float momentum;
    float unbias;    // N / (N - 1)
    float alpha;
} p;

vec4 load(uint row) {
    vec4 value = load_x(replica() * p.x_replica + row * p.row_stride + column4());
    return mix(vec4(0.0), value, valid_columns(column4(), p.columns));
}

void store_statistics(vec4 mean, vec4 rest, vec4 variance, vec4 inv_std) {
    uint mean_at = replica() * p.mean_replica + column4();
    saved_mean[mean_at] = mean;
    saved_mean[mean_at + p.row_stride] = rest;
    saved_inv_std[replica() * p.inv_std_replica + column4()] = inv_std;
    uint state = replica() * p.state_replica + column4();
    running_mean[state] = p.keep * running_mean[state] + p.momentum * (mean + rest);
    running_var[state] = p.keep * running_var[state] + p.momentum * (variance * p.unbias);
}

void main() {
    // Lanes past the last column repeat no work but must reach the barriers.
    bool active_lane = column4() < p.row_stride;
    uint rows = active_lane ? p.rows : 0;
    float n = float(p.rows);

    vec4 shift = active_lane ? load(0) : vec4(0.0);
    vec4 sum = vec4(0.0);
    for (uint row = row_lane(); row < rows; row += row_lanes()) sum += load(row) - shift;
    vec4 mean = shift + sum_row_lanes(sum) / n;

    vec4 rest = vec4(0.0);
    vec4 squares = vec4(0.0);
    for (uint row = row_lane(); row < rows; row += row_lanes()) {
        precise vec4 d = load(row) - mean;
        rest += d;
        squares += d * d;
    }
    sum_row_lanes(rest, squares);
    rest /= n;
    vec4 variance = max(squares / n - rest * rest, vec4(0.0));
    vec4 inv_std = inversesqrt(variance + p.epsilon);

    if (!active_lane) return;
    if (row_lane() == 0) store_statistics(mean, rest, variance, inv_std);
    uint parameter = replica() * p.parameter_replica + column4();
    vec4 scale = weight[parameter] * inv_std;
    vec4 offset = bias[parameter];
    for (uint row = row_lane(); row < rows; row += row_lanes()) {
        precise vec4 centred = (load(row) - mean) - rest;
        y[replica() * p.y_replica + row * p.row_stride + column4()] =
            activate(ACTIVATION, centred * scale + offset, p.alpha);
    }
}
