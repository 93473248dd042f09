// Register tiles for drivers whose subgroup is a whole workgroup of 8 lanes (llvmpipe): an
// invocation makes ROWS rows x 8 columns of C, or 8 rows x ROWS columns where TRANSPOSED, which wastes
// less where N is no multiple of 64 (a layer's outputs) and M is (a batch). There a load from a storage
// buffer is a loop over the lanes, whether the address is uniform or not; a texel buffer is gathered
// without a loop, and a shuffle from a constant lane is one permutation. So the operands, and that of a
// derivative, are read as texels. The ROWS rows or columns are all lanes' ("shared"): of what they need
// of their operand each lane loads a part, which is handed round. Of the other operand each lane has
// 8 columns or rows of its own. Sums have the same order either way.
//
// What is included before defines A_ALONG_K and B_ALONG_K, whether the rows of an operand run along K,
// and, by gemm_epilogue.glsl or gemm_update.glsl, prepare_store(), called once before the first store,
// load_bias(), and store() of four columns of a row.
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_shuffle : require

layout(constant_id = 5) const uint ROWS = 16;  // a multiple of 4, at most 32: tn stores 4 bias gradients a lane
layout(constant_id = 6) const bool TRANSPOSED = false;

layout(set = 0, binding = 8) uniform samplerBuffer a_texels;
layout(set = 0, binding = 9) uniform samplerBuffer b_texels;
#ifdef GATHERED
// x is A in A B^T, and B in A^T B.
const bool GATHERED_A = A_ALONG_K;
const bool GATHERED_B = !A_ALONG_K;
#include "gemm_gathered.glsl"
#else
const bool GATHERED_A = false;
const bool GATHERED_B = false;
uint place(uint row) { return 0; }
vec4 normalized(vec4 bytes) { return bytes; }
#endif
vec4 load_a(uint i) {
    vec4 value = texelFetch(a_texels, int(i));
    return operand_a(GATHERED_A ? normalized(value) : value);
}
vec4 load_b(uint i) {
    vec4 value = texelFetch(b_texels, int(i));
    return operand_b(GATHERED_B ? normalized(value) : value);
}
vec4 load_shared(uint i) { return TRANSPOSED ? load_b(i) : load_a(i); }
vec4 load_own(uint i) { return TRANSPOSED ? load_a(i) : load_b(i); }

const bool SHARED_ALONG_K = TRANSPOSED ? B_ALONG_K : A_ALONG_K;
const bool OWN_ALONG_K = TRANSPOSED ? A_ALONG_K : B_ALONG_K;
// Past the end of K one factor has to be 0. In the rows of A^T and B it is in the padding of a
// parameter's; else the shared one is made so.
const bool ZERO_PAST_K = !(A_ALONG_K && B_ALONG_K);

const uint LANES = 8;
const uint ROWS4 = ROWS / 4;
// vec4 of the shared operand that a lane loads for four steps of K; what is past ROWS is not used.
const uint LOADS = (ROWS + LANES - 1) / LANES;

uint lane() { return gl_LocalInvocationID.x; }
// Workgroups that follow each other have the same own operand, which stays in a core's cache; with
// ALONG_ROWS the same rows of C, so that what is updated there is read in the order of memory.
#ifdef ALONG_ROWS
uvec2 tile = gl_WorkGroupID.yx;
#else
uvec2 tile = gl_WorkGroupID.xy;
#endif
uint first_shared() { return tile.x * ROWS; }
// Of the invocation's 8 columns or rows, in vec4.
uint first_own4() { return 2 * (tile.y * LANES + lane()); }

uint shared_count() { return TRANSPOSED ? p.n : p.m; }
uint own_count() { return TRANSPOSED ? p.m : p.n; }
uint shared_stride() { return TRANSPOSED ? p.b_stride : p.a_stride; }
// Where the replica's matrix begins, and from there a row of memory; vec4.
uint a_base() { return GATHERED_A ? 0 : replica_number * p.a_replica; }
uint b_base() { return GATHERED_B ? 0 : replica_number * p.b_replica; }
uint a_row(uint row) { return GATHERED_A ? place(row) : row * p.a_stride; }
uint b_row(uint row) { return GATHERED_B ? place(row) : row * p.b_stride; }
uint shared_base() { return TRANSPOSED ? b_base() : a_base(); }
uint own_base() { return TRANSPOSED ? a_base() : b_base(); }
uint shared_row(uint row) { return TRANSPOSED ? b_row(row) : a_row(row); }
uint own_row(uint row) { return TRANSPOSED ? a_row(row) : b_row(row); }

uint begin_k() { return split_number * p.k_per_split; }
uint end_k() { return min(begin_k() + p.k_per_split, p.k); }

