// A product without column sums in register tiles; after gemm_shuffle.glsl.

void main() {
    begin_loads();
    for (uint k = begin_k(); k < end_k(); k += 4) {
        mat4 l = load_lines(0, k);
        mat4 r = load_lines(4, k);
        vec4 parts[LOADS];
        [[unroll]] for (uint j = 0; j < LOADS; ++j) parts[j] = load_part(j, k);
        multiply(parts, l, r);
    }
    store_sums();
}
