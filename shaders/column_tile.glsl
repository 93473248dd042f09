// A workgroup as a tile of COLUMN_LANES vec4 columns by row_lanes() rows, for kernels that walk down
// the rows of a matrix. The host mirrors it in nn/ops/column_tile.h. The workgroup holds at most
// 128 invocations. Include common.glsl, which declares its size, before.
const uint COLUMN_LANES = 4;

uint row_lanes() { return gl_WorkGroupSize.x / COLUMN_LANES; }
uint row_lane() { return gl_LocalInvocationIndex / COLUMN_LANES; }
uint column_lane() { return gl_LocalInvocationIndex % COLUMN_LANES; }
uint column4() { return gl_WorkGroupID.x * COLUMN_LANES + column_lane(); }

// Which of the four columns are not padding.
bvec4 valid_columns(uint column4, uint columns) {
    return lessThan(column4 * 4 + uvec4(0, 1, 2, 3), uvec4(columns));
}
