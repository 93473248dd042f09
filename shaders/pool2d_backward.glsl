// The backward pass of pooling: dx in gather form. Include pool2d.glsl before, define share()
// and finish() after.
#extension GL_EXT_control_flow_attributes : require

layout(set = 0, binding = 0, std430) readonly buffer DY { float dy[]; };
layout(set = 0, binding = 1, std430) writeonly buffer DX { vec4 dx[]; };

layout(push_constant, std430) uniform Push {
    uint count;  // vec4 of dx
    uint dy_replica;
    uint dx_replica;
} p;

// What the element at `a` gets from dy[window]. The window is that of the output at (row, column);
// it begins at the element or before, but may end before it, too.
float share(uint window, uint row, uint column, Place a);

// What is stored to dx[target].
vec4 finish(vec4 gradient, uint target);

float gather_row(uint dy_row, Place a, uint row) {
    float sum = 0.0;
    for (uint j = 0; j < COVER_W; ++j) {
        uint column = (a.column + LEFT) / STRIDE_W - j;  // wraps below 0
        if (row < OUT_H && column < OUT_W) {
            uint window = dy_row + (a.plane * OUT_H + row) * OUT_W + column;
            sum += share(window, row, column, a);
        }
    }
    return sum;
}

float gather(uint dy_row, Place a) {
    float sum = 0.0;
    uint last = (a.row + TOP) / STRIDE_H;
    if (COVER_H * COVER_W <= LARGEST_UNROLLED) {
        for (uint i = 0; i < COVER_H; ++i) sum += gather_row(dy_row, a, last - i);
    } else {
        [[dont_unroll]] for (uint i = 0; i < COVER_H; ++i) sum += gather_row(dy_row, a, last - i);
    }
    return sum;
}

void main() {
    uint item = item_index();
    if (item >= p.count) return;
    uint dy_row = replica() * p.dy_replica + item / IN_GROUPS * (4 * OUT_GROUPS);
    Place a = place_of(item % IN_GROUPS * 4, H, W);
    vec4 gradient = vec4(0.0);
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        if (a.plane < CHANNELS) gradient[i] = gather(dy_row, a);
        a = next(a, H, W);
    }
    uint target = replica() * (p.dx_replica / 4) + item;
    dx[target] = finish(gradient, target);
}
