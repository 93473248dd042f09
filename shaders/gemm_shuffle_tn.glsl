// C = A^T B in register tiles, and the sums of A's columns (the bias gradient).
const bool A_ALONG_K = false;
const bool B_ALONG_K = false;
#include "gemm_shuffle.glsl"

// A is shared: lane i4 gets the sums of columns 4 i4 to 4 i4 + 3.
void end_shared_sums(vec4 sums[LOADS]) {
    vec4 total = vec4(0.0);
    [[unroll]] for (uint i4 = 0; i4 < ROWS4; ++i4) {
        vec4 sum = vec4(0.0);
        [[unroll]] for (uint kk = 0; kk < 4; ++kk) {
            uint q = kk * ROWS4 + i4;
            sum += subgroupShuffle(sums[q / LANES], q % LANES);
        }
        if (lane() == i4) total = sum;
    }
    if (p.sum_a != 0 && tile.y == 0 && lane() < ROWS4) {
        end_bias_gradient(first_shared() / 4 + lane(), total);
    }
}

// A is the own operand.
void end_own_sums(vec4 left_sum, vec4 right_sum) {
    if (p.sum_a == 0 || tile.x != 0) return;
    end_bias_gradient(first_own4(), left_sum);
    end_bias_gradient(first_own4() + 1, right_sum);
}

void main() {
    begin_loads();
    vec4 shared_sums[LOADS];
    [[unroll]] for (uint j = 0; j < LOADS; ++j) shared_sums[j] = vec4(0.0);
    vec4 left_sum = vec4(0.0);
    vec4 right_sum = vec4(0.0);
    for (uint k = begin_k(); k < end_k(); k += 4) {
        mat4 l = load_lines(0, k);
        mat4 r = load_lines(4, k);
        vec4 parts[LOADS];
        [[unroll]] for (uint j = 0; j < LOADS; ++j) {
            parts[j] = load_part(j, k);
            shared_sums[j] += parts[j];
        }
        if (TRANSPOSED) {
            [[unroll]] for (uint kk = 0; kk < 4; ++kk) {
                left_sum += k + kk < end_k() ? l[kk] : vec4(0.0);
                right_sum += k + kk < end_k() ? r[kk] : vec4(0.0);
            }
        }
        multiply(parts, l, r);
    }
    store_sums();
    if (TRANSPOSED) {
        end_own_sums(left_sum, right_sum);
    } else {
        end_shared_sums(shared_sums);
    }
}
