// The walk over a window that the forward passes of pooling share. Include pool2d.glsl before, define
// take() after.
#extension GL_EXT_control_flow_attributes : require

layout(set = 0, binding = 0, std430) readonly buffer X { float x[]; };

layout(push_constant, std430) uniform Push {
    uint count;  // vec4 of y
    uint x_replica;
    uint y_replica;
} p;

// What an element of the input does to the window that is walked; `index` is its place in the plane.
void take(uint index, float value);

uint row_of_x(uint item) { return replica() * p.x_replica + item / OUT_GROUPS * (4 * IN_GROUPS); }

Place first_output(uint item) { return place_of(item % OUT_GROUPS * 4, OUT_H, OUT_W); }

void walk_row(uint plane, Place o, uint i) {
    uint row = uint(window_row(o.row) + int(i * DILATION_H));
    if (PADDED) {
        if (row >= H) return;
    }
    for (uint j = 0; j < KERNEL_W; ++j) {
        uint column = uint(window_column(o.column) + int(j * DILATION_W));
        if (PADDED) {
            if (column >= W) continue;
        }
        take(row * W + column, x[plane + row * W + column]);
    }
}

// Takes the elements under the window of output `o` in row-major order, without the padding.
void walk_window(uint x_row, Place o) {
    uint plane = x_row + o.plane * (H * W);
    if (KERNEL_H * KERNEL_W <= LARGEST_UNROLLED) {
        for (uint i = 0; i < KERNEL_H; ++i) walk_row(plane, o, i);
    } else {
        [[dont_unroll]] for (uint i = 0; i < KERNEL_H; ++i) walk_row(plane, o, i);
    }
}
