// Register tiles for drivers whose subgroup is a whole workgroup of 8 lanes (llvmpipe): an
// invocation makes ROWS rows x 8 columns of C. There a load from a storage buffer is a loop over the
// lanes, whether the address is uniform or not; a texel buffer is gathered without a loop, and a
// shuffle from a constant lane is one permutation. So the operands, and that of a derivative, are read
// as texels, and the rows of the operand that all lanes share, A, are loaded a part by each lane and
// handed round; each lane has columns of its own of the other. In transposed tiles (nt only) B is
// shared. What is included before, gemm_epilogue.glsl or gemm_update.glsl, defines prepare_store(),
// called once before the first store, load_bias(), and store() of four columns of a row.
#extension GL_EXT_control_flow_attributes : require
#extension GL_KHR_shader_subgroup_shuffle : require

layout(constant_id = 5) const uint ROWS = 16;  // a multiple of 4, at most 32: tn stores 4 bias gradients a lane

layout(set = 0, binding = 8) uniform samplerBuffer a_texels;
layout(set = 0, binding = 9) uniform samplerBuffer b_texels;
vec4 load_a(uint i) { return operand_a(texelFetch(a_texels, int(i))); }
vec4 load_b(uint i) { return operand_b(texelFetch(b_texels, int(i))); }

const uint LANES = 8;
// vec4 of A that a lane loads for four steps of K; what is past ROWS is not used.
const uint LOADS = (ROWS + LANES - 1) / LANES;

uint lane() { return gl_LocalInvocationID.x; }
// Workgroups that follow each other share their columns of B, which stay in a core's cache; with
// ALONG_ROWS their rows of C, so that what is updated there is read in the order of memory.
#ifdef ALONG_ROWS
uvec2 tile = gl_WorkGroupID.yx;
#else
uvec2 tile = gl_WorkGroupID.xy;
#endif
uint first_shared() { return tile.x * ROWS; }
// Of the invocation's 8 columns, in vec4.
uint first_own4() { return 2 * (tile.y * LANES + lane()); }

vec4 left[ROWS];   // the sums of columns 0 to 3
vec4 right[ROWS];  // and 4 to 7

void clear_sums() {
    [[unroll]] for (uint i = 0; i < ROWS; ++i) {
        left[i] = vec4(0.0);
        right[i] = vec4(0.0);
    }
}

void store_sums() {
    prepare_store();
    vec4 bias_left = load_bias(first_own4());
    vec4 bias_right = load_bias(first_own4() + 1);
    [[unroll]] for (uint i = 0; i < ROWS; ++i) {
        store(first_shared() + i, first_own4(), left[i], bias_left);
        store(first_shared() + i, first_own4() + 1, right[i], bias_right);
    }
}
