// Copies columns between rows of different strides: concat puts a value into columns of another,
// its derivative takes them out again. One invocation moves four columns, as a vec4 on the sides
// where they are aligned. Buffers stand under two names for that.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
layout(constant_id = 1) const bool LOAD_VEC4 = false;
layout(constant_id = 2) const bool STORE_VEC4 = false;

layout(set = 0, binding = 0, std430) readonly buffer From { float from[]; };
layout(set = 0, binding = 1, std430) readonly buffer From4 { vec4 from4[]; };
layout(set = 0, binding = 2, std430) writeonly buffer To { float to[]; };
layout(set = 0, binding = 3, std430) writeonly buffer To4 { vec4 to4[]; };

// In elements.
layout(push_constant, std430) uniform Push {
    uint rows;
    uint count;   // columns to copy
    uint extent;  // columns to write; those past `count` become 0
    uint from_begin;
    uint from_stride;
    uint from_replica;
    uint to_begin;
    uint to_stride;
    uint to_replica;
} p;

void main() {
    uint row_items = (p.extent + 3) / 4;
    uint item = item_index();
    if (item >= p.rows * row_items) return;
    uint row = item / row_items;
    uint column = item % row_items * 4;
    uint source = replica() * p.from_replica + row * p.from_stride + p.from_begin + column;
    uint target = replica() * p.to_replica + row * p.to_stride + p.to_begin + column;
    vec4 value = vec4(0.0);
    if (LOAD_VEC4) {
        // Past `count` the load sees other columns or padding of the same row.
        bvec4 inside = lessThan(column + uvec4(0, 1, 2, 3), uvec4(p.count));
        if (column < p.count) value = mix(vec4(0.0), from4[source / 4], inside);
    } else {
        for (uint i = 0; i < 4; ++i) {
            if (column + i < p.count) value[i] = from[source + i];
        }
    }
    if (STORE_VEC4) {
        to4[target / 4] = value;
    } else {
        for (uint i = 0; i < 4; ++i) {
            if (column + i < p.extent) to[target + i] = value[i];
        }
    }
}
