// Sums over the row lanes of a column tile; every invocation of a column gets the same sum, added
// in the order of the lanes. All invocations of the workgroup must call.
shared vec4 lane_sums[2][128];

vec4 sum_row_lanes(vec4 value) {
    lane_sums[0][gl_LocalInvocationIndex] = value;
    barrier();
    vec4 sum = vec4(0.0);
    for (uint lane = 0; lane < row_lanes(); ++lane) {
        sum += lane_sums[0][lane * COLUMN_LANES + column_lane()];
    }
    barrier();
    return sum;
}

// Two sums with the barriers of one.
void sum_row_lanes(inout vec4 first, inout vec4 second) {
    lane_sums[0][gl_LocalInvocationIndex] = first;
    lane_sums[1][gl_LocalInvocationIndex] = second;
    barrier();
    first = vec4(0.0);
    second = vec4(0.0);
    for (uint lane = 0; lane < row_lanes(); ++lane) {
        first += lane_sums[0][lane * COLUMN_LANES + column_lane()];
        second += lane_sums[1][lane * COLUMN_LANES + column_lane()];
    }
    barrier();
}
