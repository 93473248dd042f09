// y[i] = x of the neighbouring lane: needs a device with subgroup shuffles.
#version 450
#extension GL_KHR_shader_subgroup_shuffle : require
layout(local_size_x_id = 0) in;
layout(set = 0, binding = 0) readonly buffer X { float x[]; };
layout(set = 0, binding = 1) writeonly buffer Y { float y[]; };

void main() {
  const uint i = gl_GlobalInvocationID.x;
  y[i] = subgroupShuffle(x[i], gl_SubgroupInvocationID ^ 1);
}
