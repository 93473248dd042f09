// Statistics of batch normalisation for [N, C, H, W], first pass: of each column of a chunk of rows
// an anchor near its mean, the mean's distance from it, and the sum of squares around the mean. The
// anchor keeps digits where the mean is large against the deviation; as the mean of several values,
// it is never so far from the mean of all that the sum of squares would lose more than 3 bits of it
// when it is shifted (n d^2 <= n / 8 * sum of squares).
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "plane_walk.glsl"
#include "texels.glsl"

READ_VEC4(0, x)
layout(set = 0, binding = 1, std430) writeonly buffer Parts { vec4 parts[]; };  // 3 x [chunks, row]

// Strides in vec4.
layout(push_constant, std430) uniform Push {
    Planes planes;
    uint x_replica;
    uint parts_replica;
} p;

const uint ANCHOR_ROWS = 8;

vec4 anchor_of(uint x_at, uint begin, uint end, uint row_stride) {
    vec4 first = load_x(x_at + begin * row_stride);
    vec4 sum = vec4(0.0);
    for (uint row = begin + 1; row < end; ++row) sum += load_x(x_at + row * row_stride) - first;
    return first + sum / float(end - begin);
}

void main() {
    Planes s = p.planes;
    if (column4() >= s.row_stride) return;
    uint x_at = replica() * p.x_replica + column4();
    uint begin = begin_row(s);
    uint end = end_row(s);
    vec4 anchor = anchor_of(x_at, begin, min(end, begin + ANCHOR_ROWS), s.row_stride);
    vec4 sum = vec4(0.0);
    vec4 squares = vec4(0.0);
    for (uint row = begin; row < end; ++row) {
        vec4 d = load_x(x_at + row * s.row_stride) - anchor;
        sum += d;
        squares += d * d;
    }
    vec4 offset = sum / float(end - begin);
    uint part = replica() * p.parts_replica + gl_WorkGroupID.y * s.row_stride + column4();
    uint quantity = gl_NumWorkGroups.y * s.row_stride;
    parts[part] = anchor;
    parts[part + quantity] = offset;
    parts[part + 2 * quantity] = max(squares - sum * offset, vec4(0.0));
}
