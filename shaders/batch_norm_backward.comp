// Gradients of batch normalisation for [N, C], with xhat = (x - mean) * inv_std:
//   dbias = sum dy, dweight = sum dy * xhat
//   training:   dx = weight * inv_std * (dy - dbias / N - xhat * dweight / N)
//   evaluation: dx = weight * inv_std * dy   (the running statistics do not depend on x)
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "column_tile.glsl"
#include "column_reduce.glsl"
#include "texels.glsl"
layout(constant_id = 1) const uint TRAINING = 1;

READ_VEC4(0, dy)
READ_VEC4(1, x)
layout(set = 0, binding = 2, std430) readonly buffer Mean { vec4 mean[]; };
layout(set = 0, binding = 3, std430) readonly buffer Scale { vec4 scale[]; };
layout(set = 0, binding = 4, std430) readonly buffer Weight { vec4 weight[]; };
layout(set = 0, binding = 5, std430) writeonly buffer DX { vec4 dx[]; };
layout(set = 0, binding = 6, std430) writeonly buffer DWeight { vec4 dweight[]; };
layout(set = 0, binding = 7, std430) writeonly buffer DBias { vec4 dbias[]; };

// Strides in vec4.
layout(push_constant, std430) uniform Push {
    uint rows;
    uint columns;
    uint row_stride;
    uint dy_replica;
    uint x_replica;
    uint mean_replica;
    uint scale_replica;
    uint weight_replica;
    uint dx_replica;
    uint dweight_replica;
    uint dbias_replica;
    float epsilon;
} p;

vec4 mask(vec4 value) { return mix(vec4(0.0), value, valid_columns(column4(), p.columns)); }

// Of a channel: its mean in two parts and 1 / sqrt(var + epsilon).
struct Statistics {
    vec4 mean;
    vec4 rest;
    vec4 inv_std;
};

Statistics load_statistics() {
    uint mean_at = replica() * p.mean_replica + column4();
    vec4 s = scale[replica() * p.scale_replica + column4()];
    if (TRAINING != 0) return Statistics(mean[mean_at], mean[mean_at + p.row_stride], s);
    return Statistics(mean[mean_at], vec4(0.0), inversesqrt(s + p.epsilon));
}

// x - mean; the order matters where the mean is large.
vec4 centre(vec4 x, Statistics s) {
    precise vec4 centred = (mask(x) - s.mean) - s.rest;
    return centred;
}

void main() {
    bool active_lane = column4() < p.row_stride;
    uint rows = active_lane ? p.rows : 0;
    Statistics s = Statistics(vec4(0.0), vec4(0.0), vec4(0.0));
    if (active_lane) s = load_statistics();

    vec4 sum_dy = vec4(0.0);
    vec4 sum_dy_xhat = vec4(0.0);
    uint x_at = replica() * p.x_replica + column4();
    uint dy_at = replica() * p.dy_replica + column4();
    for (uint row = row_lane(); row < rows; row += row_lanes()) {
        vec4 d = mask(load_dy(dy_at + row * p.row_stride));
        sum_dy += d;
        sum_dy_xhat += d * centre(load_x(x_at + row * p.row_stride), s);
    }
    sum_row_lanes(sum_dy, sum_dy_xhat);
    sum_dy_xhat *= s.inv_std;
    if (!active_lane) return;

    if (row_lane() == 0) {
        dweight[replica() * p.dweight_replica + column4()] = mask(sum_dy_xhat);
        dbias[replica() * p.dbias_replica + column4()] = mask(sum_dy);
    }
    float per_row = TRAINING != 0 ? 1.0 / float(p.rows) : 0.0;
    vec4 mean_dy = sum_dy * per_row;
    vec4 slope = sum_dy_xhat * s.inv_std * per_row;
    vec4 factor = weight[replica() * p.weight_replica + column4()] * s.inv_std;
    uint dx_at = replica() * p.dx_replica + column4();
    for (uint row = row_lane(); row < p.rows; row += row_lanes()) {
        vec4 centred = centre(load_x(x_at + row * p.row_stride), s);
        dx[dx_at + row * p.row_stride] =
            mask((load_dy(dy_at + row * p.row_stride) - mean_dy - centred * slope) * factor);
    }
}
