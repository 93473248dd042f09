// tn kernels: the column sums of A, which end_bias_gradient of gemm_epilogue.glsl or gemm_update.glsl
// gets. After gemm.glsl and the buffer bias_gradient.

// Writes the gradient of bias elements 4 row4 to 4 row4 + 3, behind the partial product where K is
// split. The padding up to a whole vec4 becomes 0.
void store_bias_gradient(uint row4, vec4 value) {
    if (row4 * 4 >= p.m) return;
    if (MIXED != 0) value *= p.a_unscale;
    uint base = replica_number * p.bias_gradient_replica;
    if (p.splits > 1) base += split_number * p.split_stride + p.m * p.c_stride;
    bias_gradient[base + row4] = keep_below(value, row4 * 4, p.m);
}
