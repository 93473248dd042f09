// The sliding window of nn/ops/window2d.h as specialization constants: output o of a dimension reads
// the inputs o * stride - padding + k * dilation, k < kernel.
layout(constant_id = 4) const uint KERNEL_HEIGHT = 1;
layout(constant_id = 5) const uint KERNEL_WIDTH = 1;
layout(constant_id = 6) const uint STRIDE_HEIGHT = 1;
layout(constant_id = 7) const uint STRIDE_WIDTH = 1;
layout(constant_id = 8) const uint PADDING_TOP = 0;
layout(constant_id = 9) const uint PADDING_LEFT = 0;
layout(constant_id = 10) const uint DILATION_HEIGHT = 1;
layout(constant_id = 11) const uint DILATION_WIDTH = 1;

const uint TAPS = KERNEL_HEIGHT * KERNEL_WIDTH;
