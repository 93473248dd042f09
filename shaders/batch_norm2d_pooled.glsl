// Batch normalisation whose output is there only as the maxima of tiles of 2 x 2. An invocation walks
// down four columns of tiles; rows of x and of the maxima have no padding, so that the planes of a row
// are one image, and a row of x has eight pairs for each vec4 of tiles. With TEXELS x is read as texels
// of two floats (nn/lowering.h: reads_texels). Include batch_norm2d.glsl before.
#extension GL_EXT_control_flow_attributes : require
layout(constant_id = 3) const uint ROW_TILES = 1;  // of a plane

#ifdef TEXELS
layout(set = 0, binding = 10) uniform samplerBuffer x_texels;
vec2 load_pair(uint i) { return texelFetch(x_texels, int(i)).xy; }
#else
layout(set = 0, binding = 2, std430) readonly buffer X { vec2 x[]; };
vec2 load_pair(uint i) { return x[i]; }
#endif

const uint PAIRS = 8;  // of x for a vec4 of tiles

// Of the upper pairs of the four tiles in a row of x; the lower ones are ROW_TILES further on.
uvec4 upper_pairs() { return columns() / ROW_TILES * (2 * ROW_TILES) + columns() % ROW_TILES; }

// Elements of four tiles, less the means: upper left, upper right, lower left, lower right.
struct Tiles {
    vec4 element[4];
};

// `start`: the row's first pair.
Tiles load_centred(uint start, uvec4 pairs, Statistics statistics) {
    Tiles tiles;
    [[unroll]] for (uint i = 0; i < 4; ++i) {
        vec2 upper = load_pair(start + pairs[i]);
        vec2 lower = load_pair(start + pairs[i] + ROW_TILES);
        tiles.element[0][i] = upper.x;
        tiles.element[1][i] = upper.y;
        tiles.element[2][i] = lower.x;
        tiles.element[3][i] = lower.y;
    }
    [[unroll]] for (uint e = 0; e < 4; ++e) {
        tiles.element[e] = centre(tiles.element[e], statistics);
    }
    return tiles;
}

// Which element of each tile has the largest normalised value; ties go to the first. `factor`: weight
// * inv_std; the bias is the same in a tile.
uvec4 winners_of(Tiles tiles, vec4 factor) {
    vec4 best = tiles.element[0] * factor;
    uvec4 winners = uvec4(0);
    [[unroll]] for (uint e = 1; e < 4; ++e) {
        vec4 value = tiles.element[e] * factor;
        bvec4 larger = greaterThan(value, best);
        best = mix(best, value, larger);
        winners = mix(winners, uvec4(e), larger);
    }
    return winners;
}
