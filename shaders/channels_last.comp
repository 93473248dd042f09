// Transposes every row, seen as a matrix [rows, columns]: channels last from channels first, or the
// other way with swapped sizes. One invocation gathers and stores four neighbours of the result.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(set = 0, binding = 0, std430) readonly buffer X { float x[]; };
layout(set = 0, binding = 1, std430) writeonly buffer Y { vec4 y[]; };

layout(push_constant, std430) uniform Push {
    uint count;  // in vec4, of y
    uint rows;
    uint columns;
    uint row_stride;  // in vec4; of x and y
    uint x_replica;   // in elements
    uint y_replica;   // in vec4
} p;

void main() {
    uint item = item_index();
    if (item >= p.count) return;
    uint n = item / p.row_stride;
    uint element = item % p.row_stride * 4;
    uint base = replica() * p.x_replica + n * p.row_stride * 4;
    uint column = element / p.rows, row = element % p.rows;
    vec4 value = vec4(0.0);
    for (uint i = 0; i < 4; ++i) {
        // Padding of the result is 0.
        if (column < p.columns) value[i] = x[base + row * p.columns + column];
        if (++row == p.rows) {
            row = 0;
            ++column;
        }
    }
    y[replica() * p.y_replica + item] = value;
}
