// Geometry that the pooling kernels share. Sizes are specialization constants, so that drivers divide
// by constants and unroll small windows; the host mirrors them in nn/ops/pool2d.cpp. An invocation
// makes 4 consecutive elements of a row. Include common.glsl before.
layout(constant_id = 1) const uint KERNEL_H = 1;
layout(constant_id = 2) const uint KERNEL_W = 1;
layout(constant_id = 3) const uint STRIDE_H = 1;
layout(constant_id = 4) const uint STRIDE_W = 1;
layout(constant_id = 5) const uint TOP = 0;  // padding
layout(constant_id = 6) const uint LEFT = 0;
layout(constant_id = 7) const uint DILATION_H = 1;
layout(constant_id = 8) const uint DILATION_W = 1;
layout(constant_id = 9) const uint H = 1;
layout(constant_id = 10) const uint W = 1;
layout(constant_id = 11) const uint OUT_H = 1;
layout(constant_id = 12) const uint OUT_W = 1;
layout(constant_id = 13) const uint CHANNELS = 1;
layout(constant_id = 14) const bool PADDED = true;  // some window leaves the input

// Of a row.
const uint IN_COLUMNS = CHANNELS * H * W;
const uint IN_GROUPS = (IN_COLUMNS + 3) / 4;  // vec4
const uint OUT_COLUMNS = CHANNELS * OUT_H * OUT_W;
const uint OUT_GROUPS = (OUT_COLUMNS + 3) / 4;

// How many windows can cover an input element in each direction.
const uint COVER_H = (DILATION_H * (KERNEL_H - 1) + STRIDE_H) / STRIDE_H;
const uint COVER_W = (DILATION_W * (KERNEL_W - 1) + STRIDE_W) / STRIDE_W;

// Windows of more elements are loops: a driver that unrolls those, four times, compiles for seconds.
// (Unrolled, 3 x 3 takes half the time on lavapipe.)
const uint LARGEST_UNROLLED = 25;

struct Place {
    uint plane;
    uint row;
    uint column;
};

Place place_of(uint index, uint height, uint width) {
    uint row = index / width;
    return Place(row / height, row % height, index % width);
}

Place next(Place a, uint height, uint width) {
    bool wrap = a.column + 1 == width, wrap_row = wrap && a.row + 1 == height;
    return Place(a.plane + uint(wrap_row), wrap_row ? 0 : a.row + uint(wrap),
                 wrap ? 0 : a.column + 1);
}

// Of the first element of the window of an output; may be negative.
int window_row(uint out_row) { return int(out_row * STRIDE_H) - int(TOP); }
int window_column(uint out_column) { return int(out_column * STRIDE_W) - int(LEFT); }
