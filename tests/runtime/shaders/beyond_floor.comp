// Declares what no shader of the program may: 64-bit floats, float atomics with their extension,
// subgroup operations, a second descriptor set. It is only looked at, never run.
#version 450
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_EXT_shader_atomic_float : require

layout(local_size_x = 8) in;
layout(set = 0, binding = 0, std430) buffer Values { double value[]; };
layout(set = 1, binding = 0, std430) buffer Sum { float sum; };

void main() {
    if (subgroupElect()) value[gl_GlobalInvocationID.x] *= 2.0lf;
    atomicAdd(sum, 1.0);
}
