// sum[chunk, c] = sum of x[n, c] over the rows n of a chunk; a second pass over the partial sums
// as one chunk finishes large inputs. Padding columns become 0.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "column_tile.glsl"
#include "column_reduce.glsl"

layout(set = 0, binding = 0, std430) readonly buffer X { vec4 x[]; };
layout(set = 0, binding = 1, std430) writeonly buffer Sum { vec4 sum[]; };

// Strides in vec4.
layout(push_constant, std430) uniform Push {
    uint rows;
    uint columns;
    uint row_stride;
    uint chunk_rows;
    uint x_replica;
    uint sum_replica;
} p;

void main() {
    bool active_lane = column4() < p.row_stride;
    uint begin = gl_WorkGroupID.y * p.chunk_rows;
    uint end = min(begin + p.chunk_rows, p.rows);
    vec4 total = vec4(0.0);
    if (active_lane) {
        for (uint row = begin + row_lane(); row < end; row += row_lanes()) {
            total += x[replica() * p.x_replica + row * p.row_stride + column4()];
        }
    }
    total = sum_row_lanes(total);
    if (active_lane && row_lane() == 0) {
        sum[replica() * p.sum_replica + gl_WorkGroupID.y * p.row_stride + column4()] =
            mix(vec4(0.0), total, valid_columns(column4(), p.columns));
    }
}
