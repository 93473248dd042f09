// dx: each input element sums the gradients of the windows that it won.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "pool2d.glsl"
#include "pool2d_backward.glsl"
#include "max_pool2d_backward.glsl"

layout(set = 0, binding = 2, std430) readonly buffer Winners { uint winners[]; };

// A window that ends before the element was won by another one.
float share(uint window, uint row, uint column, Place a) {
    return winners[window] == a.row * W + a.column ? dy[window] : 0.0;
}

vec4 finish(vec4 gradient, uint target) { return times_derivative(gradient, target); }
