// Second pass over what a plane walk (plane_walk.glsl) left per chunk of rows and column: a workgroup
// takes one channel, its invocations the vec4 that hold columns of it, in all chunks. A workgroup
// has at most 128 invocations.
uint channel() { return group_index(); }

// Vec4 columns [first, first + width) of a channel, times the chunks.
struct Span {
    uint first;
    uint width;
    uint items;
};

uint chunk_count(Planes s) { return (s.rows + s.chunk_rows - 1) / s.chunk_rows; }

Span channel_span(Planes s) {
    uint begin = channel() * s.plane;
    uint first = begin / 4;
    uint width = (begin + s.plane + 3) / 4 - first;
    return Span(first, width, width * chunk_count(s));
}

uint part_index(Planes s, Span span, uint item) {
    return item / span.width * s.row_stride + span.first + item % span.width;
}

// Which columns of an item belong to the channel.
bvec4 inside(Planes s, Span span, uint item) {
    uvec4 column = (span.first + item % span.width) * 4 + uvec4(0, 1, 2, 3);
    uvec4 begin = uvec4(channel() * s.plane);
    return equal(uvec4(greaterThanEqual(column, begin)) * uvec4(lessThan(column, begin + s.plane)),
                 uvec4(1));
}

shared vec2 lane_sums[128];

// Sums over the workgroup, whose size is a power of two, in pairs; every invocation gets them. All
// must call.
vec2 sum_lanes(vec2 value) {
    lane_sums[gl_LocalInvocationIndex] = value;
    for (uint lanes = gl_WorkGroupSize.x / 2; lanes > 0; lanes /= 2) {
        barrier();
        if (gl_LocalInvocationIndex < lanes) {
            lane_sums[gl_LocalInvocationIndex] += lane_sums[gl_LocalInvocationIndex + lanes];
        }
    }
    barrier();
    vec2 sum = lane_sums[0];
    barrier();
    return sum;
}

float sum_components(vec4 v) { return (v.x + v.y) + (v.z + v.w); }
