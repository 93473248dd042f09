// The divisor that both passes of average pooling share. Include pool2d.glsl before.
layout(constant_id = 15) const bool COUNT_PADDING = false;

uint inside(int first, uint size, uint limit) {
    return uint(min(first + int(size), int(limit)) - max(first, 0));
}

// Elements of a window: all, or those inside of the input.
float divisor(uint out_row, uint out_column) {
    uint rows = KERNEL_H, columns = KERNEL_W;
    if (PADDED) {
        if (!COUNT_PADDING) {
            rows = inside(window_row(out_row), KERNEL_H, H);
            columns = inside(window_column(out_column), KERNEL_W, W);
        }
    }
    return float(rows * columns);
}
