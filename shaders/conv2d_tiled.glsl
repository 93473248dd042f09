// What the passes of the tiled convolution share: per group of channels an implicit matrix product
// C[M, N] = A[M, K] B[K, N] whose operands the workgroup gathers into shared memory.
//
//                     M             N                K
//   forward           out channels  output pixels    (in channel, i, j)
//   data gradient     in channels   input pixels     (out channel, i, j)
//   weight gradient   out channels  (in channel, i, j)   output pixels, split
//
// Pixels are counted over the batch, channels within a group. A workgroup makes a tile of TILE_M x
// TILE_N results, 16 of K at a time, an invocation RESULTS_M x RESULTS_N of them in blocks of 4 x 4. x
// and y of the grid hold the tiles, those of one N tile together, so that they share what they
// gather; z = replica * splits + split.
#include "conv2d.glsl"

layout(constant_id = 13) const uint MIXED = 0;  // operands are rounded to half floats
#include "half.glsl"

layout(constant_id = 14) const uint TILE_M = 32;
layout(constant_id = 15) const uint TILE_N = 32;
layout(constant_id = 16) const uint RESULTS_M = 4;  // 4 or 8
layout(constant_id = 17) const uint RESULTS_N = 4;

const uint DEPTH = 16;
const uint THREADS_M = TILE_M / RESULTS_M;
const uint THREADS_N = TILE_N / RESULTS_N;
const uint THREADS = THREADS_M * THREADS_N;  // the size of the workgroup
const uint BLOCKS_M = RESULTS_M / 4;
const uint BLOCKS_N = RESULTS_N / 4;
// One vec4 of padding a row spreads the banks.
const uint ROW_A = TILE_M / 4 + 1;
const uint ROW_B = TILE_N / 4 + 1;

shared vec4 tile_a[DEPTH * ROW_A];  // [k][m / 4]
shared vec4 tile_b[DEPTH * ROW_B];  // [k][n / 4]

uint lane() { return gl_LocalInvocationID.x; }
uint replica_number() { return gl_WorkGroupID.z / p.splits; }
uint split_number() { return gl_WorkGroupID.z % p.splits; }

// First row and column of the workgroup's tile, and its group of channels.
uint tile_row() { return group_index() % p.m_tiles * TILE_M; }
uint tile_group() { return group_index() / p.m_tiles % p.groups; }
uint tile_column() { return group_index() / (p.m_tiles * p.groups) * TILE_N; }

// The invocation's row `i` of RESULTS_M, and the first column of its block `j`.
uint my_row(uint i) {
    return tile_row() + 4 * (lane() / THREADS_N + i / 4 * THREADS_M) + i % 4;
}
uint my_column(uint j) { return tile_column() + 4 * (lane() % THREADS_N + j * THREADS_N); }

void put_a(uint k, uint row, float value) { tile_a[k * ROW_A + row / 4][row % 4] = value; }
void put_b(uint k, uint column, float value) { tile_b[k * ROW_B + column / 4][column % 4] = value; }

vec4 sum[RESULTS_M * BLOCKS_N];  // of the invocation, [row][block of columns]
vec4 a_sum[BLOCKS_M];            // of A over K

void clear_sums() {
    [[unroll]] for (uint i = 0; i < RESULTS_M * BLOCKS_N; ++i) sum[i] = vec4(0.0);
    [[unroll]] for (uint i = 0; i < BLOCKS_M; ++i) a_sum[i] = vec4(0.0);
}

// Adds the product of the two tiles.
void multiply_tiles() {
    barrier();
    for (uint k = 0; k < DEPTH; ++k) {
        vec4 a[BLOCKS_M];
        vec4 b[BLOCKS_N];
        [[unroll]] for (uint i = 0; i < BLOCKS_M; ++i)
            a[i] = tile_a[k * ROW_A + lane() / THREADS_N + i * THREADS_M];
        [[unroll]] for (uint j = 0; j < BLOCKS_N; ++j)
            b[j] = tile_b[k * ROW_B + lane() % THREADS_N + j * THREADS_N];
        [[unroll]] for (uint i = 0; i < RESULTS_M; ++i) {
            [[unroll]] for (uint j = 0; j < BLOCKS_N; ++j)
                sum[i * BLOCKS_N + j] = fma(vec4(a[i / 4][i % 4]), b[j], sum[i * BLOCKS_N + j]);
        }
        [[unroll]] for (uint i = 0; i < BLOCKS_M; ++i) a_sum[i] += a[i];
    }
    barrier();
}
