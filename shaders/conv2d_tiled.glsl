// What the passes of the tiled convolution share: per group of channels an implicit matrix product
// C[M, N] = A[M, K] B[K, N] whose operands the workgroup gathers into shared memory.
//
//                     M             N                K
//   forward           out channels  output pixels    (in channel, i, j)
//   data gradient     in channels   input pixels     (out channel, i, j)
//   weight gradient   out channels  (in channel, i, j)   output pixels, split
//
// Pixels are counted over the batch, channels within a group. 64 invocations make a tile of 32 x 32,
// 4 x 4 each, 16 of K at a time. x and y of the grid hold the tiles, those of one N tile together, so
// that they share what they gather; z = replica * splits + split.
#include "conv2d.glsl"

layout(constant_id = 13) const uint MIXED = 0;  // operands are rounded to half floats
#include "half.glsl"

const uint TILE = 32;  // along M and N
const uint DEPTH = 16;
const uint TILE4 = TILE / 4;
const uint ROW4 = TILE4 + 1;  // one vec4 of padding spreads the banks

shared vec4 tile_a[DEPTH * ROW4];  // [k][m / 4]
shared vec4 tile_b[DEPTH * ROW4];  // [k][n / 4]

uint lane() { return gl_LocalInvocationID.x; }
uint replica_number() { return gl_WorkGroupID.z / p.splits; }
uint split_number() { return gl_WorkGroupID.z % p.splits; }

// First row and column of the workgroup's tile, and its group of channels.
uint tile_row() { return group_index() % p.m_tiles * TILE; }
uint tile_group() { return group_index() / p.m_tiles % p.groups; }
uint tile_column() { return group_index() / (p.m_tiles * p.groups) * TILE; }

// First of the invocation's four rows and columns.
uint my_row() { return tile_row() + lane() / TILE4 * 4; }
uint my_column() { return tile_column() + lane() % TILE4 * 4; }

void put_a(uint k, uint row, float value) { tile_a[k * ROW4 + row / 4][row % 4] = value; }
void put_b(uint k, uint column, float value) { tile_b[k * ROW4 + column / 4][column % 4] = value; }

// Adds the product of the two tiles, and A's sums over K.
void multiply_tiles(inout vec4 sum[4], inout vec4 a_sum) {
    barrier();
    for (uint k = 0; k < DEPTH; ++k) {
        vec4 a = tile_a[k * ROW4 + lane() / TILE4];
        vec4 b = tile_b[k * ROW4 + lane() % TILE4];
        for (uint i = 0; i < 4; ++i) sum[i] = fma(vec4(a[i]), b, sum[i]);
        a_sum += a;
    }
    barrier();
}
