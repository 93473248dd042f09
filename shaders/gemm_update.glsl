// A weight gradient that is never stored: what becomes of a product's results is the optimizer's update
// of the weights, C, and where p.bias_offset says so of the bias. In the place of gemm_epilogue.glsl,
// after gemm.glsl and an optimizer's .glsl.

// GATHERED kernels update the bias: the slot of its gradient has the places of x.
#ifdef GATHERED
#define PLACES 7
#else
layout(set = 0, binding = 7, std430) buffer BiasGradient { vec4 bias_gradient[]; };
#include "gemm_bias_gradient.glsl"
#endif

// Before the first store.
void prepare_store() { read_step(replica_number, p.table_stride, p.hyperparameter_stride); }

// Four columns of a row; c_base is the replica's, as such a product is not split.
void store(uint row, uint column4, vec4 value, vec4 added) {
    if (row >= p.m || column4 * 4 >= p.n) return;
    if (MIXED != 0) value *= p.a_unscale;
    uint index = c_base + row * p.c_stride + column4;
    parameters[index] = updated(index, load_parameters(index), keep_below(value, column4 * 4, p.n));
}

// Bias elements 4 row4 to 4 row4 + 3.
void end_bias_gradient(uint row4, vec4 value) {
#ifndef GATHERED
    if (p.bias_offset == 0) {
        store_bias_gradient(row4, value);
        return;
    }
#endif
    if (row4 * 4 >= p.m) return;
    if (MIXED != 0) value *= p.a_unscale;
    uint index = c_base + p.bias_offset + row4;
    parameters[index] = updated(index, load_parameters(index), keep_below(value, row4 * 4, p.m));
}

// There is no bias to add.
vec4 load_bias(uint column4) { return vec4(0.0); }
