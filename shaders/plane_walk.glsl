// [N, C, H, W] is N rows of C * H * W columns. Each invocation takes one vec4 column and walks down a
// chunk of rows: what belongs to a channel is loaded once, no index is divided per element, and
// planes need not be whole vec4. The host mirrors it in nn/ops/plane_walk.h. Include common.glsl
// before.
layout(constant_id = 1) const uint WHOLE_VEC4 = 0;  // H * W is a multiple of 4

struct Planes {
    uint rows;
    uint row_stride;  // in vec4
    uint chunk_rows;
    uint plane;  // H * W
    uint channels;
};

uint column4() { return gl_WorkGroupID.x * gl_WorkGroupSize.x + gl_LocalInvocationID.x; }

uint begin_row(Planes s) { return gl_WorkGroupID.y * s.chunk_rows; }
uint end_row(Planes s) { return min(begin_row(s) + s.chunk_rows, s.rows); }

uvec4 columns() { return column4() * 4 + uvec4(0, 1, 2, 3); }

// Which of the four columns are not padding.
bvec4 valid_columns(Planes s) { return lessThan(columns(), uvec4(s.channels * s.plane)); }

// Of the four columns; padding counts to the last channel.
uvec4 channels_of_columns(Planes s) {
    if (WHOLE_VEC4 != 0) return uvec4(column4() * 4 / s.plane);
    return min(columns() / s.plane, uvec4(s.channels - 1));
}

// What `array`, floats with one entry per channel from `base` on that READ_FLOAT (texels.glsl) has
// declared, holds for the columns.
#define OF_CHANNELS(array, base, channel)                                                       \
    (WHOLE_VEC4 != 0 ? vec4(load_##array((base) + (channel).x))                                 \
                     : vec4(load_##array((base) + (channel).x), load_##array((base) + (channel).y), \
                            load_##array((base) + (channel).z), load_##array((base) + (channel).w)))
