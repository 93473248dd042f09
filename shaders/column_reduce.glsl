// Sums over the row lanes of a column tile; every invocation of a column gets the same sum, added in
// the order of the lanes by the column's first invocation. The others' loops are empty: a CPU driver
// runs all invocations one after another, and pays a loop over the lanes for each vec4 that they
// read of shared memory. All invocations of the workgroup must call.
shared vec4 lane_sums[2][128];

uint lanes_to_add() { return row_lane() == 0 ? row_lanes() : 0; }

vec4 sum_row_lanes(vec4 value) {
    lane_sums[0][gl_LocalInvocationIndex] = value;
    barrier();
    vec4 sum = vec4(0.0);
    for (uint lane = 0; lane < lanes_to_add(); ++lane) {
        sum += lane_sums[0][lane * COLUMN_LANES + column_lane()];
    }
    if (row_lane() == 0) lane_sums[0][column_lane()] = sum;
    barrier();
    sum = lane_sums[0][column_lane()];
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
    for (uint lane = 0; lane < lanes_to_add(); ++lane) {
        first += lane_sums[0][lane * COLUMN_LANES + column_lane()];
        second += lane_sums[1][lane * COLUMN_LANES + column_lane()];
    }
    if (row_lane() == 0) {
        lane_sums[0][column_lane()] = first;
        lane_sums[1][column_lane()] = second;
    }
    barrier();
    first = lane_sums[0][column_lane()];
    second = lane_sums[1][column_lane()];
    barrier();
}
