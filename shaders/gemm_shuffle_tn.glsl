// C = A^T B in register tiles, and the sums of A's columns (the bias gradient); after
// gemm_shuffle.glsl.

// Four steps of K need ROWS vec4 of A: number q = step * ROWS4 + i4 is loaded by lane q % LANES.
const uint ROWS4 = ROWS / 4;

void main() {
    uint last4 = (p.n + 3) / 4 - 1;
    uint b_base = replica_number * p.b_replica;
    uint b_left = b_base + min(first_own4(), last4);
    uint b_right = b_base + min(first_own4() + 1, last4);
    uint begin = split_number * p.k_per_split;
    uint end = min(begin + p.k_per_split, p.k);
    uint a_step[LOADS];
    uint a_column[LOADS];
    vec4 a_sum[LOADS];
    [[unroll]] for (uint j = 0; j < LOADS; ++j) {
        uint q = j * LANES + lane();
        a_step[j] = q / ROWS4;
        a_column[j] = replica_number * p.a_replica + min(first_shared() / 4 + q % ROWS4, p.a_stride - 1);
        a_sum[j] = vec4(0.0);
    }
    clear_sums();
    for (uint k = begin; k < end; k += 4) {
        vec4 l[4];
        vec4 r[4];
        [[unroll]] for (uint kk = 0; kk < 4; ++kk) {
            uint b_row = min(k + kk, end - 1) * p.b_stride;
            l[kk] = load_b(b_left + b_row);
            r[kk] = load_b(b_right + b_row);
        }
        vec4 mine[LOADS];
        [[unroll]] for (uint j = 0; j < LOADS; ++j) {
            uint step = k + a_step[j];
            vec4 value = load_a(a_column[j] + min(step, end - 1) * p.a_stride);
            mine[j] = step < end ? value : vec4(0.0);
            a_sum[j] += mine[j];
        }
        // The sums of one row at a time, which registers hold.
        [[unroll]] for (uint i = 0; i < ROWS; ++i) {
            [[unroll]] for (uint kk = 0; kk < 4; ++kk) {
                uint q = kk * ROWS4 + i / 4;
                float x = subgroupShuffle(mine[q / LANES][i % 4], q % LANES);
                left[i] = fma(vec4(x), l[kk], left[i]);
                right[i] = fma(vec4(x), r[kk], right[i]);
            }
        }
    }
    store_sums();
    // Lane i4 keeps the sums of rows 4 i4 to 4 i4 + 3.
    vec4 total = vec4(0.0);
    [[unroll]] for (uint i4 = 0; i4 < ROWS4; ++i4) {
        vec4 sum = vec4(0.0);
        [[unroll]] for (uint kk = 0; kk < 4; ++kk) {
            uint q = kk * ROWS4 + i4;
            sum += subgroupShuffle(a_sum[q / LANES], q % LANES);
        }
        if (lane() == i4) total = sum;
    }
    if (p.sum_a != 0 && tile.y == 0 && lane() < ROWS4) {
        end_bias_gradient(first_shared() / 4 + lane(), total);
    }
}
