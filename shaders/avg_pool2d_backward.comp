// dx: each input element sums its share of the gradients of the windows over it.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "pool2d.glsl"
#include "pool2d_backward.glsl"
#include "avg_pool2d.glsl"

float share(uint window, uint row, uint column, Place a) {
    bool covered = int(a.row) - window_row(row) < int(KERNEL_H) &&
                   int(a.column) - window_column(column) < int(KERNEL_W);
    return covered ? dy[window] / divisor(row, column) : 0.0;
}

vec4 finish(vec4 gradient, uint target) { return gradient; }
