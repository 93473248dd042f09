// Whether a subgroup is what the driver says it is: a workgroup of as many invocations is one
// subgroup, in the order of its invocations, and a shuffle brings the value of the lane it names.
// One workgroup; each lane writes a row of its own.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "common.glsl"

// [lanes][lanes + 3]: size, lane, the value of the next lane, the values of lanes 0, 1, 2, ...
layout(set = 0, binding = 0, std430) writeonly buffer Found { uint found[]; };

void main() {
    uint lanes = gl_WorkGroupSize.x;
    uint lane = gl_LocalInvocationID.x;
    uint mine = lane * 2654435761u + 12345u;  // Knuth's multiplicative hash: all differ
    uint row = lane * (lanes + 3);
    found[row] = gl_SubgroupSize;
    found[row + 1] = gl_SubgroupInvocationID;
    found[row + 2] = subgroupShuffle(mine, (lane + 1) % lanes);
    for (uint i = 0; i < lanes; ++i) found[row + 3 + i] = subgroupShuffle(mine, i);
}
