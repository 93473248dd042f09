// Statistics of batch normalisation for [N, C, H, W], second pass: merges the parts of
// batch_norm2d_partial.comp (Chan, Golub & LeVeque 1979, "Updating formulae and a pairwise algorithm
// for computing sample variances") and moves the running statistics. One workgroup a channel. The
// mean is the sum of two floats, the variance is taken around it.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"
#include "channel_parts.glsl"

layout(set = 0, binding = 0, std430) readonly buffer Parts { vec4 parts[]; };  // 3 x [chunks, row]
layout(set = 0, binding = 1, std430) buffer RunningMean { float running_mean[]; };
layout(set = 0, binding = 2, std430) buffer RunningVar { float running_var[]; };
layout(set = 0, binding = 3, std430) writeonly buffer Mean { float saved_mean[]; };  // [2, C]
layout(set = 0, binding = 4, std430) writeonly buffer InvStd { float saved_inv_std[]; };

layout(push_constant, std430) uniform Push {
    Planes planes;
    uint parts_replica;  // in vec4, the others in floats
    uint state_replica;
    uint mean_replica;
    uint inv_std_replica;
    uint channel_stride;  // channels with padding
    float per_value;      // 1 / (N * H * W)
    float epsilon;
    float keep;           // 1 - momentum
    float momentum;
    float unbias;         // n / (n - 1) with n = N * H * W
} p;

// A part's mean around `centre`.
vec4 part_mean(uint part, uint quantity, float centre) {
    precise vec4 distance = (parts[part] - centre) + parts[part + quantity];
    return distance;
}

void store_saved(float mean, float rest, float inv_std) {
    uint mean_at = replica() * p.mean_replica + channel();
    saved_mean[mean_at] = mean;
    saved_mean[mean_at + p.channel_stride] = rest;
    saved_inv_std[replica() * p.inv_std_replica + channel()] = inv_std;
}

void main() {
    Planes s = p.planes;
    if (channel() >= s.channels) {
        if (channel() < p.channel_stride && gl_LocalInvocationIndex == 0) store_saved(0, 0, 0);
        return;
    }
    Span span = channel_span(s);
    uint base = replica() * p.parts_replica;
    uint quantity = chunk_count(s) * s.row_stride;
    float last_rows = float(s.rows - (chunk_count(s) - 1) * s.chunk_rows);
    uint last_chunk = span.items - span.width;

    // Of the channel's first column.
    float anchor = parts[base + span.first][channel() * s.plane % 4];
    vec4 sums = vec4(0.0);
    for (uint item = gl_LocalInvocationIndex; item < span.items; item += gl_WorkGroupSize.x) {
        uint part = base + part_index(s, span, item);
        float rows = item < last_chunk ? float(s.chunk_rows) : last_rows;
        sums += mix(vec4(0.0), rows * part_mean(part, quantity, anchor), inside(s, span, item));
    }
    float mean = anchor + sum_lanes(vec2(sum_components(sums), 0.0)).x * p.per_value;

    vec4 rests = vec4(0.0);
    vec4 squares = vec4(0.0);
    for (uint item = gl_LocalInvocationIndex; item < span.items; item += gl_WorkGroupSize.x) {
        uint part = base + part_index(s, span, item);
        float rows = item < last_chunk ? float(s.chunk_rows) : last_rows;
        vec4 d = part_mean(part, quantity, mean);
        bvec4 mine = inside(s, span, item);
        rests += mix(vec4(0.0), rows * d, mine);
        squares += mix(vec4(0.0), parts[part + 2 * quantity] + rows * d * d, mine);
    }
    vec2 total = sum_lanes(vec2(sum_components(rests), sum_components(squares))) * p.per_value;
    if (gl_LocalInvocationIndex != 0) return;
    float rest = total.x;
    float variance = max(total.y - rest * rest, 0.0);
    store_saved(mean, rest, inversesqrt(variance + p.epsilon));
    uint state = replica() * p.state_replica + channel();
    running_mean[state] = p.keep * running_mean[state] + p.momentum * (mean + rest);
    running_var[state] = p.keep * running_var[state] + p.momentum * (variance * p.unbias);
}