// The sums of an own column or row are a component of left (0 to 3) and right (4 to 7).
vec4 left[ROWS];
vec4 right[ROWS];
// Where each lane's loads begin, in vec4. Four steps of K need ROWS vec4 of the shared operand: along K
// number q is of line q, else of step q / ROWS4 and the vec4 q % ROWS4.
uint shared_place[LOADS];
uint own_place[8];  // of 8 lines along K, else of the left and the right vec4

void begin_loads() {
    [[unroll]] for (uint j = 0; j < LOADS; ++j) {
        uint q = j * LANES + lane();
        shared_place[j] = shared_base() + (SHARED_ALONG_K
            ? shared_row(min(first_shared() + q, shared_count() - 1))
            : min(first_shared() / 4 + q % ROWS4, shared_stride() - 1));
    }
    [[unroll]] for (uint j = 0; j < 8; ++j) {
        own_place[j] = own_base() + (OWN_ALONG_K
            ? own_row(min(first_own4() * 4 + j, own_count() - 1))
            : min(first_own4() + j, (own_count() + 3) / 4 - 1));
    }
    [[unroll]] for (uint i = 0; i < ROWS; ++i) {
        left[i] = vec4(0.0);
        right[i] = vec4(0.0);
    }
}

// A lane's part of the shared operand at step k and the next three.
vec4 load_part(uint j, uint k) {
    if (SHARED_ALONG_K) {
        vec4 value = load_shared(shared_place[j] + k / 4);
        return ZERO_PAST_K ? keep_below(value, k, end_k()) : value;
    }
    uint step = k + (j * LANES + lane()) / ROWS4;
    vec4 value = load_shared(shared_place[j] + shared_row(min(step, end_k() - 1)));
    return step < end_k() ? value : vec4(0.0);
}

// Four own lines, from number `line` on, at step k and the next three: a vec4 a step.
mat4 load_lines(uint line, uint k) {
    if (OWN_ALONG_K) {
        uint k4 = k / 4;
        return transpose(mat4(load_own(own_place[line] + k4), load_own(own_place[line + 1] + k4),
                              load_own(own_place[line + 2] + k4), load_own(own_place[line + 3] + k4)));
    }
    // Places are loaded, so each lane loads one and hands it round.
    bool gathered = TRANSPOSED ? GATHERED_A : GATHERED_B;
    uint mine = gathered ? own_row(min(k + lane() % 4, end_k() - 1)) : 0;
    mat4 lines;
    [[unroll]] for (uint kk = 0; kk < 4; ++kk) {
        uint row = gathered ? subgroupShuffle(mine, kk) : own_row(min(k + kk, end_k() - 1));
        lines[kk] = load_own(own_place[line / 4] + row);
    }
    return lines;
}

// Shared line i at step kk of four.
float factor(vec4 parts[LOADS], uint i, uint kk) {
    uint q = SHARED_ALONG_K ? i : kk * ROWS4 + i / 4;
    return subgroupShuffle(parts[q / LANES][SHARED_ALONG_K ? kk : i % 4], q % LANES);
}

// Adds the products of four steps of K, the sums of one line at a time, which registers hold.
void multiply(vec4 parts[LOADS], mat4 l, mat4 r) {
    [[unroll]] for (uint i = 0; i < ROWS; ++i) {
        [[unroll]] for (uint kk = 0; kk < 4; ++kk) {
            vec4 x = vec4(factor(parts, i, kk));
            left[i] = fma(x, l[kk], left[i]);
            right[i] = fma(x, r[kk], right[i]);
        }
    }
}

// Four columns of C are four lines of sums, of which each component is a row of C.
void store_transposed_sums() {
    uint row = first_own4() * 4;
    [[unroll]] for (uint i4 = 0; i4 < ROWS4; ++i4) {
        mat4 l = transpose(mat4(left[4 * i4], left[4 * i4 + 1], left[4 * i4 + 2], left[4 * i4 + 3]));
        mat4 r = transpose(mat4(right[4 * i4], right[4 * i4 + 1], right[4 * i4 + 2], right[4 * i4 + 3]));
        uint column4 = first_shared() / 4 + i4;
        vec4 column_bias = load_bias(column4);
        [[unroll]] for (uint j = 0; j < 4; ++j) {
            store(row + j, column4, l[j], column_bias);
            store(row + 4 + j, column4, r[j], column_bias);
        }
    }
}

void store_sums() {
    prepare_store();
    if (TRANSPOSED) {
        store_transposed_sums();
        return;
    }
    vec4 bias_left = load_bias(first_own4());
    vec4 bias_right = load_bias(first_own4() + 1);
    [[unroll]] for (uint i = 0; i < ROWS; ++i) {
        store(first_shared() + i, first_own4(), left[i], bias_left);
        store(first_shared() + i, first_own4() + 1, right[i], bias_right);
    }
}
