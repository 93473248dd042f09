// How kernels that go through shared memory read the tiles of their operands, a vec4 an invocation;
// after gemm.glsl and the specialization constants DEPTH and ALIGNED.

// An operand of the product: its matrix of `lines` lines along M or N, and the tile's first line.
// `along_k`: its rows run along K, else along M or N.
struct Operand {
    bool is_a;
    bool along_k;
    uint base;
    uint stride;
    uint lines;
    uint first;
};

vec4 element4(const Operand o, uint index) {
    if (o.is_a) return a[index];
    return b[index];
}

// The vec4 number `item` of the tile that begins at k0; outside of the matrix 0.
vec4 fetch(const Operand o, uint tile, uint item, uint k0, uint end) {
    if (o.along_k) {
        uint line = o.first + item / (DEPTH / 4);
        uint k = k0 + 4 * (item % (DEPTH / 4));
        if (ALIGNED != 0) return element4(o, o.base + line * o.stride + k / 4);
        if (line >= o.lines || k >= end) return vec4(0.0);
        return keep_below(element4(o, o.base + line * o.stride + k / 4), k, end);
    }
    uint line4 = o.first / 4 + item % (tile / 4);
    uint k = k0 + item / (tile / 4);
    if (ALIGNED != 0) return element4(o, o.base + k * o.stride + line4);
    if (line4 >= o.stride || k >= end) return vec4(0.0);
    return keep_below(element4(o, o.base + k * o.stride + line4), 4 * line4, o.lines);
}
